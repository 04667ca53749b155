// People: invited, and in the organization and its projects.

import { BadRequestError, NotFoundError } from "openai";

import { among, check, equal, refused } from "./checks.mjs";
import { pages } from "./paging.mjs";

/** Sent, listed and taken back. */
export async function invites(run, project) {
  const { invites } = run.admin;
  const asked = { email: "ada@example.com", role: "owner", projects: [{ id: project, role: "member" }] };
  const made = await invites.create(asked);
  equal("an invite", { ...made, ...asked, status: "pending" }, made);
  check("it ends", made.expires_at > made.created_at, made);
  equal("an invite reads as it was sent", await invites.retrieve(made.id), made);
  const again = () => invites.create({ email: "ADA@example.com", role: "reader" });
  await refused("a second one to the same address", BadRequestError, again, { param: "email" });

  const nowhere = await invites.create({ email: "konrad@example.com", role: "reader", projects: [] });
  equal("an invite to no project", nowhere.projects, []);
  const byDefault = await invites.create({ email: "edsger@example.com", role: "reader" });
  equal("an invite to the default project", byDefault.projects.length, 1);
  const listed = await pages(run, "invites", (words) => invites.list(words));
  among("all are listed", [made.id, nowhere.id, byDefault.id], listed);

  const gone = await invites.delete(made.id);
  equal("an invite is deleted", [gone.id, gone.deleted], [made.id, true]);
  await refused("and not found any more", NotFoundError, () => invites.retrieve(made.id), { code: "not_found" });
  const accepted = (await Array.fromAsync(invites.list())).find((invite) => invite.status === "accepted");
  await refused("an accepted one stays", BadRequestError, () => invites.delete(accepted.id), { code: "invite_accepted" });
}

/** Listed, changed, and one of them deleted, who is a person no more. */
export async function users(run) {
  const { users } = run.admin;
  const listed = await pages(run, "users", (words) => users.list(words));
  const everybody = [run.owner, ...run.people.map((user) => user.id)];
  equal("they are the owner and the people", listed.toSorted(), everybody.toSorted());
  const [one, two] = run.people;
  const found = await users.list({ emails: [one.email.toUpperCase(), two.email] });
  equal("found by their addresses", found.data.map((user) => user.id), [one.id, two.id]);

  equal("a user reads as listed", await users.retrieve(one.id), one);
  const asked = { role: "owner", technical_level: "expert", developer_persona: "tinkerer" };
  equal("a user is changed", await users.update(one.id, asked), { ...one, ...asked });
  const back = await users.update(one.id, { role_id: "role_organization_reader", technical_level: null });
  equal("and changed back", [back.role, back.technical_level ?? null, back.developer_persona], ["reader", null, "tinkerer"]);
  equal("an update of nothing changes nothing", await users.update(one.id, {}), back);
  const demote = () => users.update(run.owner, { role: "reader" });
  await refused("the last owner stays one", BadRequestError, demote, { code: "last_owner" });

  const last = run.people.pop();
  const gone = await users.delete(last.id);
  equal("a user is deleted", [gone.id, gone.deleted], [last.id, true]);
  await refused("and not found any more", NotFoundError, () => users.retrieve(last.id), { code: "not_found" });
}

/** Added by id and by address, changed, listed and removed. Returns who stays. */
export async function projectUsers(run, project) {
  const { users } = run.admin.projects;
  const inside = { project_id: project };
  const [one, two, three, four] = run.people;
  const made = await users.create(project, { user_id: one.id, role: "owner" });
  equal("a user of a project", [made.id, made.name, made.email, made.role], [one.id, one.name, one.email, "owner"]);
  const added = await users.create(project, { email: two.email, role: "member" });
  equal("added by address", [added.id, added.role], [two.id, "member"]);
  for (const { id } of [three, four]) await users.create(project, { user_id: id, role: "member" });
  const again = () => users.create(project, { user_id: two.id, role: "owner" });
  await refused("nobody is added twice", BadRequestError, again, { code: "already_exists", param: "user_id" });

  const changed = await users.update(two.id, { ...inside, role: "owner" });
  equal("a user's role is changed", [changed.id, changed.role], [two.id, "owner"]);
  equal("and reads so", await users.retrieve(two.id, inside), changed);
  const listed = await pages(run, "users of a project", (words) => users.list(project, words));
  equal("all are listed", listed, [one.id, two.id, three.id, four.id]);
  const gone = await users.delete(four.id, inside);
  equal("a user is removed", [gone.id, gone.deleted], [four.id, true]);
  await refused("and not found any more", NotFoundError, () => users.retrieve(four.id, inside), { code: "not_found" });
  return one.id;
}
