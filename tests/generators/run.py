"""Makes clients from an OpenAPI document and lets them send recorded requests and read the recorded answers.

Takes a folder that has `document.json` and `exchanges.json`; the clients are made in it. An exchange has the id of its
`operation`, its `method`, `path`, `parameters` (of path and query), `body`, `answer`, and whether it `needs_key`.
"""

import json
import sys
import traceback
from pathlib import Path

from clients import OpenApiGenerator, OpenApiPythonClient
from replay import Replay


def differences(read, answer, place="answer"):
    """Where what was read is not what was answered."""
    if isinstance(read, dict) and isinstance(answer, dict):
        names = sorted(read.keys() | answer.keys())
        inner = [(read.get(name, "absent"), answer.get(name, "absent"), f"{place}.{name}") for name in names]
    elif isinstance(read, list) and isinstance(answer, list) and len(read) == len(answer):
        inner = [(read[index], item, f"{place}[{index}]") for index, item in enumerate(answer)]
    else:
        # A model may say null of what it may lack.
        is_same = read == answer or (read is None and answer == "absent")
        return [] if is_same else [f"{place}: {read!r} for {answer!r}"]
    return [found for pair in inner for found in differences(*pair)]


def defaults(document):
    """What the parameters of each operation's query are when they are not said."""
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    text = lambda value: value if isinstance(value, str) else json.dumps(value)
    return {
        operation["operationId"]: {
            parameter["name"]: [text(parameter["schema"]["default"])]
            for parameter in operation["parameters"]
            if "default" in parameter["schema"]
        }
        for operation in operations
    }


def complaints(client, replay, exchange):
    """What is wrong with how the client sends the request and reads the answer."""
    replay.expect(exchange)
    try:
        answer, read = client.call(exchange)
    except Exception:
        return [traceback.format_exc(limit=-3)]
    found = replay.complaints + differences(read, exchange["answer"])
    found += [f"{name}: the model has no such field" for name in client.unknown(answer)]
    return found if replay.requests == 1 else [*found, f"{replay.requests} requests"]


def main(folder):
    """Returns what there is to complain of."""
    sys.path.insert(0, str(folder))
    exchanges = json.loads((folder / "exchanges.json").read_text())
    replay, found = Replay(defaults(json.loads((folder / "document.json").read_text()))), []
    for kind in [OpenApiPythonClient, OpenApiGenerator]:
        client = kind(folder / "document.json", folder)
        client.connect(replay.url)
        for exchange in exchanges:
            name = f"{kind.__name__} {exchange['operation']}"
            found += [f"{name}: {complaint}" for complaint in complaints(client, replay, exchange)]
        print(f"{kind.__name__}: {len(exchanges)} exchanges")
    replay.stop()
    return found


if __name__ == "__main__":
    FOUND = main(Path(sys.argv[1]))
    print("\n".join(FOUND))
    sys.exit(bool(FOUND))
