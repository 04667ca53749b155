// Certificates: uploaded, activated for the organization and for a project, deleted.

import { BadRequestError, NotFoundError } from "openai";

import { check, equal, refused } from "./checks.mjs";
import { pages } from "./paging.mjs";

/** The whole life of some. */
export async function certificates(run, project) {
  const { certificates } = run.admin;
  const [pem, ...more] = run.certificates;
  const made = await certificates.create({ certificate: pem, name: "Gate" });
  equal("a certificate", [made.object, made.name, "content" in made.certificate_details], ["certificate", "Gate", false]);
  check("it is valid for a while", made.certificate_details.expires_at > made.certificate_details.valid_at, made);
  equal("a certificate reads as it was uploaded", await certificates.retrieve(made.id), made);
  const { content } = (await certificates.retrieve(made.id, { include: ["content"] })).certificate_details;
  equal("its content is shown when asked for", content.split(/\s+/).join("\n"), pem.split(/\s+/).join("\n"));
  const renamed = await certificates.update(made.id, { name: "Back gate" });
  equal("a certificate is renamed", renamed, { ...made, name: "Back gate" });
  const ids = [made.id];
  for (const certificate of more) ids.push((await certificates.create({ certificate })).id);
  const list = (words) => certificates.list(words);
  equal("the newest is listed first", await pages(run, "certificates", list), ids.toReversed());

  const inside = run.admin.projects.certificates;
  const own = {
    activate: (body) => inside.activate(project, body),
    deactivate: (body) => inside.deactivate(project, body),
    list: (words) => inside.list(project, words),
  };
  equal("a project has them all", await pages(run, "certificates of a project", own.list), ids.toReversed());
  await toggled(certificates, "organization", ids.slice(0, 2));
  await toggled(own, "organization.project", ids.slice(1));

  const first = { certificate_ids: [made.id] };
  await certificates.activate(first);
  const early = () => certificates.delete(made.id);
  await refused("an active one stays", BadRequestError, early, { code: "certificate_active" });
  await certificates.deactivate(first);
  equal("one is deleted", (await certificates.delete(made.id)).id, made.id);
  await refused("and not found any more", NotFoundError, () => certificates.retrieve(made.id), { code: "not_found" });
}

/** Activates some and deactivates them again. */
async function toggled(calls, where, ids) {
  for (const [action, active] of [["activate", true], ["deactivate", false]]) {
    const page = await calls[action]({ certificate_ids: ids });
    const got = page.data.map((item) => [item.id, item.object, item.active]).toSorted();
    equal(page.object, got, ids.map((id) => [id, `${where}.certificate`, active]).toSorted());
    const listed = await Array.fromAsync(calls.list());
    check("as the list says", listed.every((item) => item.active === (active && ids.includes(item.id))), listed);
  }
}
