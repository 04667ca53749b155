"""Service accounts of a project, and its keys."""

from functools import partial

import openai

from checks import check, equal, refused

from .paging import pages


def service_accounts(run, project):
    """Created with a key and without, read, changed, deleted."""
    accounts = run.admin.projects.service_accounts
    made = accounts.create(project, name="Crawler", expires_in_seconds=3600)
    equal("a service account", (made.name, made.role, made.api_key.name), ("Crawler", "member", "Secret Key"))
    equal("its key ends when asked to", made.api_key.expires_at, made.api_key.created_at + 3600)
    bare = accounts.create(project, name="Bare", create_service_account_only=True)
    equal("a service account without a key", (bare.name, bare.role, bare.api_key), ("Bare", "none", None))
    accounts.create(project, name="Third")

    changed = accounts.update(made.id, project_id=project, name="Indexer", role="owner")
    equal("a service account is changed", (changed.id, changed.name, changed.role), (made.id, "Indexer", "owner"))
    equal("and reads so", accounts.retrieve(made.id, project_id=project), changed)
    listed = pages(run, "service accounts", partial(accounts.list, project))
    check("both are listed", {made.id, bare.id} <= set(listed), listed)

    gone = accounts.delete(bare.id, project_id=project)
    equal("a service account is deleted", (gone.id, gone.deleted), (bare.id, True))
    refused(
        "and not found any more",
        openai.NotFoundError,
        lambda: accounts.retrieve(bare.id, project_id=project),
        "not_found",
    )
    return made.id


def keys(run, project, account):
    """Keys of a service account and of a person: listed, changed, deleted. Returns the id of one."""
    keys = run.admin.projects.api_keys
    scopes = ["api.model.request"]
    made = run.admin.projects.service_accounts.api_keys.create(
        account, project_id=project, name="Second key", scopes=scopes, expires_in_seconds=600
    )
    equal("a second key", (made.name, made.expires_at), ("Second key", made.created_at + 600))
    check("it is shown in full", made.value.startswith("sk-svcacct-"), made.value[:11])
    body = {"name": "A person's key", "user_id": run.owner}
    own = run.extension(f"/organization/projects/{project}/api_keys", body)["id"]

    listed = pages(run, "keys", partial(keys.list, project, owner_project_access="any"))
    check("both are listed", {made.id, own} <= set(listed), listed)
    equal("all of owners who have access", [key.id for key in keys.list(project, owner_project_access="active")], listed)
    equal("none of those who have none", list(keys.list(project, owner_project_access="inactive")), [])

    read = keys.retrieve(own, project_id=project)
    equal("a person's key", (read.name, read.owner.type, read.owner.user.id), (body["name"], "user", run.owner))
    read = keys.retrieve(made.id, project_id=project)
    equal("a service account's key", (read.owner.type, read.owner.service_account.id), ("service_account", account))
    check("it hides its value", read.redacted_value.endswith(made.value[-3:]) and made.value not in read.to_json())
    changed = keys.update(made.id, project_id=project, scopes=[], expires_in_seconds=7200)
    check("a key ends later", changed.expires_at > made.expires_at, changed)

    gone = keys.delete(own, project_id=project)
    equal("a key is deleted", (gone.id, gone.deleted), (own, True))
    refused("and not found any more", openai.NotFoundError, lambda: keys.retrieve(own, project_id=project), "not_found")
    refused(
        "a service account's key goes with the account",
        openai.BadRequestError,
        lambda: keys.delete(made.id, project_id=project),
        "service_account_key",
    )
    return made.id
