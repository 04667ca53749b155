// The Agents SDK in JavaScript: a tool, a handoff and a stream, over HTTP.
import assert from "node:assert";
import { Agent, MemorySession, run, setTracingDisabled, tool } from "@openai/agents";
import { z } from "zod";

// Tracing sends spans, with the key, to the hosted service whatever the base URL is.
setTracingDisabled(true);
const model = process.env.TEST_MODEL;

const getWeather = tool({
  name: "get_weather",
  description: "The weather in a city.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `Sunny in ${city}.`,
});
const weather = new Agent({ name: "weather", model, instructions: "Use the tool.", tools: [getWeather] });
let answer = await run(weather, "What is the weather in Oslo?");
assert.equal(answer.finalOutput, "It is sunny in Oslo.");
const { inputTokens, outputTokens } = answer.state.usage;
assert.deepEqual([inputTokens, outputTokens], [210, 28]);

const german = new Agent({ name: "german", model, instructions: "Deutsch." });
const triage = Agent.create({ name: "triage", model, instructions: "Hand over.", handoffs: [german] });
answer = await run(triage, "Bitte hilf mir auf Deutsch.");
assert.equal(answer.finalOutput, "Gern, womit?");
assert.equal(answer.lastAgent.name, "german");

const session = new MemorySession();
const plain = new Agent({ name: "plain", model, instructions: "Be kind." });
answer = await run(plain, "Say hello.", { session });
assert.equal(answer.finalOutput, "Hello.");
const streamed = await run(plain, "And once more?", { session, stream: true });
for await (const event of streamed) assert.ok(event.type);
await streamed.completed;
assert.equal(streamed.finalOutput, "Hello once more.");
