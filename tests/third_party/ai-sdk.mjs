// The AI SDK: text, a stream and a tool, over responses and over chat completions.
import assert from "node:assert";
import { createOpenAI } from "@ai-sdk/openai";
import { embed, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL });
const name = process.env.TEST_MODEL;
const tools = {
  get_weather: tool({
    description: "The weather in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `Sunny in ${city}.`,
  }),
};
for (const model of [openai.chat(name), openai.responses(name)]) {
  // What is stored at the server is named by reference; here all is sent.
  const common = { model, maxRetries: 0, providerOptions: { openai: { store: false } } };
  const whole = await generateText({ ...common, prompt: "Say hello." });
  assert.equal(whole.text, "Hello.");
  assert.equal(whole.usage.totalTokens, 22);
  const streamed = streamText({ ...common, prompt: "Say hello." });
  let text = "";
  for await (const piece of streamed.textStream) text += piece;
  assert.equal(text, "Hello.");
  assert.equal((await streamed.usage).totalTokens, 22);
  const turn = await generateText({ ...common, tools, prompt: "What is the weather in Oslo?", stopWhen: stepCountIs(3) });
  assert.equal(turn.text, "It is sunny in Oslo.");
  assert.equal(turn.totalUsage.inputTokens, 210);
}
const { embedding } = await embed({ model: openai.embedding("text-embedding-3-small"), value: "Hello.", maxRetries: 0 });
assert.deepEqual(embedding, [0.25, -0.5, 1.0]);
