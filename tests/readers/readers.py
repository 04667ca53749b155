"""Reads requests that the gateway has forwarded as all kinds of servers do, and says what any of them would do that the
project may not. Its one word is the Node that has busboy. A line of JSON in, a line of JSON out.

In: `kind` (`json`, `form` or `batch`), `target`, `content_type`, `body` (base64) and `policy`. Out: a list of findings."""

import base64
import json
import logging
import pathlib
import subprocess
import sys

import policy as rules
import readings

HERE = pathlib.Path(__file__).resolve().parent
# How many findings of one request are told.
FEW = 4


class Node:
    """Reads as Node does, in a process of its own."""

    def __init__(self, program):
        script = [program, str(HERE / "node_reader.cjs")]
        self.process = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self, content_type, body):
        """What JSON.parse and busboy make of it."""
        request = {"content_type": content_type, "body": base64.b64encode(body).decode()}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if answer["fields"] is not None:
            answer["fields"] = [(name, base64.b64decode(content), file) for name, content, file in answer["fields"]]
        return answer


def all_readings(request, body, node):
    """Each reading of a request that is forwarded to a model."""
    content_type = request["content_type"]
    yield from readings.of_query(request["target"])
    if request["kind"] == "json":
        yield from readings.of_json(body, node)
        yield from readings.of_charset(content_type, body)
    if "multipart" in content_type or "urlencoded" in content_type:
        yield from readings.of_form(content_type, body, node)


def batch_findings(request, body, node, program):
    """Yields the violations by the lines of an uploaded file, each with its reader."""
    contents = set()
    for _, fields in readings.forms(request["content_type"], body, node):
        contents.update(content for name, content, _ in fields or () if name == "file")
    for content in contents:
        for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
            for reader, outer in readings.of_json(line, program.read("", line)) if line.strip() else ():
                inner = outer.get("body")
                if isinstance(inner, dict):
                    endpoint = rules.endpoint_of(str(outer.get("url", "")))
                    # Nothing says how much is set aside for a batch.
                    for found in rules.findings(inner, endpoint, request["policy"] | {"tokens": None}):
                        yield reader, f"{found} in line {number}"


def findings_of(request, program):
    """Yields the violations that some reader finds, each with its reader."""
    body = base64.b64decode(request["body"])
    node = program.read(request["content_type"], body)
    if request["kind"] == "batch":
        yield from batch_findings(request, body, node, program)
        return
    endpoint = rules.endpoint_of(request["target"])
    for reader, members in all_readings(request, body, node):
        for found in rules.findings(members, endpoint, request["policy"]):
            # A query has no `store` of its own: that the body has one is for the other readers to say.
            if not (reader.startswith("the query") and found.startswith("store None")):
                yield reader, found


def main():
    """Line after line, until there are no more."""
    sys.setrecursionlimit(10_000)
    logging.disable()
    program = Node(sys.argv[1])
    for line in sys.stdin:
        found = {}
        for reader, finding in findings_of(json.loads(line), program):
            found.setdefault(finding, []).append(reader)
        told = [f"{finding}, as read by: {'; '.join(dict.fromkeys(readers))}" for finding, readers in found.items()]
        print(json.dumps(told[:FEW]), flush=True)
    program.process.stdin.close()
    program.process.wait()


if __name__ == "__main__":
    main()
