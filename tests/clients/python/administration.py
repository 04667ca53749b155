"""Projects, service accounts and keys: created, read and changed."""

import openai

from checks import Failed, check, equal, refused
from run import Spender


def project(run, name):
    """Creates a project and reads it back in every way."""
    projects = run.admin.projects
    made = projects.create(name=name)
    run.wrote("project.created", made.id, made.id)
    equal("a new project has its name", (made.name, made.status, made.archived_at), (name, "active", None))
    equal("a project reads as it was created", projects.retrieve(made.id), made)
    changed = projects.update(made.id, name=f"{name} (renamed)")
    run.wrote("project.updated", made.id, made.id)
    equal("a project is renamed", changed.name, f"{name} (renamed)")
    equal("an update of nothing changes nothing", projects.update(made.id), changed)
    listed = [item.id for item in projects.list(limit=1)]
    check("a list that is read page by page has every project", made.id in listed)
    check("and each of them once", len(listed) == len(set(listed)), listed)
    return made.id


def service_account(run, project_id):
    """Creates a service account with two keys; returns both as spenders, and the account's id."""
    accounts = run.admin.projects.service_accounts
    made = accounts.create(project_id, name="Application")
    if made.api_key is None:
        raise Failed("a new service account has no key")
    run.wrote("service_account.created", made.id, project_id, [("api_key.created", made.api_key.id)])
    equal("a new service account is a member", (made.name, made.role), ("Application", "member"))
    check("its key is shown in full", made.api_key.value.startswith("sk-svcacct-"), made.api_key.value[:11])

    read = accounts.retrieve(made.id, project_id=project_id)
    equal("a service account reads as it was created", (read.id, read.created_at), (made.id, made.created_at))
    changed = accounts.update(made.id, project_id=project_id, name="Application (renamed)", role="owner")
    run.wrote("service_account.updated", made.id, project_id)
    equal("a service account is changed", (changed.name, changed.role), ("Application (renamed)", "owner"))
    equal("a list has it", [item.id for item in accounts.list(project_id)], [made.id])

    second = accounts.api_keys.create(made.id, project_id=project_id, name="Second key")
    run.wrote("api_key.created", second.id, project_id)
    equal("a second key has its name", second.name, "Second key")
    first = Spender(project_id, made.api_key.id, made.api_key.value)
    return made.id, first, Spender(project_id, second.id, second.value)


def owner(run):
    """The user that owns the key this run is made with."""
    for key in run.admin.admin_api_keys.list():
        if key.owner.type == "user" and key.owner.id:
            return key.owner.id
    raise Failed("no admin key has a user as its owner")


def user_key(run, project_id, user_id):
    """Creates a key that a user owns, which the client has no method for."""
    path = f"/organization/projects/{project_id}/api_keys"
    answer = run.post(path, json={"name": "A person's key", "user_id": user_id})
    equal("a key for a user is created", answer.status_code, 200)
    made = answer.json()
    run.wrote("api_key.created", made["id"], project_id)
    equal("it belongs to that user", made["owner"]["user"]["id"], user_id)
    check("it is shown in full", made["value"].startswith("sk-proj-"), made["value"][:8])
    bad = run.post(path, json={"name": "A stranger's key", "user_id": "user-unknown"})
    check("a key for an unknown user is refused", bad.status_code in (400, 404), bad.text)
    return Spender(project_id, made["id"], made["value"])


def project_keys(run, project_id, spenders):
    """Lists, reads and changes the keys of a project."""
    keys = run.admin.projects.api_keys
    listed = {item.id: item for item in keys.list(project_id, owner_project_access="any", limit=2)}
    equal("a list has every key of the project", set(listed), {spender.key for spender in spenders})
    values = [spender.value for spender in spenders]
    check("and shows none of them", not any(value in item.to_json() for item in listed.values() for value in values))
    last = spenders[-1]
    equal("a key reads as it is listed", keys.retrieve(last.key, project_id=project_id), listed[last.key])
    changed = keys.update(last.key, project_id=project_id, scopes=["api.model.request", "api.model.read"])
    run.wrote("api_key.updated", last.key, project_id)
    equal("a key's scopes are changed", changed.id, last.key)


def admin_keys(run):
    """Creates an admin key, writes with it, and deletes it. Returns its id."""
    keys = run.admin.admin_api_keys
    made = keys.create(name="Second admin key", expires_in_seconds=3600)
    run.wrote("api_key.created", made.id)
    equal("an admin key has its name", made.name, "Second admin key")
    equal("an admin key expires when asked to", made.expires_at, made.created_at + 3600)
    read = keys.retrieve(made.id)
    equal("an admin key reads without its value", (read.id, hasattr(read, "value")), (made.id, False))
    for order in ("asc", "desc"):
        listed = [item.id for item in keys.list(order=order, limit=1)]
        check(f"a list ({order}) has it once", listed.count(made.id) == 1, listed)

    other = run.client_of(made.value).admin.organization
    project_id = other.projects.create(name="Made with the second admin key").id
    run.wrote("project.created", project_id, project_id)

    gone = keys.delete(made.id)
    run.wrote("api_key.deleted", made.id)
    equal("an admin key is deleted", (gone.id, gone.deleted), (made.id, True))
    refused("a deleted admin key opens nothing", openai.AuthenticationError, other.projects.list, "invalid_api_key")
    refused("a deleted admin key is not found", openai.NotFoundError, lambda: keys.retrieve(made.id))
    return made.id, project_id
