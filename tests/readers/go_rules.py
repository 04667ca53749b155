"""The rules by which programs in Go read requests, written down: names of JSON without regard to case, and multipart bodies."""

import quopri
import re

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"


def fold(name):
    """A name as `encoding/json` compares it: by simple case folding, so that `ſ` is s and the Kelvin sign is k."""
    return "".join(folded if len(folded := char.casefold()) == 1 else char for char in name)


def media_type(text):
    """`mime.ParseMediaType`: the type and its parameters; `None` where Go reports an error."""
    kind, _, rest = text.partition(";")
    parameters, extended = {}, {}
    rest = ";" + rest if rest else ""
    while rest.strip():
        match = re.match(rf"\s*;\s*({TOKEN})\s*=\s*", rest)
        if not match:
            return (kind.strip().lower(), parameters) if rest.strip() == ";" else None
        name, rest = match[1].lower(), rest[match.end() :]
        value, rest = quoted(rest) if rest.startswith('"') else plain(rest)
        if value is None or name in parameters or name in extended:
            return None
        (extended if "*" in name else parameters)[name] = value
    for name, value in extended.items():
        base, _, part = name.partition("*")
        if part in ("", "0", "0*"):
            parameters.setdefault(base, decoded(value) if part != "0" else value)
    return kind.strip().lower(), parameters


def plain(rest):
    """A token at the start, and what follows."""
    match = re.match(TOKEN, rest)
    return (match[0], rest[match.end() :]) if match else (None, rest)


def quoted(rest):
    """A quoted string at the start, and what follows. A backslash before a letter stays, as in paths of Windows."""
    value, at = "", 1
    while at < len(rest):
        char = rest[at]
        if char == '"':
            return value, rest[at + 1 :]
        if char == "\\" and at + 1 < len(rest) and not rest[at + 1].isalnum():
            at += 1
            char = rest[at]
        if char in "\r\n":
            return None, rest
        value, at = value + char, at + 1
    return None, rest


def decoded(value):
    """A value with a character set and percent signs (RFC 2231)."""
    _, _, text = value.rpartition("'")
    return re.sub("%([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), text)


def parts(content_type, body):
    """The parts of `mime/multipart`: name, content, and the file's name or `None`."""
    kind = media_type(content_type)
    boundary = kind and kind[1].get("boundary")
    if not boundary or not kind[0].startswith("multipart/"):
        return None
    found = []
    dashes = re.escape(("--" + boundary).encode("utf-8", "replace"))
    pieces = re.split(rb"(?:\A|\r?\n)" + dashes + rb"(--)?[ \t]*(?:\r?\n|\Z)", body)
    # What stands before the first boundary is passed over, and nothing is read after the last.
    for end, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if end:
            break
        head, blank, content = re.match(rb"(?s)((?:[^\r\n]+\r?\n)*)(\r?\n|\Z)(.*)", piece).groups()
        if not blank and content:
            break
        found.append(part(head, content))
    return [one for one in found if one]


def part(head, content):
    """One part by its head."""
    unfolded = re.sub(r"\r?\n[ \t]+", " ", head.decode("latin-1"))
    headers = {}
    for line in unfolded.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    disposition = media_type(headers.get("content-disposition", ""))
    if disposition is None or disposition[0] != "form-data" or "name" not in disposition[1]:
        return None
    if headers.get("content-transfer-encoding", "").lower() == "quoted-printable":
        content = quopri.decodestring(content)
    return disposition[1]["name"], content, disposition[1].get("filename")
