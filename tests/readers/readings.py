"""Readings of a request by the parsers of servers: the reader's name, and the members that it sees."""

import asyncio
import io
import json
import re
from urllib.parse import parse_qsl

import pydantic_core
from starlette.requests import Request
from werkzeug.formparser import parse_form_data

import go_rules
from policy import KNOWN

FOLDED = {go_rules.fold(name): name for name in KNOWN}
LOOP = asyncio.new_event_loop()


class Pairs(list):
    """The members of an object in their order."""


def resolved(value, folds, first_wins):
    """A value in which each object is a dictionary by the given rule."""
    if isinstance(value, Pairs):
        members = {}
        for name, inner in value:
            name = FOLDED.get(go_rules.fold(name), name) if folds else name
            if not (first_wins and name in members):
                members[name] = resolved(inner, folds, first_wins)
        return members
    if isinstance(value, list):
        return [resolved(inner, folds, first_wins) for inner in value]
    return value


def of_pairs(name, members):
    """All the ways to resolve names that are given twice or in another spelling."""
    yield name, resolved(members, False, False)
    yield f"{name}, first wins", resolved(members, False, True)
    yield f"{name}, Go's names", resolved(members, True, False)
    yield f"{name}, names without case, first wins", resolved(members, True, True)


def attempt(read, *arguments, **options):
    """Returns the reading; `None` if the reader refuses."""
    try:
        return read(*arguments, **options)
    except Exception:  # noqa: BLE001: whatever a parser of others raises, it has read nothing
        return None


def of_json(body, node):
    """The readings of a body as JSON."""
    pairs = attempt(json.loads, body, object_pairs_hook=Pairs)
    if isinstance(pairs, Pairs):
        yield from of_pairs("Python json", pairs)
    for name, value in [
        ("pydantic", attempt(pydantic_core.from_json, body)),
        ("Node JSON.parse", attempt(json.loads, node["json"]) if node["json"] else None),
    ]:
        if isinstance(value, dict):
            yield name, value


def of_charset(content_type, body):
    """The readings of a server that honours the character set which the content type names."""
    match = re.search(r"charset\s*=\s*\"?([^\s\";]+)", content_type, re.IGNORECASE)
    if match and match[1].lower() not in ("utf-8", "utf8"):
        pairs = attempt(lambda: json.loads(body.decode(match[1]), object_pairs_hook=Pairs))
        if isinstance(pairs, Pairs):
            yield from of_pairs(f"charset {match[1]}", pairs)


async def starlette_form(content_type, body):
    """The fields that Starlette reads, with python-multipart."""
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", content_type.encode("latin-1"))]}

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    fields = []
    for name, value in (await Request(scope, receive).form()).multi_items():
        if isinstance(value, str):
            fields.append((name, value.encode("utf-8", "surrogatepass"), None))
        else:
            fields.append((name, await value.read(), value.filename))
    return fields


def werkzeug_form(content_type, body):
    """The fields that Werkzeug reads."""
    environ = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    _, form, files = parse_form_data(environ, silent=False)
    fields = [(name, value.encode("utf-8", "surrogatepass"), None) for name, value in form.items(multi=True)]
    return fields + [(name, file.read(), file.filename) for name, file in files.items(multi=True)]


def forms(content_type, body, node):
    """The fields of the body by each reader: name, content, and the file's name or `None`."""
    yield "Starlette", attempt(lambda: LOOP.run_until_complete(starlette_form(content_type, body)))
    yield "Werkzeug", attempt(werkzeug_form, content_type, body)
    yield "Go mime/multipart", attempt(go_rules.parts, content_type, body)
    yield "busboy", node["fields"]


def of_form(content_type, body, node):
    """The readings of a body as a form."""
    for name, fields in forms(content_type, body, node):
        if fields:
            texts = [(field, content.decode("utf-8", "replace")) for field, content, file in fields if file is None]
            yield from of_pairs(name, Pairs(texts))


def of_query(target):
    """The reading of a server that takes members of the body from the query as well."""
    query = parse_qsl(target.partition("?")[2], keep_blank_values=True)
    if query:
        yield from of_pairs("the query", Pairs(query))
