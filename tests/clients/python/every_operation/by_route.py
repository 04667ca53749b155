"""Calls every operation with the official client, whose method is found by its route: the HTTP method and the path that it
asks for. In the folder `tests/clients/python`, with `OPENAI_BASE_URL` and `OPENAI_ADMIN_KEY`:

    python -m every_operation.by_route < requests.json

The requests are a list, in an order in which each has something to act on. Each has its `method`, the `template` of its
path, the `ids` in the path, the `query` and the `body`. Proves by the document of the server that none was left out.
"""

import inspect
import json
import re
import sys

import httpx2
import openai

from checks import Failed, equal, finish
from run import from_environment

from .record import Record

OF_EVERY_METHOD = {"extra_headers", "extra_query", "extra_body", "timeout"}


class Asked(Exception):
    """What a method of the client asks for."""


class Listener(openai.OpenAI):
    """A client that sends nothing, and says what it would have asked for."""

    def request(self, cast_to, options, **_):
        raise Asked(options.method.upper(), options.url)


class Method:
    """A method of a resource: its route, and its parameters that go to the path."""

    def __init__(self, place, name, resource):
        self.place, self.name = place, name
        function = getattr(resource, name)
        self.parameters = inspect.signature(function).parameters.keys() - OF_EVERY_METHOD
        try:
            function(**{parameter: f"__{parameter}__" for parameter in self.parameters})
        except Asked as asked:
            self.method, path = asked.args
        self.in_path = re.findall(r"__(\w+?)__", path)
        self.route = self.method, re.sub(r"__\w+?__", "{}", path)

    def call(self, client, request):
        """Sends the request. What the method has no parameter for is an error, but for the body, which may have more."""
        resource = client
        for name in self.place:
            resource = getattr(resource, name)
        body = request["body"] or {}
        words = dict(zip(self.in_path, request["ids"], strict=True)) | request["query"]
        words |= {name: value for name, value in body.items() if name in self.parameters}
        more = {name: value for name, value in body.items() if name not in self.parameters}
        return getattr(resource, self.name)(**words, **({"extra_body": more} if more else {}))


def methods(resource, place):
    """All methods below a resource that send a request."""
    for name in dir(type(resource)):
        if name.startswith("_") or name.startswith("with_"):
            continue
        value = getattr(resource, name)
        if type(value).__module__.startswith("openai.resources."):
            yield from methods(value, (*place, name))
        elif inspect.ismethod(value):
            yield Method(place, name, resource)


def by_route():
    """Request by request."""
    base_url = from_environment("OPENAI_BASE_URL").rstrip("/")
    key = from_environment("OPENAI_ADMIN_KEY")
    document = httpx2.get(base_url.removesuffix("/v1") + "/openapi.json").raise_for_status().json()
    record = Record(document)
    words = {"base_url": base_url, "admin_api_key": key, "api_key": key, "max_retries": 0}
    listener = Listener(**words)
    found = {method.route: method for method in methods(listener.admin.organization, ("admin", "organization"))}
    http = openai.DefaultHttpxClient(event_hooks={"response": [record.note]})
    client = openai.OpenAI(**words, http_client=http, timeout=30, _strict_response_validation=True)
    for request in json.load(sys.stdin):
        route = request["method"], re.sub(r"\{\w+\}", "{}", request["template"])
        if route not in found:
            raise Failed(f"the client has no method for {request['method']} {request['template']}")
        found[route].call(client, request)
        operation = f"{request['method']} {request['template']}"
        equal("called", record.last.name, operation)
    record.complete()


if __name__ == "__main__":
    sys.exit(finish(by_route))
