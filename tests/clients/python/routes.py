"""Prints every operation of the official client: a JSON list of objects with `method`, `path` below the base URL, `call`, the
methods of the client that ask for it, and `websocket`, true where the client opens a WebSocket. Nothing is sent.
"""

import inspect
import json
import re
import warnings

import openai

BASE_URL = "http://127.0.0.1/v1"
OF_EVERY_METHOD = {"extra_headers", "extra_query", "extra_body", "timeout"}
MARK = re.compile(r"__(\w+?)__")
NOT_BYTES = re.compile(r"Expected entry at `(\w+)")


class Asked(Exception):
    """What a method of the client asks for."""


class Listener(openai.OpenAI):
    """A client that sends nothing, and says what it would have asked for."""

    def request(self, cast_to, options, **_):
        raise Asked(options.method.upper(), options.url)


def methods(resource, place=()):
    """All methods below a resource, each with its dotted name."""
    for name in sorted(dir(type(resource))):
        if name.startswith(("_", "with_")):
            continue
        value = getattr(resource, name)
        if type(value).__module__.startswith("openai.resources."):
            yield from methods(value, (*place, name))
        elif inspect.ismethod(value) and place:
            yield ".".join((*place, name)), value


def asked(method):
    """The HTTP method and the path that a method asks for; None if it fails before it asks. Some methods want every parameter,
    others only the required ones, and some an object in one of them."""
    parameters = [one for one in inspect.signature(method).parameters.values() if one.name not in OF_EVERY_METHOD]
    required = [one.name for one in parameters if one.default is inspect.Parameter.empty]
    every = [one.name for one in parameters]
    for names, value in ((required, None), (every, None), (required, {})):
        what = asked_with(method, {name: f"__{name}__" if value is None else value for name in names})
        if what is not None:
            return what
    return None


def asked_with(method, values):
    """The HTTP method and the path that a method asks for with these values; those that must be files become some."""
    try:
        made = method(**values)
    except Asked as what:
        return what.args
    except RuntimeError as error:
        file = NOT_BYTES.match(str(error))
        if file and values.get(file[1]) not in (b"", [b""]):
            return asked_with(method, values | {file[1]: [b""] if file[1] == "files" else b""})
        return None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return ("WEBSOCKET", made._prepare_url().path.removeprefix("/v1")) if hasattr(made, "_prepare_url") else None


def is_helper(name, method):
    """True if the method only calls other methods, or no server at all."""
    asks = re.search(r"self\._(get|post|put|patch|delete|get_api_list)\(", inspect.getsource(method))
    return not asks and not name.endswith(".connect")


def routes():
    """Every operation, in the order of the paths. Methods that repeat another's operation are listed with it."""
    client = Listener(base_url=BASE_URL, api_key="k", admin_api_key="k", max_retries=0)
    found = {}
    for name, method in methods(client):
        if is_helper(name, method):
            continue
        what = asked(method)
        if what is None:
            raise SystemExit(f"{name} sends a request, and its route was not found")
        verb, path = what
        if "?" in path:
            # A variant of another method's operation.
            continue
        path = MARK.sub(r"{\1}", path)
        shape = verb, MARK.sub("{}", re.sub(r"\{\w+\}", "{}", path))
        operation = found.setdefault(shape, {"path": path, "calls": []})
        operation["calls"].append(name)
    for (verb, _), operation in sorted(found.items(), key=lambda one: (one[1]["path"], one[0][0])):
        is_socket = verb == "WEBSOCKET"
        yield {
            "method": "GET" if is_socket else verb,
            "path": operation["path"],
            "websocket": is_socket,
            "calls": operation["calls"],
        }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps({"version": openai.__version__, "operations": list(routes())}))
