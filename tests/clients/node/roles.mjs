// Custom roles of the organization and of a project, and who has them.

import { BadRequestError, NotFoundError } from "openai";

import { among, check, equal, refused } from "./checks.mjs";
import { pages } from "./paging.mjs";

/** Roles of the organization: made, given to a person and to a group, taken back. */
export async function organizationRoles(run, group) {
  const { roles, users, groups } = run.admin;
  const calls = {
    create: (body) => roles.create(body),
    list: (words) => roles.list(words),
    retrieve: (id) => roles.retrieve(id),
    update: (id, body) => roles.update(id, body),
    delete: (id) => roles.delete(id),
  };
  const made = await custom(run, calls, "api.organization");
  const user = run.people[0].id;
  await assigned(run, "roles of a user", users.roles, user, made, { user_id: user });
  await assigned(run, "roles of a group", groups.roles, group, made, { group_id: group });
}

/** The same in a project. */
export async function projectRoles(run, project, user, group) {
  const { roles, users, groups } = run.admin.projects;
  const inside = { project_id: project };
  const calls = {
    create: (body) => roles.create(project, body),
    list: (words) => roles.list(project, words),
    retrieve: (id) => roles.retrieve(id, inside),
    update: (id, body) => roles.update(id, { ...inside, ...body }),
    delete: (id) => roles.delete(id, inside),
  };
  const made = await custom(run, calls, "api.project");
  await assigned(run, "roles of a user in a project", users.roles, user, made, { user_id: user }, inside);
  await assigned(run, "roles of a group in a project", groups.roles, group, made, { group_id: group }, inside);
}

/** Makes, reads, changes and deletes roles of that kind. Returns three that stay. */
async function custom(run, roles, kind) {
  const made = await roles.create({ role_name: "Auditor", permissions: ["api.roles.read"], description: "Looks." });
  const got = [made.name, made.permissions, made.description, made.resource_type, made.predefined_role];
  equal(`a role, ${kind}`, got, ["Auditor", ["api.roles.read"], "Looks.", kind, false]);
  equal("a role reads as it was created", await roles.retrieve(made.id), made);
  const permissions = ["api.model.read", "api.roles.read"];
  const changed = await roles.update(made.id, { role_name: "Inspector", permissions, description: null });
  const after = [changed.id, changed.name, changed.permissions.toSorted(), changed.description];
  equal("a role is changed", after, [made.id, "Inspector", permissions, null]);
  const again = () => roles.create({ role_name: "inspector", permissions: [] });
  await refused("a name is taken once", BadRequestError, again, { param: "role_name" });

  const others = [];
  for (const role_name of ["Alpha", "Beta", "Gamma"]) {
    others.push(await roles.create({ role_name, permissions: ["api.model.read"] }));
  }
  const own = [changed, ...others];
  const listed = await pages(run, `roles, ${kind}`, roles.list);
  among("all are listed", own.map((role) => role.id), listed);
  const predefined = (await Array.fromAsync(roles.list())).filter((role) => role.predefined_role);
  check("the predefined ones too", predefined.length === listed.length - own.length && predefined.length > 0, predefined);
  const forbidden = () => roles.delete(predefined[0].id);
  await refused("which are not deleted", BadRequestError, forbidden, { code: "predefined_role" });

  const last = own.pop();
  const gone = await roles.delete(last.id);
  equal("a role is deleted", [gone.id, gone.deleted], [last.id, true]);
  await refused("and not found any more", NotFoundError, () => roles.retrieve(last.id), { code: "not_found" });
  return own;
}

/** Gives somebody these roles, and takes one away again. */
async function assigned(run, name, roles, holder, some, where, inside = {}) {
  for (const role of some) {
    const made = await roles.create(holder, { ...inside, role_id: role.id });
    const party = "user_id" in where ? made.user : made.group;
    equal(`${name}: one is given`, [made.role.id, party.id], [role.id, holder]);
  }
  const again = await roles.create(holder, { ...inside, role_id: some[0].id });
  equal(`${name}: the one that is there`, again.role.id, some[0].id);
  const read = await roles.retrieve(some[1].id, { ...where, ...inside });
  const { id, permissions } = some[1];
  const got = [read.id, read.name, read.permissions, read.predefined_role];
  equal(`${name}: one reads`, got, [id, some[1].name, permissions, false]);
  const listed = await pages(run, name, (words) => roles.list(holder, { ...inside, ...words }));
  among(`${name}: all are listed`, some.map((role) => role.id), listed);

  const gone = await roles.delete(some[0].id, { ...where, ...inside });
  equal(`${name}: one is taken away`, gone.deleted, true);
  const absent = () => roles.retrieve(some[0].id, { ...where, ...inside });
  await refused(`${name}: and not found any more`, NotFoundError, absent, { code: "not_found" });
}
