"""The policy of a project, and the check of a reading of a request against it."""

import re

from pydantic import TypeAdapter, ValidationError

CHAT, TEXT, RESPONSES, IMAGES = "/chat/completions", "/completions", "/responses", "/images/"
MAXIMA = {CHAT: ("max_tokens", "max_completion_tokens"), TEXT: ("max_tokens",), RESPONSES: ("max_output_tokens",)}
CHOICES = {CHAT: ("n",), TEXT: ("n", "best_of"), IMAGES: ("n",)}
HOSTED = re.compile(r"(code_interpreter|file_search|image_generation|mcp|web_search)(_[0-9a-z_]*)?\Z")
FILES = ("file_id", "file_ids", "vector_store_id", "vector_store_ids", "input_file_id", "files")
# What names a file or a vector store, by what a path begins with.
NAMING = {CHAT: FILES[:4], RESPONSES: FILES[:4], "/batches": ("input_file_id",), "/vector_stores": ("file_id", "file_ids", "files")}
# The members in which they are named.
PLACES = ("messages", "input", "tools", "prompt", "container", "tool_resources", "files")
# What is the client's own, or what a model said: a model server looks nothing up that it names.
FREE = ("annotations", "arguments", "metadata", "parameters", "results", "schema")
# The names that a server has fields for; one that ignores case takes other spellings for them.
KNOWN = {
    *FILES, *FREE, *MAXIMA[CHAT], *MAXIMA[RESPONSES], *CHOICES[TEXT], "model", "tools", "type", "store", "input",
    "prompt", "id", "web_search_options", "messages", "tool_resources", "files", "body", "url", "method", "custom_id", "content", "file", "container",
}  # fmt: skip
INTEGER, BOOLEAN = TypeAdapter(int), TypeAdapter(bool)


def endpoint_of(target):
    """The endpoint that a path of the model server is, without its query."""
    path = target.partition("?")[0].removeprefix("/v1")
    return IMAGES if path.startswith(IMAGES) else path


def whole(value):
    """The number that a lenient reader takes for an integer; 0 if none does."""
    try:
        return INTEGER.validate_python(value)
    except ValidationError:
        pass
    try:
        return min(int(float(value)), 1 << 80) if isinstance(value, (str, float)) else 0
    except (ValueError, OverflowError):
        return 1 << 80 if value in (float("inf"), "inf", "Infinity") else 0


def truth(value):
    """The boolean that a lenient reader takes a value for, or `None`."""
    try:
        return BOOLEAN.validate_python(value)
    except ValidationError:
        return None


def largest(members, names):
    """The largest number among these members."""
    return max((whole(members[name]) for name in names if name in members), default=0)


def walk(value, path=()):
    """All objects in a value, with the names that lead to them; none that are the client's own."""
    if isinstance(value, dict):
        yield path, value
        for name, inner in value.items():
            if name not in FREE:
                yield from walk(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner, path)


def texts(value):
    """All strings in lists of lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def findings(members, endpoint, policy):
    """Yields the violations of the policy by a reading of the request."""
    model = members.get("model")
    if isinstance(model, str) and model not in policy["models"]:
        yield f"model {model!r}"
    tokens = largest(members, MAXIMA.get(endpoint, ())) * max(1, largest(members, CHOICES.get(endpoint, ())))
    if policy["tokens"] is not None and tokens > policy["tokens"]:
        yield f"{tokens} tokens, more than the {policy['tokens']} set aside"
    if endpoint == IMAGES and policy["images"] is not None and largest(members, ("n",)) > policy["images"]:
        yield f"{members['n']!r} images, more than {policy['images']}"
    if endpoint in (CHAT, RESPONSES):
        yield from hosted_tools(members, endpoint)
    yield from foreign(members, endpoint, policy)
    if policy["zero_retention"] and endpoint in (CHAT, RESPONSES):
        store = members.get("store")
        if truth(store) or (endpoint == RESPONSES and truth(store) is not False):
            yield f"store {store!r}"


def foreign(members, endpoint, policy):
    """Yields the ids in a request that belong to another project."""
    names = next((names for start, names in NAMING.items() if endpoint.startswith(start)), ())
    for path, inner in walk(members):
        for name in names if not path or path[0] in PLACES else ():
            found = set(texts(inner.get(name))) & set(policy["foreign"])
            if found:
                yield f"{found} of another project at {'.'.join((*path, name))}"


def hosted_tools(members, endpoint):
    """The hosted tools that a request asks for; none may be used."""
    for path, inner in walk(members):
        if path[:1] not in ((), ("tools",)) and (endpoint, path[:1]) != (RESPONSES, ("input",)):
            continue
        tools = inner.get("tools")
        for tool in tools if isinstance(tools, list) else ():
            kind = tool.get("type") if isinstance(tool, dict) else None
            if isinstance(kind, str) and HOSTED.match(kind):
                yield f"hosted tool {kind} at {'.'.join((*path, 'tools'))}"
    if endpoint == CHAT and members.get("web_search_options") is not None:
        yield "web_search_options"
    if endpoint == RESPONSES and isinstance(members.get("prompt"), dict) and members["prompt"].get("id"):
        yield "a stored prompt, which may bring tools"
