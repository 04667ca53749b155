"""The audit log: every write, and nothing else."""

from collections import Counter

from checks import Failed, check, equal


def events(run, **filters):
    """All events, read page by page, newest first."""
    return list(run.admin.audit_logs.list(**filters))


def changes(run, **filters):
    """All events but refused sign-ins, which no write makes."""
    return [event for event in events(run, **filters) if event.type != "login.failed"]


def known(run):
    """The events that were there before the run."""
    return {event.id for event in events(run, limit=100)}


def resource(event):
    """The id of what an event is about. The payload's name is the event's type, dots and all."""
    return event.to_dict()[event.type]["id"]


def named(found):
    """Events as (type, resource), counted."""
    return Counter((event.type, resource(event)) for event in found)


def complete(run, before):
    """Every write has its event, and every event its write."""
    found = [event for event in changes(run, limit=100) if event.id not in before]
    wanted = Counter((write.type, write.resource) for write in run.writes)
    companions = Counter(pair for write in run.writes for pair in write.companions)
    got = named(found)
    equal("every write is in the audit log", wanted - got, Counter())
    equal("and nothing else is", got - wanted - companions, Counter())
    check("a deleted key that was used is, too", events(run, event_types=["login.failed"]))
    check("newest first", all(a.effective_at >= b.effective_at for a, b in zip(found, found[1:])))
    return found


def filters(run, found, second_key):
    """Each filter returns exactly the events it asks for."""
    ids = {event.id for event in found}

    def ours(**words):
        return {event.id for event in events(run, limit=100, **words) if event.id in ids}

    for kind in sorted({event.type for event in found}):
        equal(f"events of type {kind}", ours(event_types=[kind]), {event.id for event in found if event.type == kind})
    both = ["project.created", "project.updated"]
    equal("events of two types", ours(event_types=both), {event.id for event in found if event.type in both})

    for write in (run.writes[0], run.writes[-1]):
        about = {event.id for event in found if resource(event) == write.resource}
        equal(f"events about {write.resource}", ours(resource_ids=[write.resource]), about)

    project = next(write.project for write in run.writes if write.type == "service_account.created")
    inside = {write.resource for write in run.writes if write.project == project and not write.type.startswith("project.")}
    inside |= {about for write in run.writes if write.project == project for _, about in write.companions}
    got = {event.id for event in changes(run, limit=100, project_ids=[project]) if not event.type.startswith("project.")}
    equal("events of one project", got, {event.id for event in found if resource(event) in inside})
    equal("events of no project", ours(project_ids=["proj_unknown"]), set())

    times = sorted(event.effective_at for event in found)
    middle = times[len(times) // 2]
    for word, holds in (
        ("gt", lambda at: at > middle),
        ("gte", lambda at: at >= middle),
        ("lt", lambda at: at < middle),
        ("lte", lambda at: at <= middle),
    ):
        wanted = {event.id for event in found if holds(event.effective_at)}
        equal(f"events by effective_at[{word}]", ours(effective_at={word: middle}), wanted)
    actors(run, found, ours, second_key)


def actors(run, found, ours, second_key):
    """Who wrote: the keys of this run."""
    by = {event.id: event.actor and event.actor.api_key and event.actor.api_key.id for event in found}
    check("every event names the key that wrote", all(by.values()), by)
    equal("two keys wrote", len(set(by.values())), 2)
    for key in set(by.values()):
        equal(f"events by the key {key}", ours(actor_ids=[key]), {event for event, actor in by.items() if actor == key})
    check("one of them is the second admin key", second_key in by.values(), by)
    equal("events by nobody", ours(actor_ids=["key_unknown"]), set())


def pages(run):
    """Pages of two, forwards with `after` and backwards with `before`, hold the same events as one long list."""
    whole = [event.id for event in events(run, limit=100)]
    equal("forwards, two to a page", [event.id for event in events(run, limit=2)], whole)
    backwards, cursor = [], whole[-1]
    while True:
        page = [event.id for event in run.admin.audit_logs.list(limit=2, before=cursor).data]
        if not page:
            break
        if set(page) & set(backwards):
            raise Failed(f"a page before {cursor} repeats events")
        backwards, cursor = page + backwards, page[0]
    equal("backwards, two to a page", backwards, whole[:-1])
    first = run.admin.audit_logs.list(limit=2)
    equal("a page says that there is more", (first.has_more, first.last_id), (True, whole[1]))
