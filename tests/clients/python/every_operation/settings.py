"""Settings: data retention, and what a project may do with models and tools."""

from functools import partial

import openai

from checks import check, equal, refused

from .paging import pages


def data_retention(run, project):
    """Of the organization and of a project."""
    own, inside = run.admin.data_retention, run.admin.projects.data_retention
    # The published schema has no word for it, and a client that is as strict as this one takes no other.
    unset = own.with_raw_response.retrieve().http_response.json()
    equal("data retention is not set at first", unset["type"], "none")
    for kind in ("zero_data_retention", "modified_abuse_monitoring"):
        equal("data retention is set", own.update(retention_type=kind).type, kind)
        equal("and reads so", own.retrieve().type, kind)
    equal("a project follows", inside.retrieve(project).type, "organization_default")
    equal("until it has its own", inside.update(project, retention_type="none").type, "none")
    equal("which reads so", inside.retrieve(project).type, "none")


def model_permissions(run, project):
    """A policy: set, replaced, removed."""
    policy = run.admin.projects.model_permissions
    absent = partial(policy.retrieve, project)
    refused("a project has no policy at first", openai.NotFoundError, absent, "not_found")
    for mode, models in (("allow_list", ["gpt-5.5"]), ("deny_list", ["gpt-5.5-mini", "gpt-5.5"])):
        made = policy.update(project, mode=mode, model_ids=models)
        equal("a policy", (made.mode, sorted(made.api_model_ids)), (mode, sorted(models)))
        equal("it reads as it was set", policy.retrieve(project), made)
    equal("it is removed", policy.delete(project).deleted, True)
    refused("and not found any more", openai.NotFoundError, absent, "not_found")


def hosted_tools(run, project):
    """Allowed, but for those that are switched off."""
    tools = run.admin.projects.hosted_tool_permissions
    names = {"file_search", "web_search", "image_generation", "mcp", "code_interpreter"}

    def off(permissions):
        return {name for name in names if not getattr(permissions, name).enabled}

    equal("all tools are allowed at first", off(tools.retrieve(project)), set())
    changed = tools.update(project, mcp={"enabled": False}, web_search={"enabled": False})
    equal("two are switched off", off(changed), {"mcp", "web_search"})
    changed = tools.update(project, mcp={"enabled": True}, file_search=None)
    equal("and one on again", off(changed), {"web_search"})
    equal("as it reads", tools.retrieve(project), changed)


def rate_limits(run, project):
    """Each known model has one; they are changed."""
    limits = run.admin.projects.rate_limits
    listed = pages(run, "rate limits", partial(limits.list_rate_limits, project))
    of_model = {limit.model: limit for limit in limits.list_rate_limits(project)}
    equal("each belongs to one model", len(of_model), len(listed))
    check("the models with a price have one", set(run.prices) <= set(of_model), of_model)
    one = of_model[next(iter(run.prices))]
    changed = limits.update_rate_limit(
        one.id, project_id=project, max_requests_per_1_minute=7, max_tokens_per_1_minute=700, max_requests_per_1_day=70
    )
    got = (changed.id, changed.max_requests_per_1_minute, changed.max_tokens_per_1_minute, changed.max_requests_per_1_day)
    equal("a rate limit is changed", got, (one.id, 7, 700, 70))
    found = next(limit for limit in limits.list_rate_limits(project) if limit.id == one.id)
    equal("as the list says", found, changed)
    unknown = partial(limits.update_rate_limit, "rl-unknown", project_id=project, max_requests_per_1_minute=1)
    refused("an unknown one", openai.NotFoundError, unknown, "not_found")
