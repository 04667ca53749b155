// The Agents SDK in JavaScript with a session that the model server compacts. Prints the tokens that the SDK has counted.
import assert from "node:assert";
import { Agent, MemorySession, OpenAIProvider, OpenAIResponsesCompactionSession, Runner, setTracingDisabled } from "@openai/agents";

setTracingDisabled(true);
const session = new OpenAIResponsesCompactionSession({
  underlyingSession: new MemorySession(),
  model: process.env.TEST_COMPACTION_MODEL,
  compactionMode: "input",
  shouldTriggerCompaction: ({ compactionCandidateItems }) => compactionCandidateItems.length === 2,
});
const agent = new Agent({ name: "plain", model: process.env.TEST_MODEL, instructions: "Be kind." });
// The name of the model may have a slash, which is a prefix for the provider that is used otherwise.
const runner = new Runner({ modelProvider: new OpenAIProvider() });
const counted = [0, 0];
for (const [prompt, answer] of [
  ["Say hello.", "Hello."],
  ["And once more?", "Hello once more."],
  ["Say hello.", "Hello."],
]) {
  const result = await runner.run(agent, prompt, { session });
  assert.equal(result.finalOutput, answer);
  counted[0] += result.state.usage.inputTokens;
  counted[1] += result.state.usage.outputTokens;
}
// A model server may keep what the user has said; the compaction stands for the answers.
const kinds = (await session.getItems()).map(({ type }) => type ?? "message");
assert.ok(kinds.includes("compaction") && kinds.length < 6, kinds.join());
console.log(...counted);
