"""Admin keys."""

import openai

from checks import check, equal, refused

from .paging import pages


def admin_keys(run):
    """Created, used, listed, deleted."""
    keys = run.admin.admin_api_keys
    made = keys.create(name="Automation", expires_in_seconds=3600)
    equal("an admin key", (made.name, made.expires_at, made.owner.id), ("Automation", made.created_at + 3600, run.owner))
    read = keys.retrieve(made.id)
    equal("it reads without its value", (read.id, read.name, hasattr(read, "value")), (made.id, "Automation", False))
    check("but with its end", made.value.endswith(read.redacted_value[-3:]), read)
    keys.create(name="Another")
    check("it is listed", made.id in pages(run, "admin keys", keys.list))

    other = run.client_of(made.value).admin.organization
    equal("it administers", other.admin_api_keys.retrieve(made.id).id, made.id)
    gone = keys.delete(made.id)
    equal("an admin key is deleted", (gone.id, gone.deleted), (made.id, True))
    refused("and not found any more", openai.NotFoundError, lambda: keys.retrieve(made.id), "not_found")
    refused("and opens nothing", openai.AuthenticationError, other.projects.list, "invalid_api_key")
