"""The official clients call every operation of `docs/operations.md` that is served or passed, administration left out.

Each group of operations is called at the model server that has them: the one that answers from fixtures, the one that keeps state,
and for those that neither has, the one that answers from records.
"""

import json
import re
import subprocess

from servers import HERE, MODEL, RECORDED_MODEL, STATEFUL_MODEL, Failed

# Groups of `operations.py` and `operations.mjs`, by the model server at which clients create objects.
FIXTURES = ["models", "chat", "websocket", "embeddings", "images", "audio", "files", "batches"]
RECORDS = [
    *["moderations", "variations", "completions", "decisions", "input_tokens", "compact", "responses", "cancelled_response"],
    *["conversations", "changed_chat", "files", "uploads", "vector_stores", "containers"],
]
STATE = ["models", "chat", "responses", "conversations", "stored_chat", "files"]
# The model servers whose answers have every member that the types of the official clients require. The one that keeps state leaves
# out `cache_write_tokens`.
STRICT = ("models", "recorded")
ROW = re.compile(r"\| (\w+) \| `(/[^`]*)` \| [^|]+ \| (served|passed) \|")
# `tests/clients` calls every operation of administration.
ADMINISTRATION = ("/organization", "/projects")


def start(run):
    """Runs both clients, and fails if an operation was not called by one of them."""
    at = [("models", (MODEL,), FIXTURES), ("recorded", (RECORDED_MODEL,), RECORDS)]
    if run.servers.state:
        at.append(("state", (STATEFUL_MODEL,), STATE))
    for script in ("operations.py", "operations.mjs"):
        called = []
        for storage, models, groups in at:
            called += calls(run, script, storage, models, groups)
        missing = [name for name, pattern in operations() if not any(is_call(call, name, pattern) for call in called)]
        if missing:
            raise Failed(f"{script} does not call operations that docs/operations.md lists: {', '.join(missing)}")
        print(f"{script}: {len(operations())} operations", flush=True)


def calls(run, script, storage, models, groups):
    """Lets a client call groups of operations; returns what it called with success."""
    name = f"{script} at {storage}"
    file = run.folder / f"{name}.jsonl"
    command = [*run.script(script), str(file), *groups]
    environment = {"TEST_RECORDED_MODEL": models[0], "TEST_STRICT": json.dumps(storage in STRICT)}
    _, turns = run.gateway(storage).program(name, command, environment, models)
    made = [json.loads(line) for line in file.read_text().splitlines()]
    got = sorted(tuple(call["usage"]) for call in made if "usage" in call)
    reported = sorted(turn.tokens for turn in turns if turn.tokens)
    if got != reported:
        raise Failed(f"{name}: the client got the usage {got}, the model server reported {reported}")
    # The Python client compares every answer with its types itself.
    if script.endswith(".mjs") and storage in STRICT:
        typed = subprocess.run([run.tools["agents"], str(HERE / "typed.py"), str(file)], capture_output=True, text=True, timeout=60)
        if typed.returncode:
            raise Failed(f"{name}: {typed.stdout}{typed.stderr}")
    return [call for call in made if call["status"] < 300]


def operations():
    """The name and the path of each operation of models and of stored objects."""
    rows = ROW.findall((HERE / "../../docs/operations.md").read_text())
    rows = [(method, path) for method, path, _ in rows if not path.startswith(ADMINISTRATION)]
    if len(rows) < 60:
        raise Failed(f"docs/operations.md has only {len(rows)} operations of this kind")
    return [(f"{method} {path}", re.sub(r"\{\w+\}", "{}", path)) for method, path in rows]


def is_call(call, name, pattern):
    """True if a request is for an operation, whose path has the given segments, `{}` for an id."""
    wanted, found = pattern.split("/"), call["path"].split("/")
    return (
        call["method"] == name.split(" ")[0]
        and len(wanted) == len(found)
        and all(one == other or one == "{}" and other not in FIXED for one, other in zip(wanted, found))
    )


# Segments that are no ids where an id could be.
FIXED = {"compact", "input_tokens"}
