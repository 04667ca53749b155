// Groups, the people in them, and the projects that they work in.

import { BadRequestError, NotFoundError } from "openai";

import { check, equal, refused } from "./checks.mjs";
import { pages } from "./paging.mjs";

/** Created, renamed, listed, deleted. Returns three that stay. */
export async function groups(run) {
  const { groups } = run.admin;
  const made = await groups.create({ name: "Readers" });
  equal("a group", [made.name, made.group_type, made.is_scim_managed], ["Readers", "group", false]);
  equal("a group reads as it was created", await groups.retrieve(made.id), made);
  equal("a group is renamed", await groups.update(made.id, { name: "Writers" }), { ...made, name: "Writers" });
  const others = [];
  for (const name of ["Alpha", "Beta", "Gamma"]) others.push((await groups.create({ name })).id);
  equal("all are listed", await pages(run, "groups", (words) => groups.list(words)), [made.id, ...others]);

  const last = others.pop();
  const gone = await groups.delete(last);
  equal("a group is deleted", [gone.id, gone.deleted], [last, true]);
  await refused("and not found any more", NotFoundError, () => groups.retrieve(last), { code: "not_found" });
  return [made.id, ...others];
}

/** Added, listed and removed. */
export async function groupUsers(run, group) {
  const { users } = run.admin.groups;
  const people = run.people.slice(0, 4);
  for (const user of people) {
    const made = await users.create(group, { user_id: user.id });
    equal("a user of a group", [made.group_id, made.user_id], [group, user.id]);
  }
  const [first] = people;
  const again = () => users.create(group, { user_id: first.id });
  await refused("nobody is added twice", BadRequestError, again, { code: "already_exists", param: "user_id" });
  const inside = { group_id: group };
  const read = await users.retrieve(first.id, inside);
  const got = [read.id, read.name, read.email, read.is_service_account, read.user_type];
  equal("a user of a group reads", got, [first.id, first.name, first.email, false, "user"]);
  const listed = await pages(run, "users of a group", (words) => users.list(group, words));
  equal("the newest is listed first", listed, people.map((user) => user.id).toReversed());

  equal("a user is removed", (await users.delete(first.id, inside)).deleted, true);
  await refused("and not found any more", NotFoundError, () => users.retrieve(first.id, inside), { code: "not_found" });
}

/** Given a role in a project, listed and removed. The first one stays. */
export async function projectGroups(run, project, some) {
  const { groups } = run.admin.projects;
  const inside = { project_id: project };
  for (const group of some) {
    const made = await groups.create(project, { group_id: group, role: "role-api-project-viewer" });
    equal("a group of a project", [made.project_id, made.group_id, made.group_type], [project, group, "group"]);
    equal("it reads as it was added", await groups.retrieve(group, { ...inside, group_type: "group" }), made);
  }
  const list = (words) => groups.list(project, words);
  equal("all are listed", await pages(run, "groups of a project", list, (item) => item.group_id), some);
  const named = await Array.fromAsync(list({}));
  check("a group has its name", named.every((item) => item.group_name.length > 0), named);

  const last = some.at(-1);
  equal("a group is removed", (await groups.delete(last, inside)).deleted, true);
  await refused("and not found any more", NotFoundError, () => groups.retrieve(last, inside), { code: "not_found" });
}
