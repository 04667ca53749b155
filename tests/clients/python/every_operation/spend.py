"""Spend alerts and spend limits, of the organization and of a project."""

from functools import partial

import openai

from checks import equal, refused

from .paging import pages


def spend(run, project):
    """The same things in both places."""
    admin = run.admin
    alerts("organization", run, admin.spend_alerts)
    alerts("project", run, admin.projects.spend_alerts, project)
    limit("organization", admin.spend_limit)
    limit("project", admin.projects.spend_limit, project)


def alert(cents, *recipients, **words):
    """All of an alert but its id."""
    channel = {"type": "email", "recipients": list(recipients)} | words
    return {"threshold_amount": cents, "currency": "USD", "interval": "month", "notification_channel": channel}


def alerts(where, run, alerts, *project):
    """Alerts: created, read, changed, listed, deleted."""
    inside = {"project_id": project[0]} if project else {}
    wanted = alert(5000, "ops@example.com", subject_prefix="[spend]")
    made = alerts.create(*project, **wanted)
    equal(f"a {where}'s alert", made.to_dict(), wanted | {"id": made.id, "object": f"{where}.spend_alert"})
    equal("it reads as it was created", alerts.retrieve(made.id, **inside), made)
    wanted = alert(7500, "ops@example.com", "money@example.com")
    changed = alerts.update(made.id, **inside, **wanted)
    channel = changed.notification_channel
    got = (changed.id, changed.threshold_amount, channel.recipients, channel.subject_prefix)
    equal("it is replaced", got, (made.id, 7500, ["ops@example.com", "money@example.com"], None))
    others = [alerts.create(*project, **alert(cents, "ops@example.com")).id for cents in (0, 100, 200)]
    listed = pages(run, f"a {where}'s alerts", partial(alerts.list, *project))
    equal("all are listed", listed, [made.id, *others])

    gone = alerts.delete(made.id, **inside)
    equal("an alert is deleted", (gone.id, gone.deleted), (made.id, True))
    refused("and not found any more", openai.NotFoundError, lambda: alerts.retrieve(made.id, **inside), "not_found")


def limit(where, limit, *project):
    """The limit: not set, set, replaced, removed."""
    absent = partial(limit.retrieve, *project)
    refused(f"a {where} has no limit at first", openai.NotFoundError, absent, "not_found")
    for cents in (1, 10_000_000):
        made = limit.update(*project, threshold_amount=cents, currency="USD", interval="month")
        got = (made.threshold_amount, made.currency, made.interval)
        equal(f"a {where}'s limit", got, (cents, "USD", "month"))
        equal("it is enforced", made.enforcement.status, "enforcing")
        equal("it reads as it was set", limit.retrieve(*project), made)
    equal("it is removed", limit.delete(*project).deleted, True)
    refused("and not found any more", openai.NotFoundError, absent, "not_found")
