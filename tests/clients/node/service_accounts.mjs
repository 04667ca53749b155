// Service accounts of a project, and its keys.

import { BadRequestError, NotFoundError } from "openai";

import { among, check, equal, refused } from "./checks.mjs";
import { pages } from "./paging.mjs";

/** Created with a key and without, read, changed, deleted. Returns the id of one. */
export async function serviceAccounts(run, project) {
  const accounts = run.admin.projects.serviceAccounts;
  const inside = { project_id: project };
  const made = await accounts.create(project, { name: "Crawler", expires_in_seconds: 3600 });
  equal("a service account", [made.name, made.role, made.api_key.name], ["Crawler", "member", "Secret Key"]);
  equal("its key ends when asked to", made.api_key.expires_at, made.api_key.created_at + 3600);
  const bare = await accounts.create(project, { name: "Bare", create_service_account_only: true });
  equal("a service account without a key", [bare.name, bare.role, bare.api_key], ["Bare", "none", null]);
  await accounts.create(project, { name: "Third" });

  const changed = await accounts.update(made.id, { ...inside, name: "Indexer", role: "owner" });
  equal("a service account is changed", [changed.id, changed.name, changed.role], [made.id, "Indexer", "owner"]);
  equal("and reads so", await accounts.retrieve(made.id, inside), changed);
  const listed = await pages(run, "service accounts", (words) => accounts.list(project, words));
  among("both are listed", [made.id, bare.id], listed);

  const gone = await accounts.delete(bare.id, inside);
  equal("a service account is deleted", [gone.id, gone.deleted], [bare.id, true]);
  const again = () => accounts.retrieve(bare.id, inside);
  await refused("and not found any more", NotFoundError, again, { code: "not_found" });
  return made.id;
}

/** Keys of a service account and of a person: listed, changed, deleted. Returns the id of one. */
export async function keys(run, project, account) {
  const keys = run.admin.projects.apiKeys;
  const inside = { project_id: project };
  const asked = { ...inside, name: "Second key", scopes: ["api.model.request"], expires_in_seconds: 600 };
  const made = await run.admin.projects.serviceAccounts.apiKeys.create(account, asked);
  equal("a second key", [made.name, made.expires_at], ["Second key", made.created_at + 600]);
  check("it is shown in full", made.value.startsWith("sk-svcacct-"));
  const path = `/organization/projects/${project}/api_keys`;
  const own = (await run.extension(path, { name: "A person's key", user_id: run.owner })).id;

  const list = (words) => keys.list(project, words);
  const listed = await pages(run, "keys", (words) => list({ owner_project_access: "any", ...words }));
  among("both are listed", [made.id, own], listed);
  const active = await Array.fromAsync(list({ owner_project_access: "active" }));
  equal("all of owners who have access", active.map((key) => key.id), listed);
  equal("none of those who have none", (await list({ owner_project_access: "inactive" })).data, []);

  const personal = await keys.retrieve(own, inside);
  equal("a person's key", [personal.owner.type, personal.owner.user.id], ["user", run.owner]);
  const read = await keys.retrieve(made.id, inside);
  equal("a service account's key", [read.owner.type, read.owner.service_account.id], ["service_account", account]);
  check("it hides its value", read.redacted_value.endsWith(made.value.slice(-3)) && !("value" in read), read);
  const changed = await keys.update(made.id, { ...inside, scopes: [], expires_in_seconds: 7200 });
  check("a key ends later", changed.expires_at > made.expires_at, changed);

  const gone = await keys.delete(own, inside);
  equal("a key is deleted", [gone.id, gone.deleted], [own, true]);
  await refused("and not found any more", NotFoundError, () => keys.retrieve(own, inside), { code: "not_found" });
  const itsKey = () => keys.delete(made.id, inside);
  await refused("a service account's key goes with it", BadRequestError, itsKey, { code: "service_account_key" });
  return made.id;
}
