// The Agents SDK in JavaScript with sessions on conversations that the model server keeps.
import assert from "node:assert";
import { Agent, OpenAIConversationsSession, OpenAIProvider, Runner, setTracingDisabled } from "@openai/agents";

setTracingDisabled(true);
const agent = new Agent({ name: "plain", model: process.env.TEST_MODEL, instructions: "Be kind." });
// The name of the model has a slash, which is a prefix for the provider that is used otherwise.
const runner = new Runner({ modelProvider: new OpenAIProvider() });
const session = new OpenAIConversationsSession();
// The model server keeps a content as it was sent, and the SDK expects to get a list of parts.
const said = (text) => [{ type: "message", role: "user", content: [{ type: "input_text", text }] }];
// A list of items needs a function that joins it with the history of the session.
const joined = { session, sessionInputCallback: (history, items) => [...history, ...items] };
const first = await runner.run(agent, said("Say hello."), joined);
const then = await runner.run(agent, said("And once more?"), joined);
assert.deepEqual([first.finalOutput, then.finalOutput], ["Hello.", "Hello once more."]);
assert.equal((await session.getItems()).length, 4);
await session.popItem();
await session.clearSession();
