// Admin keys.

import { AuthenticationError, NotFoundError } from "openai";

import { among, check, equal, refused } from "./checks.mjs";
import { pages } from "./paging.mjs";

/** Created, used, listed, deleted. */
export async function adminKeys(run) {
  const keys = run.admin.adminAPIKeys;
  const made = await keys.create({ name: "Automation", expires_in_seconds: 3600 });
  const wanted = ["Automation", made.created_at + 3600, run.owner];
  equal("an admin key", [made.name, made.expires_at, made.owner.id], wanted);
  const read = await keys.retrieve(made.id);
  equal("it reads without its value", [read.id, read.name, "value" in read], [made.id, "Automation", false]);
  check("but with its end", made.value.endsWith(read.redacted_value.slice(-3)), read);
  await keys.create({ name: "Another" });
  among("it is listed", [made.id], await pages(run, "admin keys", (words) => keys.list(words)));

  const other = run.clientOf(made.value).admin.organization;
  equal("it administers", (await other.adminAPIKeys.retrieve(made.id)).id, made.id);
  const gone = await keys.delete(made.id);
  equal("an admin key is deleted", [gone.id, gone.deleted], [made.id, true]);
  await refused("and not found any more", NotFoundError, () => keys.retrieve(made.id), { code: "not_found" });
  await refused("and opens nothing", AuthenticationError, () => other.projects.list(), { code: "invalid_api_key" });
}
