// The official Node client calls the operations of these groups.
//
//     operations.mjs CALLS GROUP...
//
// Appends what was called to the file CALLS, a JSON object a line: `method`, `path`, `status`, `body` if the answer is JSON, and
// `usage` of an answer that has some. The client trusts its types, so that `typed.py` compares the bodies with them.
import assert from "node:assert";
import { appendFileSync } from "node:fs";
import OpenAI, { NotFoundError, toFile } from "openai";
import { ResponsesWS } from "openai/resources/responses/ws";

const model = process.env.TEST_MODEL;
// The model of operations that have one of their own, such as completions.
const recorded = process.env.TEST_RECORDED_MODEL ?? model;
const prompt = "Say hello.";
const sound = Buffer.from("//uQxAAAAAAAAAAAAAAAAAAAAAAAgP8ADQo=", "base64");
const timeLimit = 20_000;
const calls = [];

/** A `fetch` for the client, which looks at every answer before the client does. */
async function recordingFetch(address, options) {
  const response = await fetch(address, options);
  const path = new URL(address).pathname.replace(/^\/v1/, "");
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  // The content of a file may be JSON of the client.
  const body = isJson && !path.endsWith("/content") ? await response.clone().json() : undefined;
  calls.push({ method: (options.method ?? "GET").toUpperCase(), path, status: response.status, body });
  return response;
}

const client = new OpenAI({ fetch: recordingFetch, maxRetries: 0, timeout: 30_000 });

/** Records the usage that the last answer has reported. */
function used(usage) {
  calls.at(-1).usage = [usage.prompt_tokens ?? usage.input_tokens, usage.completion_tokens ?? usage.output_tokens];
}

/** What was deleted does not exist. */
const missing = (call) => assert.rejects(call, NotFoundError);

/** Reads until the value holds, or the time is over. */
async function until(read, holds) {
  const deadline = Date.now() + timeLimit;
  let value = await read();
  while (!holds(value) && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    value = await read();
  }
  assert.ok(holds(value), JSON.stringify(value));
  return value;
}

const all = (list) => Array.fromAsync(list);
const ids = async (list) => (await all(list)).map((each) => each.id);
const messages = [{ role: "user", content: prompt }];
const image = () => toFile(sound, "a.png", { type: "image/png" });
const notes = () => toFile(Buffer.from("Notes."), "notes.txt");

const groups = {
  async models() {
    assert.ok((await ids(client.models.list())).includes(model));
    assert.equal((await client.models.retrieve(model)).id, model);
  },

  async chat() {
    const answer = await client.chat.completions.create({ model, messages });
    assert.equal(answer.choices[0].message.content, "Hello.");
    used(answer.usage);
    const stream = await client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
    const pieces = await all(stream);
    assert.equal(pieces.map((piece) => piece.choices[0]?.delta.content ?? "").join(""), "Hello.");
    used(pieces.at(-1).usage);
  },

  async websocket() {
    const socket = new ResponsesWS(client);
    let last;
    for await (const event of socket) {
      if (event.type === "open") socket.send({ type: "response.create", model, input: prompt });
      if (event.type !== "message") continue;
      last = event.message;
      if (["response.completed", "error"].includes(last.type)) break;
    }
    socket.close();
    assert.equal(last.type, "response.completed");
    calls.push({ method: "WebSocket", path: "/responses", status: 101 });
    used(last.response.usage);
  },

  async embeddings() {
    const made = await client.embeddings.create({ model: "text-embedding-3-small", input: "Hello.", encoding_format: "float" });
    assert.deepEqual(made.data[0].embedding, [0.25, -0.5, 1]);
  },

  async moderations() {
    const answer = await client.moderations.create({ model: "omni-moderation-latest", input: "I will hurt you." });
    assert.equal(answer.results[0].flagged, true);
  },

  async images() {
    const made = await client.images.generate({ model: "dall-e-3", prompt: "A lighthouse." });
    assert.ok(made.data[0].url.endsWith("1.png"));
    const edited = await client.images.edit({ model: "gpt-image-1", image: await image(), prompt: "A lighthouse." });
    assert.equal(edited.data[0].b64_json, "iVBORw0KGgo=");
  },

  async variations() {
    const varied = await client.images.createVariation({ model: "dall-e-2", image: await image() });
    assert.ok(varied.data[0].url.endsWith("2.png"));
  },

  async audio() {
    const spoken = await client.audio.speech.create({ model: "tts-1", voice: "alloy", input: "Hello." });
    assert.deepEqual(Buffer.from(await spoken.arrayBuffer()), sound);
    const file = () => toFile(sound, "a.mp3");
    assert.equal((await client.audio.transcriptions.create({ model: "whisper-1", file: await file() })).text, "Hello.");
    assert.equal((await client.audio.translations.create({ model: "whisper-1", file: await file() })).text, "Hello.");
  },

  async files() {
    const file = await client.files.create({ file: await notes(), purpose: "assistants" });
    assert.equal((await client.files.retrieve(file.id)).filename, "notes.txt");
    assert.equal(await (await client.files.content(file.id)).text(), "Notes.");
    assert.ok((await ids(client.files.list())).includes(file.id));
    assert.equal((await client.files.delete(file.id)).deleted, true);
    await missing(() => client.files.retrieve(file.id));
  },

  async batches() {
    const line = { custom_id: "one", method: "POST", url: "/v1/chat/completions", body: { model, messages } };
    const file = await client.files.create({ file: await toFile(Buffer.from(JSON.stringify(line)), "requests.jsonl"), purpose: "batch" });
    const batch = await client.batches.create({ input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" });
    assert.ok((await ids(client.batches.list())).includes(batch.id));
    assert.equal((await client.batches.cancel(batch.id)).id, batch.id);
    const ends = ["completed", "cancelled"];
    await until(() => client.batches.retrieve(batch.id), ({ status }) => ends.includes(status));
  },

  async completions() {
    const answer = await client.completions.create({ model: recorded, prompt });
    assert.equal(answer.choices[0].text, "Hello.");
    used(answer.usage);
  },

  async decisions() {
    const question = { type: "predicate", name: "kind", question: "Is it kind?" };
    const answer = await client.decisions.create({ model: recorded, input: prompt, questions: [question] });
    assert.equal(answer.answers[0].probability, 0.97);
    used(answer.usage);
  },

  async input_tokens() {
    assert.equal((await client.responses.inputTokens.count({ model: recorded, input: prompt })).input_tokens, 11);
  },

  async compact() {
    const first = await client.responses.create({ model: recorded, input: prompt, store: false });
    used(first.usage);
    const compacted = await client.responses.compact({ model: recorded, input: [...messages, ...first.output] });
    assert.equal(compacted.output.at(-1).type, "compaction");
    used(compacted.usage);
  },

  async responses() {
    const made = await client.responses.create({ model: recorded, input: prompt });
    used(made.usage);
    assert.equal(made.output_text, "Hello.");
    assert.equal((await client.responses.retrieve(made.id)).id, made.id);
    assert.deepEqual((await all(client.responses.inputItems.list(made.id))).map(({ type }) => type), ["message"]);
    await client.responses.delete(made.id);
    await missing(() => client.responses.retrieve(made.id));
  },

  async cancelled_response() {
    const made = await client.responses.create({ model: recorded, input: prompt });
    used(made.usage);
    assert.equal((await client.responses.cancel(made.id)).status, "cancelled");
  },

  async conversations() {
    const conversation = await client.conversations.create({ metadata: { topic: "greetings" } });
    const of = { conversation_id: conversation.id };
    assert.deepEqual((await client.conversations.retrieve(conversation.id)).metadata, { topic: "greetings" });
    const updated = await client.conversations.update(conversation.id, { metadata: { topic: "none" } });
    assert.deepEqual(updated.metadata, { topic: "none" });
    const items = [{ type: "message", role: "user", content: "Noted." }];
    const [item] = (await client.conversations.items.create(conversation.id, { items })).data;
    assert.deepEqual((await all(client.conversations.items.list(conversation.id))).map(({ type }) => type), ["message"]);
    assert.equal((await client.conversations.items.retrieve(item.id, of)).role, "user");
    await client.conversations.items.delete(item.id, of);
    assert.equal((await client.conversations.delete(conversation.id)).deleted, true);
    await missing(() => client.conversations.retrieve(conversation.id));
  },

  async stored_chat() {
    const made = await client.chat.completions.create({ model: recorded, messages, store: true });
    used(made.usage);
    // The model server may write a completion after its answer.
    const stored = await until(() => client.chat.completions.retrieve(made.id).catch(() => null), (found) => found !== null);
    assert.equal(stored.choices[0].message.content, "Hello.");
    assert.ok((await ids(client.chat.completions.list())).includes(made.id));
    const asked = (await all(client.chat.completions.messages.list(made.id))).filter(({ role }) => role === "user");
    assert.deepEqual(asked.map(({ content }) => content), [prompt]);
    return made.id;
  },

  async changed_chat() {
    const made = await groups.stored_chat();
    await client.chat.completions.update(made, { metadata: { topic: "greetings" } });
    assert.equal((await client.chat.completions.delete(made)).deleted, true);
    await missing(() => client.chat.completions.retrieve(made));
  },

  async uploads() {
    const wanted = { bytes: 6, filename: "notes.txt", mime_type: "text/plain", purpose: "assistants" };
    const upload = await client.uploads.create(wanted);
    const part = await client.uploads.parts.create(upload.id, { data: await notes() });
    const done = await client.uploads.complete(upload.id, { part_ids: [part.id] });
    assert.deepEqual([done.status, done.file.filename], ["completed", "notes.txt"]);
    const other = await client.uploads.create(wanted);
    assert.equal((await client.uploads.cancel(other.id)).status, "cancelled");
  },

  async vector_stores() {
    const stores = client.vectorStores;
    const file = await client.files.create({ file: await notes(), purpose: "assistants" });
    const store = await stores.create({ name: "notes" });
    const of = { vector_store_id: store.id };
    assert.equal((await stores.retrieve(store.id)).name, "notes");
    assert.equal((await stores.update(store.id, { name: "notes" })).id, store.id);
    assert.ok((await ids(stores.list())).includes(store.id));
    assert.equal((await stores.files.create(store.id, { file_id: file.id })).id, file.id);
    await until(() => stores.files.retrieve(file.id, of), ({ status }) => status === "completed");
    assert.equal((await all(stores.files.list(store.id))).length, 1);
    const changed = await stores.files.update(file.id, { ...of, attributes: { kind: "note" } });
    assert.deepEqual(changed.attributes, { kind: "note" });
    assert.deepEqual((await all(stores.files.content(file.id, of))).map(({ text }) => text), ["Notes."]);
    assert.equal((await all(stores.search(store.id, { query: "notes" }))).length, 1);
    assert.equal((await stores.files.delete(file.id, of)).deleted, true);
    const batch = await stores.fileBatches.create(store.id, { file_ids: [file.id] });
    assert.equal((await stores.fileBatches.retrieve(batch.id, of)).id, batch.id);
    assert.equal((await all(stores.fileBatches.listFiles(batch.id, of))).length, 1);
    await stores.fileBatches.cancel(batch.id, of);
    assert.equal((await stores.delete(store.id)).deleted, true);
    await missing(() => stores.retrieve(store.id));
  },

  async containers() {
    const container = await client.containers.create({ name: "sums" });
    const of = { container_id: container.id };
    assert.equal((await client.containers.retrieve(container.id)).name, "sums");
    assert.ok((await ids(client.containers.list())).includes(container.id));
    const file = await client.containers.files.create(container.id, { file: await notes() });
    assert.equal((await all(client.containers.files.list(container.id))).length, 1);
    assert.equal((await client.containers.files.retrieve(file.id, of)).container_id, container.id);
    assert.equal(await (await client.containers.files.content.retrieve(file.id, of)).text(), "Notes.");
    await client.containers.files.delete(file.id, of);
    await client.containers.delete(container.id);
    await missing(() => client.containers.retrieve(container.id));
  },
};

const [file, ...names] = process.argv.slice(2);
for (const name of names) await groups[name]();
appendFileSync(file, calls.map((call) => JSON.stringify(call) + "\n").join(""));
