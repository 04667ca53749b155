// Settings: data retention, and what a project may do with models and tools.

import { NotFoundError } from "openai";

import { among, equal, refused } from "./checks.mjs";
import { pages } from "./paging.mjs";

/** Of the organization and of a project. */
export async function dataRetention(run, project) {
  const [own, inside] = [run.admin.dataRetention, run.admin.projects.dataRetention];
  equal("data retention is not set at first", (await own.retrieve()).type, "none");
  for (const kind of ["zero_data_retention", "modified_abuse_monitoring"]) {
    equal("data retention is set", (await own.update({ retention_type: kind })).type, kind);
    equal("and reads so", (await own.retrieve()).type, kind);
  }
  equal("a project follows", (await inside.retrieve(project)).type, "organization_default");
  equal("until it has its own", (await inside.update(project, { retention_type: "none" })).type, "none");
  equal("which reads so", (await inside.retrieve(project)).type, "none");
}

/** A policy: set, replaced, removed. */
export async function modelPermissions(run, project) {
  const policy = run.admin.projects.modelPermissions;
  const absent = () => policy.retrieve(project);
  await refused("a project has no policy at first", NotFoundError, absent, { code: "not_found" });
  for (const [mode, model_ids] of [["allow_list", ["gpt-5.5"]], ["deny_list", ["gpt-5.5", "gpt-5.5-mini"]]]) {
    const made = await policy.update(project, { mode, model_ids });
    equal("a policy", [made.mode, made.model_ids.toSorted()], [mode, model_ids]);
    equal("it reads as it was set", await policy.retrieve(project), made);
  }
  equal("it is removed", (await policy.delete(project)).deleted, true);
  await refused("and not found any more", NotFoundError, absent, { code: "not_found" });
}

/** Allowed, but for those that are switched off. */
export async function hostedTools(run, project) {
  const tools = run.admin.projects.hostedToolPermissions;
  const all = Object.fromEntries(
    ["file_search", "web_search", "image_generation", "mcp", "code_interpreter"].map((name) => [name, { enabled: true }]),
  );
  const off = { enabled: false };
  equal("all tools are allowed at first", await tools.retrieve(project), all);
  const less = await tools.update(project, { mcp: off, web_search: off });
  equal("two are switched off", less, { ...all, mcp: off, web_search: off });
  const more = await tools.update(project, { mcp: { enabled: true }, file_search: null });
  equal("and one on again", more, { ...all, web_search: off });
  equal("as it reads", await tools.retrieve(project), more);
}

/** Each known model has one; they are changed. */
export async function rateLimits(run, project) {
  const limits = run.admin.projects.rateLimits;
  const list = (words) => limits.listRateLimits(project, words);
  const ids = await pages(run, "rate limits", list);
  const listed = await Array.fromAsync(list({}));
  equal("each belongs to one model", new Set(listed.map((limit) => limit.model)).size, ids.length);
  const priced = Object.keys(run.prices);
  among("the models with a price have one", priced, listed.map((limit) => limit.model));
  const one = listed.find((limit) => limit.model === priced[0]);
  const asked = { max_requests_per_1_minute: 7, max_tokens_per_1_minute: 700, max_requests_per_1_day: 70 };
  const changed = await limits.updateRateLimit(one.id, { project_id: project, ...asked });
  equal("a rate limit is changed", changed, { ...one, ...asked });
  const found = (await Array.fromAsync(list({}))).find((limit) => limit.id === one.id);
  equal("as the list says", found, changed);
  const unknown = () => limits.updateRateLimit("rl-unknown", { project_id: project, ...asked });
  await refused("an unknown one", NotFoundError, unknown, { code: "not_found" });
}
