"""Reads requests, a JSON string on each line, as the laxest of servers would: all that any of them could take for the model, the
maxima, the tools and the files is answered, a JSON object on each line."""

import json
import sys

OWN = set(
    "annotations arguments attributes chat_template_kwargs env guided_json headers input_schema logit_bias metadata "
    "output_schema parameters results schema structured_outputs".split()
)
MAXIMA = "max_completion_tokens max_tokens max_output_tokens max_new_tokens n_predict".split()
FOLDED = {0x17F: "s", 0x212A: "k", 0x130: "i", 0x131: "i"}


class Pairs(list):
    """The members of an object, each as often as it is given."""


def fold(name):
    return name.split("\0")[0].translate(FOLDED).lower()


def number(value):
    try:
        return int(value) if isinstance(value, (int, str)) else int(float(value))
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0


def strings(value):
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]


def walk(value, found):
    if isinstance(value, Pairs):
        for name, inner in value:
            if name in OWN:
                continue
            name = fold(name)
            if name == "tools" and isinstance(inner, list):
                tools = [tool for tool in inner if isinstance(tool, Pairs)]
                found["tools"] += [kind for tool in tools for name, kind in tool if fold(name) == "type" and isinstance(kind, str)]
            if name in ("file_id", "file_ids"):
                found["files"] += strings(inner)
            walk(inner, found)
    elif isinstance(value, list):
        for inner in value:
            walk(inner, found)


for line in sys.stdin:
    body = json.loads(json.loads(line), object_pairs_hook=Pairs)
    found = {"models": [], "most": 0, "tools": [], "files": [], "stored": False}
    for name, value in body:
        name = fold(name)
        if name == "model":
            found["models"].append(value)
        if name in MAXIMA:
            found["most"] = max(found["most"], number(value))
        if name == "store":
            found["stored"] |= value is not False and value is not None
    walk(body, found)
    print(json.dumps(found), flush=True)
