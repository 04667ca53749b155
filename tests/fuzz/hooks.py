"""Hooks of schemathesis: most of what is generated at random is made to name what is there, every answer is counted, and
of the failures those are dropped that a schema cannot know of."""

import atexit
import json
import os
import re
import time
from urllib.parse import parse_qs, urlsplit

import jsonschema_rs
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import RejectedPositiveData

from world import World

with open(os.environ["ORGPLANE_FUZZ_ROUND"], encoding="utf-8") as file:
    ROUND = json.load(file)
WORLD = World(ROUND["base_url"], ROUND["seed"], ROUND["organization"])
COUNTS = {}

# Where the ids in a body come from: the list at this path.
NAMED = {"user_id": "/organization/users", "group_id": "/organization/groups", "project_id": "/organization/projects"}
DAY = 86_400


@schemathesis.hook
def before_call(context, case, kwargs):
    """Puts what is there in the place of what is not, most of the time."""
    path = case.operation.path
    if "{" in path and not WORLD.one_in(4):
        case.path_parameters = WORLD.fill(path) or case.path_parameters
    if case.method != "GET" and WORLD.protected & set((case.path_parameters or {}).values()):
        case.path_parameters = WORLD.fill(path)
    if isinstance(case.body, dict) and not WORLD.one_in(5):
        case.body = named_body(path, case.path_parameters or {}, case.body)
    if case.query and not WORLD.one_in(4):
        case.query = named_query(path.format(**(case.path_parameters or {})), case.query)


def named_body(path, ids, body):
    """The body with real ids, certificates and tokens in the place of strings."""
    realm = f"/projects/{ids['project_id']}" if path.startswith("/projects/") else "/organization"
    lists = NAMED | ({"role_id": f"{realm}/roles"} if path.endswith("/roles") else {})
    if path.endswith("/{project_id}/api_keys"):
        lists["user_id"] = f"/organization/projects/{ids.get('project_id')}/users"
    if path.endswith("/{project_id}/groups"):
        lists["role"] = f"/projects/{ids.get('project_id')}/roles"
    body = dict(body)
    # Of two fields for the same thing, one.
    for either, other in [("user_id", "email"), ("role", "role_id"), ("residency", "geography")]:
        if either in body and other in body:
            del body[WORLD.dice.choice([either, other])]
    if isinstance(body.get("role_name"), str):
        body["role_name"] = WORLD.name()
    for field in [field for field in body if field in lists and isinstance(body[field], str)]:
        body[field] = WORLD.pick(lists[field]) or body[field]
    if body.get("certificate_ids"):
        body["certificate_ids"] = [WORLD.pick("/organization/certificates") or "none"]
    if isinstance(body.get("projects"), list):
        for project in body["projects"]:
            if isinstance(project, dict) and "id" in project:
                project["id"] = WORLD.pick("/organization/projects")
    if "certificate" in body and WORLD.certificates:
        body["certificate"] = WORLD.certificates.pop()
    if "token" in body and WORLD.tokens:
        body["token"] = WORLD.tokens.pop()
    if path.endswith("/usage/events"):
        body |= WORLD.event()
    return body


def named_query(path, query):
    """The query with real cursors, and with spans of time that fit a page."""
    query = dict(query)
    for cursor in {"after", "before"} & query.keys():
        items = WORLD.listed(path)
        if items and items[0].get("id"):
            query[cursor] = WORLD.dice.choice(items)["id"]
    if "start_time" in query:
        query["start_time"] = int(time.time()) - WORLD.dice.randrange(1, 40 * DAY)
        query.pop("page", None)
        query.pop("end_time", None)
        if "limit" in query:
            query["limit"] = WORLD.dice.randrange(1, 32)
    return query


@schemathesis.hook
def after_call(context, case, response):
    """Counts the answer."""
    statuses = COUNTS.setdefault(case.operation.label, {})
    statuses[response.status_code] = statuses.get(response.status_code, 0) + 1


# Codes that say of the form of a request what its schema should have said. All others are about what is there.
FORM = {"invalid_type", "invalid_json", "missing_required_parameter", "unknown_parameter", "invalid_value"}
# What messages with these codes say where a schema cannot.
UNKNOWABLE = [
    # Ids and names that have to name something, or nothing yet.
    r"must be the id of an item of this list",
    r"^No [a-z ]+ with (id|the address) '",
    r"^A role '.*' already exists",
    r"has no role in the project",
    r"^The project '.*' is (not in the organization|archived|given twice)",
    # What one field says of another, in bodies whose published schema does not.
    r"^Give the user's user_id or email",
    r"^Give either [a-z_]+ or [a-z_]+, not both",
    r"^Provide at least one of",
    r"^expires_in_seconds is the lifetime of a key, and create_service_account_only creates none",
    r"^With tenant_only every event type must be tenant-scoped",
    r"repeats an address",
    # What depends on what the path names.
    r"makes no sense for the model '",
    r"means nothing in a project",
    r"^A user's own role is a predefined one",
    r"^limit must be 1 to \d+ with this bucket_width",
    r"^end_time must be after start_time",
    r"^page must be the next_page of",
    r"^cursor must be a next_cursor of",
    # What no text in a database may hold, and no pattern of the published schema excludes.
    r"must not contain a NUL character",
    # `5.0` is an integer to JSON Schema, not to us.
    r"invalid type: floating point `-?\d+\.0`",
]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops what no schema can say; everything else is a finding."""
    if isinstance(failure, RejectedPositiveData):
        error = response.json()["error"]
        return error["code"] in FORM and not any(re.search(what, error["message"], re.DOTALL) for what in UNKNOWABLE)
    if isinstance(failure, AcceptedNegativeData):
        return not (is_judged_by_item(case, response) or is_no_body(case) or is_allowed_as_sent(case, response))
    return True


def is_judged_by_item(case, response):
    """Usage events are judged one by one: the answer to a bad one is a success that says so."""
    return case.operation.path.endswith("/usage/events") and response.json()["accepted"] == 0


def is_no_body(case):
    """`null` is taken for no body, which typed clients send where there is nothing to say."""
    return case.body is None


def is_allowed_as_sent(case, response):
    """A query string has neither types nor nulls: `a=5` is a text, a number and a list of one of each."""
    if case.meta.is_negative_at(ParameterLocation.BODY) or case.meta.is_negative_at(ParameterLocation.PATH):
        return False
    sent = parse_qs(urlsplit(response.request.url).query)
    schemas = {each["name"]: each["schema"] for each in case.operation.definition.raw["parameters"] if each["in"] == "query"}
    return all(name in schemas and fits(values, schemas[name]) for name, values in sent.items())


def fits(values, schema):
    """Whether the values of a parameter, read as its schema wants them, are what it allows."""
    if schema.get("type") == "array":
        return all(fits([value], schema["items"]) for value in values)
    value = values[-1]
    if schema.get("type") == "integer" and re.fullmatch(r"-?\d+", value):
        value = int(value)
    elif schema.get("type") == "boolean":
        value = {"true": True, "false": False}.get(value, value)
    return jsonschema_rs.is_valid(schema, value)


@atexit.register
def report():
    """Leaves the counts for whoever started this."""
    with open(ROUND["counts"], "w", encoding="utf-8") as file:
        json.dump(COUNTS, file)
