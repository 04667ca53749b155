"""What is refused, and the errors that the client makes of it."""

from functools import partial

import openai

from checks import refused


def refusals(run, project):
    """One of each kind."""
    admin, bad = run.admin, openai.BadRequestError
    wrong = run.client_of("sk-admin-wrong").admin.organization
    refused("a wrong key", openai.AuthenticationError, wrong.projects.list, "invalid_api_key")
    account = admin.projects.service_accounts.create(project, name="No administrator")
    other = run.client_of(account.api_key.value).admin.organization
    refused("a project's key", openai.PermissionDeniedError, other.projects.list)
    refused("an unknown group", openai.NotFoundError, lambda: admin.groups.retrieve("group_unknown"), "not_found")
    refused("an empty name", bad, lambda: admin.projects.create(name=""), param="name")
    refused("a limit of 0", bad, lambda: admin.projects.list(limit=0), param="limit")
    refused("an unknown field", bad, lambda: admin.groups.create(name="x", extra_body={"colour": 1}), param="colour")
    refused("an unknown parameter", bad, lambda: admin.users.list(extra_query={"colour": 1}), param="colour")
    fly = partial(admin.roles.create, role_name="Pilot", permissions=["fly"])
    refused("a permission that is none", bad, fly, param="permissions")
