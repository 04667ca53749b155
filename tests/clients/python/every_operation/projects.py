"""Projects: created, read, changed and archived."""

from functools import partial

import openai

from checks import check, equal, refused

from .paging import pages


def projects(run):
    """Returns a project for everything else to happen in."""
    projects = run.admin.projects
    made = projects.create(name="Search", external_key_id="key-of-ours", residency="EU_STORAGE_PROCESSING")
    got = (made.name, made.status, made.archived_at, made.external_key_id, made.residency)
    equal("a new project", got, ("Search", "active", None, "key-of-ours", "EU_STORAGE_PROCESSING"))
    equal("a project reads as it was created", projects.retrieve(made.id), made)
    changed = projects.update(made.id, name="Search and find", external_key_id=None)
    equal("a project is changed", (changed.name, changed.external_key_id), ("Search and find", None))
    equal("an update of nothing changes nothing", projects.update(made.id), changed)

    others = [projects.create(name=f"Project {number}", geography="US").id for number in range(3)]
    listed = pages(run, "projects", projects.list)
    check("all of them are listed", {made.id, *others} <= set(listed), listed)

    gone = projects.archive(others[0])
    equal("a project is archived", (gone.id, gone.status), (others[0], "archived"))
    check("and says when", gone.archived_at >= gone.created_at, gone)
    check("it is not listed any more", others[0] not in pages(run, "projects in use", projects.list))
    everything = pages(run, "all projects", partial(projects.list, include_archived=True))
    equal("unless archived ones are asked for", everything, listed)
    refused("it is not renamed", openai.BadRequestError, lambda: projects.update(others[0], name="x"), "project_archived")
    refused("an unknown project", openai.NotFoundError, lambda: projects.retrieve("proj_unknown"), "not_found")
    return made.id
