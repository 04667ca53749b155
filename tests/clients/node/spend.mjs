// Spend alerts and spend limits, of the organization and of a project.

import { NotFoundError } from "openai";

import { equal, refused } from "./checks.mjs";
import { pages } from "./paging.mjs";

/** The same things in both places. */
export async function spend(run, project) {
  const { spendAlerts, spendLimit, projects } = run.admin;
  await alerts(run, "organization", spendAlerts, [], {});
  await alerts(run, "project", projects.spendAlerts, [project], { project_id: project });
  await limit("organization", spendLimit, []);
  await limit("project", projects.spendLimit, [project]);
}

/** All of an alert but its id. */
function alert(cents, channel) {
  const notification_channel = { type: "email", recipients: ["ops@example.com"], ...channel };
  return { threshold_amount: cents, currency: "USD", interval: "month", notification_channel };
}

/** Alerts: created, read, changed, listed, deleted. */
async function alerts(run, where, alerts, project, inside) {
  // The organization's methods take an id and the body, a project's want the project among the body.
  const of = (id, body) => (project.length > 0 ? [id, { ...inside, ...body }] : body ? [id, body] : [id]);
  const asked = alert(5000, { subject_prefix: "[spend]" });
  const made = await alerts.create(...project, asked);
  equal(`a ${where}'s alert`, made, { ...made, ...asked, object: `${where}.spend_alert` });
  equal("it reads as it was created", await alerts.retrieve(...of(made.id)), made);
  const wanted = alert(7500, { recipients: ["ops@example.com", "money@example.com"] });
  const changed = await alerts.update(...of(made.id, wanted));
  const { recipients, subject_prefix = null } = changed.notification_channel;
  const got = [changed.id, changed.threshold_amount, recipients, subject_prefix];
  equal("it is replaced", got, [made.id, 7500, wanted.notification_channel.recipients, null]);
  const others = [];
  for (const cents of [0, 100, 200]) others.push((await alerts.create(...project, alert(cents))).id);
  const listed = await pages(run, `a ${where}'s alerts`, (words) => alerts.list(...project, words));
  equal("all are listed", listed, [made.id, ...others]);

  const gone = await alerts.delete(...of(made.id));
  equal("an alert is deleted", [gone.id, gone.deleted], [made.id, true]);
  await refused("and not found any more", NotFoundError, () => alerts.retrieve(...of(made.id)), { code: "not_found" });
}

/** The limit: not set, set, replaced, removed. */
async function limit(where, limit, project) {
  const absent = () => limit.retrieve(...project);
  await refused(`a ${where} has no limit at first`, NotFoundError, absent, { code: "not_found" });
  for (const cents of [1, 10_000_000]) {
    const asked = { threshold_amount: cents, currency: "USD", interval: "month" };
    const made = await limit.update(...project, asked);
    equal(`a ${where}'s limit`, made, { ...made, ...asked, object: `${where}.spend_limit` });
    equal("it is enforced", made.enforcement.status, "enforcing");
    equal("it reads as it was set", await limit.retrieve(...project), made);
  }
  equal("it is removed", (await limit.delete(...project)).deleted, true);
  await refused("and not found any more", NotFoundError, absent, { code: "not_found" });
}
