// The audit log of this run.

import { check, equal } from "./checks.mjs";
import { pages } from "./paging.mjs";

/** Read page by page, and with every filter. */
export async function auditLogs(run, project) {
  const read = (words) => run.admin.auditLogs.list(words);
  const ids = async (words) => (await Array.fromAsync(read(words))).map((event) => event.id);
  const event_types = ["group.created", "group.updated", "group.deleted"];
  const groups = await pages(run, "events about groups", (words) => read({ event_types, ...words }));
  const everything = await Array.fromAsync(read({ limit: 100 }));
  const found = everything.filter((event) => event_types.includes(event.type));
  equal("they are those of the whole log", found.map((event) => event.id), groups);
  const times = found.map((event) => event.effective_at);
  equal("the newest is first", times, times.toSorted().toReversed());
  const inside = await Array.fromAsync(read({ project_ids: [project], limit: 100 }));
  check("events of a project", inside.length > 0 && inside.every((event) => event.project.id === project), inside);

  const first = found.at(-1);
  const about = (event) => event[event.type].id;
  const same = found.filter((event) => about(event) === about(first)).map((event) => event.id);
  equal("events about one group", await ids({ resource_ids: [about(first)], event_types }), same);
  const actor = first.actor.api_key;
  equal("its actor is our key", [actor.type, actor.user.id], ["user", run.owner]);
  equal("events by the key", await ids({ actor_ids: [actor.id], event_types }), groups);
  equal("events by its owner", await ids({ actor_emails: [actor.user.email], event_types }), groups);
  equal("events by nobody", await ids({ actor_ids: ["user-nobody"] }), []);

  const at = times[Math.floor(times.length / 2)];
  const compare = { gt: (time) => time > at, gte: (time) => time >= at, lt: (time) => time < at, lte: (time) => time <= at };
  for (const [word, holds] of Object.entries(compare)) {
    const wanted = found.filter((event) => holds(event.effective_at)).map((event) => event.id);
    equal(`events by effective_at[${word}]`, await ids({ effective_at: { [word]: at }, event_types }), wanted);
  }
  equal("there are no tenants", await ids({ tenant_only: true, event_types: ["role.bound_to_resource"] }), []);
}
