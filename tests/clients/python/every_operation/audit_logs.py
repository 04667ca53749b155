"""The audit log of this run."""

from functools import partial

from checks import check, equal

from .paging import pages


def audit_logs(run, project):
    """Read page by page, and with every filter."""
    read = run.admin.audit_logs.list
    kinds = ["group.created", "group.updated", "group.deleted"]
    groups = pages(run, "events about groups", partial(read, event_types=kinds))
    found = [event for event in read(limit=100) if event.type in kinds]
    equal("they are those of the whole log", [event.id for event in found], groups)
    check("the newest is first", all(a.effective_at >= b.effective_at for a, b in zip(found, found[1:])))
    events = list(read(project_ids=[project], limit=100))
    check("events of a project", events and all(event.project.id == project for event in events), events)

    one = found[-1]
    about = one.to_dict()[one.type]["id"]
    ids = [event.id for event in found if event.to_dict()[event.type]["id"] == about]
    equal("events about one group", [event.id for event in read(resource_ids=[about], event_types=kinds)], ids)
    actor = one.actor.api_key
    equal("its actor is our key", (actor.type, actor.user.id), ("user", run.owner))
    for words in ({"actor_ids": [actor.id]}, {"actor_emails": [actor.user.email]}):
        equal(f"events by {words}", [event.id for event in read(event_types=kinds, **words)], groups)
    equal("events by nobody", list(read(actor_ids=["user-nobody"])), [])

    at = found[len(found) // 2].effective_at
    compare = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}
    for word, holds in compare.items():
        got = [event.id for event in read(effective_at={word: at}, event_types=kinds)]
        equal(f"events by effective_at[{word}]", got, [event.id for event in found if holds(event.effective_at, at)])
    tenant = list(read(tenant_only=True, event_types=["role.bound_to_resource"]))
    equal("there are no tenants", tenant, [])
