// Projects: created, read, changed and archived.

import { BadRequestError, NotFoundError } from "openai";

import { among, check, equal, refused } from "./checks.mjs";
import { pages } from "./paging.mjs";

/** Returns a project for everything else to happen in. */
export async function projects(run) {
  const { projects } = run.admin;
  const asked = { name: "Search", external_key_id: "key-of-ours", residency: "EU_STORAGE_PROCESSING" };
  const made = await projects.create(asked);
  equal("a new project", { ...made, ...asked, status: "active", archived_at: null }, made);
  equal("a project reads as it was created", await projects.retrieve(made.id), made);
  const changed = await projects.update(made.id, { name: "Search and find", external_key_id: null });
  equal("a project is changed", [changed.name, changed.external_key_id], ["Search and find", null]);
  equal("an update of nothing changes nothing", await projects.update(made.id, {}), changed);

  const others = [];
  for (const name of ["Alpha", "Beta", "Gamma"]) others.push((await projects.create({ name, geography: "US" })).id);
  const listed = await pages(run, "projects", (words) => projects.list(words));
  among("all of them are listed", [made.id, ...others], listed);

  const gone = await projects.archive(others[0]);
  equal("a project is archived", [gone.id, gone.status], [others[0], "archived"]);
  check("and says when", gone.archived_at >= gone.created_at, gone);
  const inUse = await pages(run, "projects in use", (words) => projects.list(words));
  equal("it is not listed any more", inUse, listed.filter((id) => id !== others[0]));
  const everything = await pages(run, "all projects", (words) => projects.list({ include_archived: true, ...words }));
  equal("unless archived ones are asked for", everything, listed);
  const rename = () => projects.update(others[0], { name: "x" });
  await refused("it is not renamed", BadRequestError, rename, { code: "project_archived" });
  const unknown = () => projects.retrieve("proj_unknown");
  await refused("an unknown project", NotFoundError, unknown, { code: "not_found" });
  return made.id;
}
