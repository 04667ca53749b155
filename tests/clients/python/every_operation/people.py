"""People: invited, and in the organization and its projects."""

from functools import partial

import openai

from checks import check, equal, refused

from .paging import pages


def invites(run, project):
    """Sent, listed and taken back."""
    invites = run.admin.invites
    made = invites.create(email="ada@example.com", role="owner", projects=[{"id": project, "role": "member"}])
    equal("an invite", (made.email, made.role, made.status), ("ada@example.com", "owner", "pending"))
    equal("its projects", [(item.id, item.role) for item in made.projects], [(project, "member")])
    check("it ends", made.expires_at > made.created_at and made.accepted_at is None, made)
    equal("an invite reads as it was sent", invites.retrieve(made.id), made)
    again = partial(invites.create, email="ADA@example.com", role="reader")
    refused("a second one to the same address", openai.BadRequestError, again, param="email")

    nowhere = invites.create(email="konrad@example.com", role="reader", projects=[])
    equal("an invite to no project", nowhere.projects, [])
    default = invites.create(email="edsger@example.com", role="reader")
    equal("an invite to the default project", len(default.projects), 1)
    listed = pages(run, "invites", invites.list)
    check("all are listed", {made.id, nowhere.id, default.id} <= set(listed), listed)

    gone = invites.delete(made.id)
    equal("an invite is deleted", (gone.id, gone.deleted), (made.id, True))
    refused("and not found any more", openai.NotFoundError, lambda: invites.retrieve(made.id), "not_found")
    accepted = next(invite for invite in invites.list() if invite.status == "accepted")
    refused("an accepted one stays", openai.BadRequestError, lambda: invites.delete(accepted.id), "invite_accepted")


def users(run):
    """Listed, changed, and one of them deleted, who is a person no more."""
    users = run.admin.users
    listed = pages(run, "users", users.list)
    equal("they are the owner and the people", set(listed), {run.owner, *(user.id for user in run.people)})
    one, two, last = run.people[0], run.people[1], run.people.pop()
    found = [user.id for user in users.list(emails=[one.email.upper(), two.email])]
    equal("found by their addresses", found, [one.id, two.id])

    equal("a user reads as listed", users.retrieve(one.id), one)
    changed = users.update(one.id, role="owner", technical_level="expert", developer_persona="tinkerer")
    got = (changed.id, changed.role, changed.technical_level, changed.developer_persona)
    equal("a user is changed", got, (one.id, "owner", "expert", "tinkerer"))
    changed = users.update(one.id, role_id="role_organization_reader", technical_level=None)
    got = (changed.role, changed.technical_level, changed.developer_persona)
    equal("and changed back", got, ("reader", None, "tinkerer"))
    equal("an update of nothing changes nothing", users.update(one.id), changed)
    refused("the last owner stays one", openai.BadRequestError, lambda: users.update(run.owner, role="reader"), "last_owner")

    gone = users.delete(last.id)
    equal("a user is deleted", (gone.id, gone.deleted), (last.id, True))
    refused("and not found any more", openai.NotFoundError, lambda: users.retrieve(last.id), "not_found")


def project_users(run, project):
    """Added by id and by address, changed, listed and removed. Returns who stays."""
    users = run.admin.projects.users
    one, two, three, four = run.people[:4]
    made = users.create(project, user_id=one.id, role="owner")
    equal("a user of a project", (made.id, made.name, made.email, made.role), (one.id, one.name, one.email, "owner"))
    made = users.create(project, email=two.email, role="member")
    equal("added by address", (made.id, made.role), (two.id, "member"))
    for other in (three, four):
        users.create(project, user_id=other.id, role="member")
    again = partial(users.create, project, user_id=two.id, role="owner")
    refused("nobody is added twice", openai.BadRequestError, again, "already_exists", "user_id")

    changed = users.update(two.id, project_id=project, role="owner")
    equal("a user's role is changed", (changed.id, changed.role), (two.id, "owner"))
    equal("and reads so", users.retrieve(two.id, project_id=project), changed)
    listed = pages(run, "users of a project", partial(users.list, project))
    equal("all are listed", listed, [one.id, two.id, three.id, four.id])
    gone = users.delete(four.id, project_id=project)
    equal("a user is removed", (gone.id, gone.deleted), (four.id, True))
    refused(
        "and not found any more",
        openai.NotFoundError,
        lambda: users.retrieve(four.id, project_id=project),
        "not_found",
    )
    return one.id
