"""Compares the answers that another client got with the types of the official Python client, strictly.

    typed.py CALLS

CALLS has a JSON object a line: `method`, `path`, `status`, and `body` if the answer is JSON.
"""

import inspect
import json
import re
import sys
import warnings

import openai
from openai._models import validate_type

# The type of the messages of a stored completion has the role of answers, whatever their role is.
UNTYPED = re.compile(r"/chat/completions/[^/]+/messages")
OF_EVERY_METHOD = {"extra_headers", "extra_query", "extra_body", "timeout"}


class Asked(Exception):
    """What a method of the client asks for, and the type of its answer."""


class Listener(openai.OpenAI):
    """A client that sends nothing, and says what it would have asked for."""

    def request(self, cast_to, options, **_):
        raise Asked(options.method.upper(), options.url, cast_to)


def methods(resource):
    """All methods below a resource."""
    for name in sorted(dir(type(resource))):
        if name.startswith(("_", "with_")):
            continue
        value = getattr(resource, name)
        if type(value).__module__.startswith("openai.resources."):
            yield from methods(value)
        elif inspect.ismethod(value):
            yield value


def asked(method):
    """The route and the type of a method; None if it asks for nothing with such parameters."""
    parameters = [one for one in inspect.signature(method).parameters.values() if one.name not in OF_EVERY_METHOD]
    required = {one.name: f"__{one.name}__" for one in parameters if one.default is inspect.Parameter.empty}
    every = {one.name: f"__{one.name}__" for one in parameters}
    files = {"file": b"", "data": b"", "image": b""}
    for values in (required, every):
        for change in ({}, files):
            words = values | {name: value for name, value in change.items() if name in values}
            try:
                made = method(**words)
            except Asked as what:
                return what.args
            except Exception:  # noqa: BLE001, S112: another form of the parameters may do
                continue
            if hasattr(made, "__enter__"):
                return None
    return None


def types():
    """The type of an answer, by method and path pattern, those with the fewest parameters first."""
    client = Listener(base_url="http://127.0.0.1:9/v1", api_key="none", admin_api_key="none")
    found = {}
    for name in ("audio", "batches", "chat", "completions", "containers", "conversations", "decisions", "embeddings", "files", "images"):
        add(found, getattr(client, name))
    for name in ("models", "moderations", "responses", "uploads", "vector_stores"):
        add(found, getattr(client, name))
    return sorted(found.items(), key=lambda item: item[0][1].count("["))


def add(found, resource):
    for method in methods(resource):
        if what := asked(method):
            verb, path, kind = what
            found.setdefault((verb, re.sub(r"__\w+?__", "[^/]+", path)), kind)


def main():
    # Deprecated methods have routes, too.
    warnings.simplefilter("ignore", DeprecationWarning)
    known, compared = types(), 0
    for line in open(sys.argv[1]):
        call = json.loads(line)
        if "body" not in call or not 200 <= call["status"] < 300 or UNTYPED.fullmatch(call["path"]):
            continue
        kinds = [kind for (verb, path), kind in known if verb == call["method"] and re.fullmatch(path, call["path"])]
        assert kinds, f"the client has no method for {call['method']} {call['path']}"
        if kinds[0] is type(None):
            continue
        try:
            validate_type(type_=kinds[0], value=call["body"])
        except Exception as error:
            sys.exit(f"{call['method']} {call['path']} is not {kinds[0]}: {error}\n{json.dumps(call['body'])[:2000]}")
        compared += 1
    assert compared, "no answer was compared"
    print(f"{compared} answers are of their types")


if __name__ == "__main__":
    main()
