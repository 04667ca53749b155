"""A model server that answers from `recorded.json`, for operations that no other model server in these tests has.

    recorded.py [--port PORT]

Each answer has the shape that the published document and the types of the official client give it. In `recorded.json`, a string
that begins with `$` stands for a value: `$new PREFIX` for an id of its own, `$path N` for the Nth id in the path, `$request NAME`
for a member of the request, `$model` for its model, and `$response STATUS`, `$completion` and `$vector_store` for these objects.
`GET /journal` is the list of the requests that models have answered, each with `path`, `model` and `usage`, null if it reported none.
"""

import argparse
import itertools
import json
import pathlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EXCHANGES = json.loads(pathlib.Path(__file__).with_name("recorded.json").read_text())
ID = r"([^/]+)"
ROUTES = [
    (method, re.compile(re.escape(template).replace(r"\{\}", ID)), exchange)
    for method, template, exchange in ((*name.split(" "), exchange) for name, exchange in EXCHANGES.items())
]
# Of the routes that a path fits, the one with the fewest ids is meant.
ROUTES.sort(key=lambda route: route[1].pattern.count(ID))
NEW_IDS = itertools.count(1)
CREATED_AT = 1796083200


class Journal:
    """The requests that models have answered, with the usage that was reported."""

    def __init__(self):
        self.lock, self.entries = threading.Lock(), []

    def add(self, **entry):
        with self.lock:
            self.entries.append(entry)

    def read(self):
        with self.lock:
            return list(self.entries)


JOURNAL = Journal()


class Answer:
    """An answer to one request: the values of its template."""

    def __init__(self, ids, request, case):
        self.ids, self.request, self.case = ids, request, case
        self.model = request.get("model") or "gpt-recorded"
        self.own_ids = {}

    def value(self, template):
        """The JSON that a template stands for."""
        if isinstance(template, dict):
            return {name: self.value(member) for name, member in template.items()}
        if isinstance(template, list):
            return [self.value(item) for item in template]
        if not (isinstance(template, str) and template.startswith("$")):
            return template
        kind, _, rest = template.partition(" ")
        return getattr(self, kind[1:] + "_value")(rest)

    def new_value(self, prefix):
        return f"{prefix}{next(NEW_IDS):024x}"

    def path_value(self, index):
        return self.ids[int(index)]

    def request_value(self, name):
        return self.request[name]

    def model_value(self, _):
        return self.model

    def object_id(self, prefix):
        """The id in the path, or one for the object that is created; the same in all parts of an answer."""
        if not self.own_ids:
            self.own_ids[prefix] = self.ids[0] if self.ids else self.new_value(prefix)
        return self.own_ids[prefix]

    def response_value(self, status):
        is_done = status == "completed"
        output = self.case.get("output") or [
            event["item"] for event in self.case.get("events", []) if event["type"] == "response.output_item.done"
        ]
        return {
            "id": self.object_id("resp_"),
            "object": "response",
            "created_at": CREATED_AT,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "max_output_tokens": None,
            "metadata": {},
            "model": self.model,
            "output": self.value(output) if is_done else [],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": self.request.get("store", True),
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": self.case.get("usage") if is_done else None,
            "user": None,
        }

    def completion_value(self, _):
        message = {"role": "assistant", "content": "Hello.", "refusal": None, "annotations": []}
        usage = EXCHANGES["POST /chat/completions"]["usage"]
        return {
            "id": self.object_id("chatcmpl-"),
            "object": "chat.completion",
            "created": CREATED_AT,
            "model": self.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": usage,
            "service_tier": "default",
            "system_fingerprint": None,
            "metadata": self.request.get("metadata") or {},
        }

    def vector_store_value(self, _):
        return {
            "id": self.object_id("vs_"),
            "object": "vector_store",
            "created_at": CREATED_AT,
            "name": self.request.get("name") or "notes",
            "usage_bytes": 0,
            "file_counts": {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0},
            "status": "completed",
            "expires_after": None,
            "expires_at": None,
            "last_active_at": CREATED_AT,
            "metadata": {},
        }


def fits(case, request):
    """True if a case is meant for a request."""
    items = request.get("input")
    kinds = [item.get("type") for item in items] if isinstance(items, list) else []
    if "last_input" in case:
        return kinds[-1:] == [case["last_input"]]
    if "has_input" in case:
        return case["has_input"] in kinds
    if "has_tool" in case:
        return case["has_tool"] in json.dumps(request.get("tools"))
    return True


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def handle_request(self):
        body, path = self.body(), self.path.partition("?")[0].removeprefix("/v1")
        if path == "/journal":
            return self.send(200, json.dumps(JOURNAL.read()).encode())
        for method, pattern, exchange in ROUTES:
            if method == self.command and (found := pattern.fullmatch(path)):
                return self.answer(path, found.groups(), exchange, body)
        return self.send(404, json.dumps({"error": {"message": f"no {self.command} {path}", "type": "invalid_request_error"}}).encode())

    do_GET = do_POST = do_DELETE = handle_request

    def answer(self, path, ids, exchange, body):
        is_json = self.headers.get("content-type", "").startswith("application/json")
        request = json.loads(body) if is_json and body else {}
        case = next(case for case in exchange.get("cases", [exchange]) if fits(case, request))
        answer = Answer(ids, request, case)
        if "text" in case:
            return self.send(200, case["text"].encode(), "application/octet-stream")
        if "events" in case:
            events = [answer.value(event) | {"sequence_number": number} for number, event in enumerate(case["events"])]
            text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
            sent = text.encode(), "text/event-stream"
        else:
            sent = json.dumps(answer.value(case["body"])).encode(), "application/json"
        if self.command == "POST" and "model" in request:
            body = case.get("body")
            usage = case.get("usage") or (body.get("usage") if isinstance(body, dict) else None)
            JOURNAL.add(path=path, model=request["model"], usage=usage)
        return self.send(200, *sent)

    def body(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while length := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def send(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0)
    server = ThreadingHTTPServer(("127.0.0.1", options.parse_args().port), Handler)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
