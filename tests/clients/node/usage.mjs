// Usage that another gateway reported, in the ten reports, and what it costs.

import { randomUUID } from "node:crypto";

import { check, equal } from "./checks.mjs";

const DAY = 86_400;
const DAYS = 3;
const TOKENS = { input_tokens: 1000, input_cached_tokens: 400, output_tokens: 200 };
const PEOPLE = { user_id: "user_ids", api_key_id: "api_key_ids" };

// Of each report: its method, the amounts of one event, what it is about besides its project, and the filter for each.
const REPORTS = {
  completions: [
    "completions",
    { ...TOKENS, num_model_requests: 2 },
    { ...PEOPLE, model: "models", batch: "batch", service_tier: null },
  ],
  embeddings: ["embeddings", { input_tokens: 300, num_model_requests: 1 }, { ...PEOPLE, model: "models" }],
  moderations: ["moderations", { input_tokens: 50, num_model_requests: 1 }, { ...PEOPLE, model: "models" }],
  images: ["images", { images: 4, num_model_requests: 1 }, { ...PEOPLE, model: "models", size: "sizes", source: "sources" }],
  audio_speeches: ["audioSpeeches", { characters: 900, num_model_requests: 1 }, { ...PEOPLE, model: "models" }],
  audio_transcriptions: ["audioTranscriptions", { seconds: 30, num_model_requests: 1 }, { ...PEOPLE, model: "models" }],
  vector_stores: ["vectorStores", { usage_bytes: 4096 }, {}],
  code_interpreter_sessions: ["codeInterpreterSessions", { num_sessions: 3 }, {}],
  file_search_calls: ["fileSearchCalls", { num_requests: 5 }, { ...PEOPLE, vector_store_id: "vector_store_ids" }],
  web_search_calls: [
    "webSearchCalls",
    { num_requests: 6, num_model_requests: 1 },
    { ...PEOPLE, model: "models", context_level: "context_levels" },
  ],
};
const VALUES = {
  batch: true,
  service_tier: "priority",
  size: "1024x1024",
  source: "image.edit",
  vector_store_id: "vs_1",
  context_level: "high",
};
const OTHERS = { batch: false, sizes: ["256x256"], sources: ["image.variation"], context_levels: ["low"] };

/** Reports one event of each kind for each of three days, and finds them. */
export async function usage(run, project, key) {
  const start = (Math.floor(Date.now() / 1000 / DAY) - DAYS + 1) * DAY;
  const span = { start_time: start, end_time: start + DAYS * DAY };
  const about = { project_id: project, user_id: run.owner, api_key_id: key, ...VALUES };
  about.model = Object.keys(run.prices)[0];
  const days = Array.from({ length: DAYS }, (_, day) => start + day * DAY);
  const events = Object.keys(REPORTS).flatMap((kind) => days.map((midnight) => event(kind, midnight, about)));
  const taken = await run.extension("/organization/usage/events", events);
  equal("usage is taken in", [taken.accepted, taken.rejected], [events.length, []]);
  for (const kind of Object.keys(REPORTS)) await report(run, kind, span, told(kind, about));
  await costs(run, span, about);
}

/** What an event of that kind says besides its amounts. Only the model of completions has a price. */
function told(kind, about) {
  const values = kind === "completions" ? about : { ...about, model: `model-of-${kind}` };
  return Object.fromEntries(["project_id", ...Object.keys(REPORTS[kind][2])].map((name) => [name, values[name]]));
}

/** One event, in the first minute of a day. */
function event(kind, midnight, about) {
  const fixed = { id: `evt_${randomUUID()}`, type: kind, timestamp: midnight + 30 };
  return { ...fixed, ...told(kind, about), ...REPORTS[kind][1] };
}

/** The report of that kind, whole and page by page, grouped and filtered. */
async function report(run, kind, span, values) {
  const [method, amounts, filters] = REPORTS[kind];
  const read = (words) => run.admin.usage[method](words);
  const buckets = await allPages(read, { ...span, group_by: Object.keys(values), bucket_width: "1d" });
  equal(`${kind}: a bucket for each day`, buckets.map((bucket) => bucket.results.length), Array(DAYS).fill(1));
  for (const { results: [row] } of buckets) equal(`${kind}: what was reported`, row, { ...row, ...values, ...amounts });

  for (const [name, word] of Object.entries({ project_id: "project_ids", ...filters })) {
    if (word === null) continue;
    const yes = word === "batch" ? values[name] : [values[name]];
    const no = OTHERS[word] ?? ["nothing"];
    const counts = [];
    for (const choice of [yes, no]) counts.push(rows(await read({ ...span, [word]: choice })).length);
    equal(`${kind}: filtered by ${word}`, counts, [DAYS, 0]);
  }
}

/** One long page has the buckets that pages of one have, which are read by their `next_page`. */
async function allPages(read, words) {
  const whole = await read({ ...words, limit: DAYS });
  const buckets = [];
  let page = await read({ ...words, limit: 1 });
  while (page.has_more) {
    buckets.push(...page.data);
    page = await read({ ...words, limit: 1, page: page.next_page });
  }
  buckets.push(...page.data);
  equal("page by page, each bucket once and in order", buckets, whole.data);
  check("the last page says so", !whole.has_more && whole.next_page === null && page.next_page === null, whole);
  return buckets;
}

/** The rows of all buckets. */
function rows(page) {
  return page.data.flatMap((bucket) => bucket.results);
}

/** Input, cached input and output tokens at their prices; other things have no price here. */
async function costs(run, span, about) {
  const read = (words) => run.admin.usage.costs(words);
  const { model } = about;
  const price = run.prices[model];
  // A price is for a million tokens: amounts in millionths of a dollar are whole numbers here.
  const wanted = {
    [`${model}, input_tokens`]: price.input * (TOKENS.input_tokens - TOKENS.input_cached_tokens),
    [`${model}, input_cached_tokens`]: price.cached_input * TOKENS.input_cached_tokens,
    [`${model}, output_tokens`]: price.output * TOKENS.output_tokens,
  };
  const mine = { project_ids: [about.project_id], api_key_ids: [about.api_key_id], line_items: Object.keys(wanted) };
  const group_by = ["project_id", "api_key_id", "line_item", "user_id"];
  for (const bucket of await allPages(read, { ...span, ...mine, group_by, bucket_width: "1d" })) {
    const got = Object.fromEntries(bucket.results.map((row) => [row.line_item, Math.round(row.amount.value * 1e9) / 1e3]));
    equal("costs are price × tokens", got, { ...got, ...wanted });
    equal("and nothing else", bucket.results.length, Object.keys(wanted).length);
    check("by project", bucket.results.every((row) => row.project_id === about.project_id), bucket);
  }
  equal("nothing else was spent", rows(await read({ ...span, line_items: ["nothing"] })), []);
}
