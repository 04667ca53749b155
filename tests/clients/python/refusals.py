"""What is refused: wrong keys, unknown things, bad words; and everything that was taken away, from that moment on."""

import openai

from checks import Failed, check, equal, refused
from traffic import messages


def wrong_keys(run, spender):
    """Each kind of key opens its own door only."""
    model = next(iter(run.prices))

    def chat(value):
        return lambda: run.client_of(value).chat.completions.create(model=model, messages=messages("Say hello."))

    def projects(value):
        return run.client_of(value).admin.organization.projects.list

    for value in ("sk-admin-wrong", "sk-proj-wrong", "nonsense"):
        refused(f"{value} does not administer", openai.AuthenticationError, projects(value), "invalid_api_key")
        refused(f"{value} calls no model", openai.AuthenticationError, chat(value), "invalid_api_key")
    refused("a project key does not administer", openai.PermissionDeniedError, projects(spender.value))
    refused("an admin key calls no model", openai.PermissionDeniedError, chat(run.admin_key))


def unknown_things(run, project_id, spender):
    """Ids that do not exist."""
    admin, client = run.admin, run.client_of(spender.value)
    refused("an unknown project", openai.NotFoundError, lambda: admin.projects.retrieve("proj_unknown"))
    refused("an unknown project's keys", openai.NotFoundError, lambda: admin.projects.api_keys.list("proj_unknown"))
    refused(
        "an unknown service account",
        openai.NotFoundError,
        lambda: admin.projects.service_accounts.retrieve("svc_acct_unknown", project_id=project_id),
    )
    refused(
        "an unknown key",
        openai.NotFoundError,
        lambda: admin.projects.api_keys.retrieve("key_unknown", project_id=project_id),
    )
    refused("an unknown admin key", openai.NotFoundError, lambda: admin.admin_api_keys.retrieve("key_unknown"))
    refused(
        "an unknown model",
        openai.NotFoundError,
        lambda: client.chat.completions.create(model="no-such-model", messages=messages("Say hello.")),
        "model_not_found",
    )


def bad_words(run, project_id):
    """Parameters out of range are named."""
    admin, bad = run.admin, openai.BadRequestError
    usage = admin.usage.completions
    refused("a limit below its range", bad, lambda: admin.projects.list(limit=0), param="limit")
    refused("a limit that is no number", bad, lambda: admin.projects.list(limit="many"), param="limit")
    refused("too many buckets", bad, lambda: usage(start_time=run.started, limit=32), param="limit")
    refused("an unknown group", bad, lambda: usage(start_time=run.started, group_by=["colour"]), param="group_by")
    refused("an unknown width", bad, lambda: usage(start_time=run.started, bucket_width="2d"), param="bucket_width")
    refused(
        "costs by the hour",
        bad,
        lambda: admin.usage.costs(start_time=run.started, bucket_width="1h"),
        param="bucket_width",
    )
    refused("no start", bad, lambda: usage(start_time=None, extra_query={"bucket_width": "1d"}), param="start_time")
    refused("an unknown event type", bad, lambda: admin.audit_logs.list(event_types=["no.such"]), param="event_types")
    refused("an unknown cursor", bad, lambda: admin.projects.list(after="proj_unknown"), param="after")
    refused("an empty name", bad, lambda: admin.projects.create(name=""), param="name")
    refused("a name that is no text", bad, lambda: admin.projects.create(name=7), param="name")
    refused("an unknown field", bad, lambda: admin.projects.create(name="x", extra_body={"colour": 1}), param="colour")
    refused("an unknown parameter", bad, lambda: admin.projects.list(extra_query={"colour": 1}), param="colour")
    refused(
        "an empty name of a service account",
        bad,
        lambda: admin.projects.service_accounts.create(project_id, name=""),
        param="name",
    )
    refused(
        "an expiry out of range",
        bad,
        lambda: admin.admin_api_keys.create(name="x", expires_in_seconds=0),
        param="expires_in_seconds",
    )
    answer = run.post("/organization/projects", content=b'{"name":', headers={"Content-Type": "application/json"})
    equal("broken JSON is refused", (answer.status_code, answer.json()["error"]["type"]), (400, "invalid_request_error"))


def revocations(run, project_id, account_id, account_keys, user_key):
    """Whatever is deleted or archived stops at once."""
    admin = run.admin
    keys, accounts = admin.projects.api_keys, admin.projects.service_accounts

    def dead(name, spender):
        model = next(iter(run.prices))
        client = run.client_of(spender.value)
        call = lambda: client.chat.completions.create(model=model, messages=messages("Say hello."))  # noqa: E731
        refused(name, openai.AuthenticationError, call, "invalid_api_key")

    refused(
        "a service account's key is not deleted here",
        openai.BadRequestError,
        lambda: keys.delete(account_keys[0].key, project_id=project_id),
    )
    gone = keys.delete(user_key.key, project_id=project_id)
    run.wrote("api_key.deleted", user_key.key, project_id)
    equal("a user's key is deleted", (gone.id, gone.deleted), (user_key.key, True))
    dead("and calls no model from then on", user_key)

    gone = accounts.delete(account_id, project_id=project_id)
    lost = [("api_key.deleted", spender.key) for spender in account_keys]
    run.wrote("service_account.deleted", account_id, project_id, lost)
    equal("a service account is deleted", (gone.id, gone.deleted), (account_id, True))
    for spender in account_keys:
        dead("its keys call no model from then on", spender)
    equal("the project has no keys", list(keys.list(project_id, owner_project_access="any")), [])
    equal("the project has no service accounts", list(accounts.list(project_id)), [])


def archived(run, project_id, spender):
    """An archived project is closed."""
    projects = run.admin.projects
    made = projects.archive(project_id)
    run.wrote("project.archived", project_id, project_id)
    check("a project is archived", made.status == "archived" and (made.archived_at or 0) >= made.created_at, made)
    client = run.client_of(spender.value)
    model = next(iter(run.prices))
    refused(
        "its keys call no model from then on",
        openai.AuthenticationError,
        lambda: client.chat.completions.create(model=model, messages=messages("Say hello.")),
        "invalid_api_key",
    )
    refused("it is not renamed", openai.BadRequestError, lambda: projects.update(project_id, name="Again"))
    refused(
        "it gets no service account",
        openai.BadRequestError,
        lambda: projects.service_accounts.create(project_id, name="Late"),
    )
    if project_id in [item.id for item in projects.list()]:
        raise Failed("an archived project is listed")
    check("it is listed when asked for", project_id in [item.id for item in projects.list(include_archived=True)])
