"""Certificates: uploaded, activated for the organization and for a project, deleted."""

from functools import partial

import openai

from checks import check, equal, refused

from .paging import pages


def certificates(run, project):
    """The whole life of some."""
    certificates = run.admin.certificates
    pem = run.certificates[0]
    made = certificates.create(certificate=pem, name="Gate")
    equal("a certificate", (made.object, made.name, made.certificate_details.content), ("certificate", "Gate", None))
    check("it is valid for a while", made.certificate_details.expires_at > made.certificate_details.valid_at, made)
    equal("a certificate reads as it was uploaded", certificates.retrieve(made.id), made)
    content = certificates.retrieve(made.id, include=["content"]).certificate_details.content
    equal("its content is shown when asked for", content.split(), pem.split())
    changed = certificates.update(made.id, name="Back gate")
    equal("a certificate is renamed", (changed.id, changed.name), (made.id, "Back gate"))
    ids = [made.id, *(certificates.create(certificate=pem).id for pem in run.certificates[1:])]
    equal("the newest is listed first", pages(run, "certificates", certificates.list), ids[::-1])

    inside = run.admin.projects.certificates
    project_list = partial(inside.list, project)
    equal("a project has them all", pages(run, "certificates of a project", project_list), ids[::-1])
    toggled(certificates.activate, certificates.deactivate, certificates.list, "organization", ids[:2])
    activate = partial(inside.activate, project)
    deactivate = partial(inside.deactivate, project)
    toggled(activate, deactivate, project_list, "organization.project", ids[1:])

    certificates.activate(certificate_ids=ids[:1])
    refused("an active one stays", openai.BadRequestError, lambda: certificates.delete(ids[0]), "certificate_active")
    certificates.deactivate(certificate_ids=ids[:1])
    equal("one is deleted", certificates.delete(ids[0]).id, ids[0])
    refused("and not found any more", openai.NotFoundError, lambda: certificates.retrieve(ids[0]), "not_found")


def toggled(activate, deactivate, listed, where, ids):
    """Activates some and deactivates them again."""
    for toggle, state in ((activate, True), (deactivate, False)):
        page = toggle(certificate_ids=ids)
        got = {item.id: (item.object, item.active) for item in page}
        equal(f"{page.object}", got, dict.fromkeys(ids, (f"{where}.certificate", state)))
        check("as the list says", all(item.active == (state and item.id in ids) for item in listed()))
