"""One honest path through a running server, with the official client: an administrator makes a project and keys, an
application calls models with them, and the administrator finds all of it in usage, costs and the audit log.

    OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_ADMIN_KEY=sk-admin-… \
    ORGPLANE_TEST_PRICES='{"gpt-5.5": {"input": "1.25", "cached_input": "0.125", "output": "10.00"}}' \
    python whole_path.py

Every model named in the prices must be served by the model server that answers from `models.json`. Nobody else may write
to the organization meanwhile. Ends with 0 when everything holds; else names the first thing that does not.
"""

import sys

import administration
import audit
import refusals
import reports
import traffic
from checks import finish
from run import Run


def whole_path():
    """The path, step by step."""
    run = Run()
    before = audit.known(run)
    owner = administration.owner(run)

    project = administration.project(run, "Whole path")
    account, first, second = administration.service_account(run, project)
    user_key = administration.user_key(run, project, owner)
    spenders = [first, second, user_key]
    administration.project_keys(run, project, spenders)
    second_admin, other_project = administration.admin_keys(run)
    _, closing, _ = administration.service_account(run, other_project)

    traffic.models(run, first)
    traffic.calls(run, [*spenders, closing], rounds=2)
    traffic.hang_up(run, first)
    traffic.reported_by_others(run, other_project)

    projects = [project, other_project]
    reports.usage(run, projects)
    reports.filtered_usage(run, user_key, owner)
    reports.costs(run, projects)

    refusals.wrong_keys(run, first)
    refusals.unknown_things(run, project, first)
    refusals.bad_words(run, project)
    refusals.revocations(run, project, account, [first, second], user_key)
    refusals.archived(run, other_project, closing)

    found = audit.complete(run, before)
    audit.filters(run, found, second_admin)
    audit.pages(run)
    reports.usage(run, projects)


if __name__ == "__main__":
    sys.exit(finish(whole_path))
