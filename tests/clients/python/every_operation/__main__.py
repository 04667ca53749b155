"""Administers an organization with the official client. `by_route.py` proves that no operation is left out. In the folder
`tests/clients/python`:

    OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_ADMIN_KEY=sk-admin-… \
    ORGPLANE_TEST_PRICES='{"gpt-5.5": {"input": "1.25", "cached_input": "0.125", "output": "10.00"}}' \
    ORGPLANE_TEST_CERTIFICATES='["-----BEGIN CERTIFICATE-----…", …]' \
    python -m every_operation

The organization must be new: its owner and six people who accepted an invitation, nothing else. The prices are those of the
server; the certificates are of four authorities. Ends with 0 when everything holds; else names the first thing that does not.
"""

import sys

from checks import finish

from . import admin_keys, audit_logs, certificates, groups, people, projects, refusals, roles, service_accounts, settings
from . import spend, usage
from .run import Run


def every_operation():
    """Step by step, in the order in which one thing needs another."""
    run = Run()
    project = projects.projects(run)
    account = service_accounts.service_accounts(run, project)
    key = service_accounts.keys(run, project, account)
    admin_keys.admin_keys(run)

    people.invites(run, project)
    people.users(run)
    member = people.project_users(run, project)
    some = groups.groups(run)
    groups.group_users(run, some[0])
    groups.project_groups(run, project, some)
    roles.organization_roles(run, some[0])
    roles.project_roles(run, project, member, some[0])

    certificates.certificates(run, project)
    spend.spend(run, project)
    settings.data_retention(run, project)
    settings.model_permissions(run, project)
    settings.hosted_tools(run, project)
    settings.rate_limits(run, project)
    usage.usage(run, project, key)
    refusals.refusals(run, project)
    audit_logs.audit_logs(run, project)


if __name__ == "__main__":
    sys.exit(finish(every_operation))
