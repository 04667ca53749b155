"""Custom roles of the organization and of a project, and who has them."""

from functools import partial

import openai

from checks import check, equal, refused

from .paging import pages


def organization_roles(run, group):
    """Roles of the organization: made, given to a person and to a group, taken back."""
    made = custom(run, run.admin.roles, "api.organization")
    user = run.people[0].id
    assigned(run, "roles of a user", run.admin.users.roles, user, made, {"user_id": user})
    assigned(run, "roles of a group", run.admin.groups.roles, group, made, {"group_id": group})


def project_roles(run, project, user, group):
    """The same in a project."""
    admin = run.admin.projects
    made = custom(run, admin.roles, "api.project", project)
    assigned(run, "roles of a user in a project", admin.users.roles, user, made, {"user_id": user}, project_id=project)
    assigned(run, "roles of a group in a project", admin.groups.roles, group, made, {"group_id": group}, project_id=project)


def custom(run, roles, kind, *project):
    """Makes, reads, changes and deletes roles of that kind. Returns three that stay."""
    inside = {"project_id": project[0]} if project else {}
    made = roles.create(*project, role_name="Auditor", permissions=["api.roles.read"], description="Looks.")
    got = (made.name, made.permissions, made.description, made.resource_type, made.predefined_role)
    equal(f"a role, {kind}", got, ("Auditor", ["api.roles.read"], "Looks.", kind, False))
    equal("a role reads as it was created", roles.retrieve(made.id, **inside), made)
    permissions = ["api.model.read", "api.roles.read"]
    changed = roles.update(made.id, **inside, role_name="Inspector", permissions=permissions, description=None)
    got = (changed.id, changed.name, sorted(changed.permissions), changed.description)
    equal("a role is changed", got, (made.id, "Inspector", permissions, None))
    again = partial(roles.create, *project, role_name="inspector", permissions=[])
    refused("a name is taken once", openai.BadRequestError, again, param="role_name")

    others = [roles.create(*project, role_name=f"Role {number}", permissions=["api.model.read"]).id for number in range(3)]
    listed = pages(run, f"roles, {kind}", partial(roles.list, *project))
    check("all are listed", {made.id, *others} < set(listed), listed)
    predefined = [role.id for role in roles.list(*project) if role.predefined_role]
    check("the predefined ones too", predefined and not {made.id, *others} & set(predefined), predefined)
    refused(
        "which are not deleted",
        openai.BadRequestError,
        lambda: roles.delete(predefined[0], **inside),
        "predefined_role",
    )
    gone = roles.delete(others[-1], **inside)
    equal("a role is deleted", (gone.id, gone.deleted), (others[-1], True))
    refused("and not found any more", openai.NotFoundError, lambda: roles.retrieve(others[-1], **inside), "not_found")
    return [made, *(roles.retrieve(id, **inside) for id in others[:-1])]


def assigned(run, name, roles, holder, some, where, **inside):
    """Gives somebody these roles, and takes one away again."""
    for role in some:
        made = roles.create(holder, role_id=role.id, **inside)
        party = made.user if "user_id" in where else made.group
        equal(f"{name}: one is given", (made.role.id, party.id), (role.id, holder))
    again = roles.create(holder, role_id=some[0].id, **inside)
    equal(f"{name}: the one that is there", again.role.id, some[0].id)
    read = roles.retrieve(some[1].id, **where, **inside)
    got = (read.id, read.name, read.permissions, read.predefined_role)
    equal(f"{name}: one reads", got, (some[1].id, some[1].name, some[1].permissions, False))
    listed = pages(run, name, partial(roles.list, holder, **inside))
    check(f"{name}: all are listed", {role.id for role in some} <= set(listed), listed)

    gone = roles.delete(some[0].id, **where, **inside)
    equal(f"{name}: one is taken away", gone.deleted, True)
    refused(
        f"{name}: and not found any more",
        openai.NotFoundError,
        lambda: roles.retrieve(some[0].id, **where, **inside),
        "not_found",
    )
