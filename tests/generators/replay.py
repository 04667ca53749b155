"""A server that gives the recorded answer to the request that is expected next, and says how the request differs."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

KEY = "sk-admin-generated"


class Replay:
    """Answers on a loopback address."""

    def __init__(self, defaults):
        self.exchange = None
        self.defaults = defaults
        self.complaints = []
        self.requests = 0
        replay = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                replay.receive(self.command, self.path, self.headers, self.rfile.read(length))
                body = json.dumps(replay.exchange["answer"]).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def expect(self, exchange):
        """Makes this the next exchange."""
        self.exchange, self.complaints, self.requests = exchange, [], 0

    def receive(self, method, target, headers, body):
        """Notes where the request is not the recorded one."""
        self.requests += 1
        sent, recorded = urlsplit(target), urlsplit("/v1" + self.exchange["path"])
        body = json.loads(body) if body else None
        # A client may say what holds anyway.
        query = self.defaults[self.exchange["operation"]] | parse_qs(recorded.query)
        said = {name: query.get(name) for name in parse_qs(sent.query).keys() | parse_qs(recorded.query).keys()}
        found = [
            ("method", method, self.exchange["method"]),
            ("path", sent.path, recorded.path),
            ("query", parse_qs(sent.query), said),
            ("body", body or None, self.exchange["body"] or None),
        ]
        if self.exchange["needs_key"]:
            found.append(("authorization", headers.get("authorization"), f"Bearer {KEY}"))
        self.complaints += [f"{what}: {is_} for {should_be}" for what, is_, should_be in found if is_ != should_be]

    def stop(self):
        """Stops answering."""
        self.server.shutdown()
        self.server.server_close()
