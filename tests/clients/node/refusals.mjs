// What is refused, and the errors that the client makes of it.

import { AuthenticationError, BadRequestError, NotFoundError, PermissionDeniedError } from "openai";

import { refused } from "./checks.mjs";

/** One of each kind. */
export async function refusals(run, project) {
  const { projects, groups, users, roles } = run.admin;
  const wrong = run.clientOf("sk-admin-wrong").admin.organization.projects;
  await refused("a wrong key", AuthenticationError, () => wrong.list(), { code: "invalid_api_key" });
  const account = await projects.serviceAccounts.create(project, { name: "No administrator" });
  const other = run.clientOf(account.api_key.value).admin.organization.projects;
  await refused("a project's key", PermissionDeniedError, () => other.list());
  await refused("an unknown group", NotFoundError, () => groups.retrieve("group_unknown"), { code: "not_found" });

  const bad = (name, call, param) => refused(name, BadRequestError, call, { param });
  await bad("an empty name", () => projects.create({ name: "" }), "name");
  await bad("a limit of 0", () => projects.list({ limit: 0 }), "limit");
  await bad("an unknown field", () => groups.create({ name: "x", colour: 1 }), "colour");
  await bad("an unknown parameter", () => users.list({ colour: 1 }), "colour");
  await bad("a permission that is none", () => roles.create({ role_name: "x", permissions: ["fly"] }), "permissions");
}
