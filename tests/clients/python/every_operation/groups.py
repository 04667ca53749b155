"""Groups, the people in them, and the projects that they work in."""

from functools import partial

import openai

from checks import check, equal, refused

from .paging import pages


def groups(run):
    """Created, renamed, listed, deleted. Returns three that stay."""
    groups = run.admin.groups
    made = groups.create(name="Readers")
    got = (made.name, made.group_type, made.is_scim_managed)
    equal("a group", got, ("Readers", "group", False))
    equal("a group reads as it was created", groups.retrieve(made.id), made)
    changed = groups.update(made.id, name="Writers")
    equal("a group is renamed", (changed.id, changed.name), (made.id, "Writers"))
    others = [groups.create(name=f"Group {number}").id for number in range(3)]
    equal("all are listed", pages(run, "groups", groups.list), [made.id, *others])

    gone = groups.delete(others[-1])
    equal("a group is deleted", (gone.id, gone.deleted), (others[-1], True))
    refused("and not found any more", openai.NotFoundError, lambda: groups.retrieve(others[-1]), "not_found")
    return [made.id, *others[:-1]]


def group_users(run, group):
    """Added, listed and removed."""
    users = run.admin.groups.users
    people = run.people[:4]
    for user in people:
        made = users.create(group, user_id=user.id)
        equal("a user of a group", (made.group_id, made.user_id), (group, user.id))
    refused(
        "nobody is added twice",
        openai.BadRequestError,
        lambda: users.create(group, user_id=people[0].id),
        "already_exists",
        "user_id",
    )
    read = users.retrieve(people[0].id, group_id=group)
    got = (read.id, read.name, read.email, read.is_service_account, read.user_type)
    equal("a user of a group reads", got, (people[0].id, people[0].name, people[0].email, False, "user"))
    listed = pages(run, "users of a group", partial(users.list, group))
    equal("the newest is listed first", listed, [user.id for user in reversed(people)])

    gone = users.delete(people[0].id, group_id=group)
    equal("a user is removed", gone.deleted, True)
    refused(
        "and not found any more",
        openai.NotFoundError,
        lambda: users.retrieve(people[0].id, group_id=group),
        "not_found",
    )


def project_groups(run, project, some):
    """Given a role in a project, listed and removed. The first one stays."""
    groups = run.admin.projects.groups
    for group in some:
        made = groups.create(project, group_id=group, role="role-api-project-viewer")
        equal("a group of a project", (made.project_id, made.group_id, made.group_type), (project, group, "group"))
    equal("it reads as it was added", groups.retrieve(some[-1], project_id=project, group_type="group"), made)
    listed = pages(run, "groups of a project", partial(groups.list, project), key=lambda item: item.group_id)
    equal("all are listed", listed, some)
    check("a group has its name", all(item.group_name for item in groups.list(project)))

    gone = groups.delete(some[-1], project_id=project)
    equal("a group is removed", gone.deleted, True)
    refused(
        "and not found any more",
        openai.NotFoundError,
        lambda: groups.retrieve(some[-1], project_id=project),
        "not_found",
    )
