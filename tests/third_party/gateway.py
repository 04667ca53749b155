"""A gateway, and the comparison of what it has recorded of a program with what the model servers have reported."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from decimal import Decimal

from servers import ADMIN_KEY, MODEL, OPENER, PRICES, RECORDED_MODEL, STATEFUL_MODEL, TEXT_MODELS
from servers import Failed, closed, start_gateway, tokens_of

REQUESTS, TOKENS = 1_000, 1_000_000
SECONDS = 120
# Within less than a minute, the window of a limit still has everything that a program took.
LIMIT_SECONDS = 50


class Gateway:
    """The server to test, in front of the model servers."""

    def __init__(self, servers, storage):
        self.servers = servers
        self.server = start_gateway(servers, storage)
        self.base_url = self.server.address + "/v1"

    def call(self, key, path, body=None):
        """One request; returns the answer and its headers."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path, data, headers)
        with OPENER.open(request, timeout=30) as answer:
            return json.load(answer), answer.headers

    def admin(self, path, body=None):
        return self.call(ADMIN_KEY, "/organization" + path, body)[0]

    def project(self, name):
        """Creates a project; returns its id and a key."""
        project = self.admin("/projects", {"name": name})["id"]
        account = self.admin(f"/projects/{project}/service_accounts", {"name": name})
        return project, account["api_key"]["value"]

    def pages(self, path):
        """Every element of a list."""
        after = ""
        while True:
            page = self.admin(f"{path}?limit=100{after}")
            yield from page["data"]
            if not page["has_more"]:
                return
            after = f"&after={page['last_id']}"

    def limit(self, project, model):
        """Sets the limits of a model."""
        limits = {"max_requests_per_1_minute": REQUESTS, "max_tokens_per_1_minute": TOKENS}
        (limit,) = [each for each in self.pages(f"/projects/{project}/rate_limits") if each["model"] == model]
        self.admin(f"/projects/{project}/rate_limits/{urllib.parse.quote(limit['id'], safe='')}", limits)

    def program(self, name, command, environment=None, models=(MODEL,)):
        """Runs a program with a project of its own, which uses these models, and checks what is recorded of the project. Returns
        what the program wrote, and the requests that it made for models."""
        project, key = self.project(name)
        for model in models:
            self.limit(project, model)
        mark = self.servers.mark()
        before = {model: self.probe(key, model) for model in models}
        started = time.monotonic()
        environment = closed() | {
            "OPENAI_API_KEY": key,
            "OPENAI_BASE_URL": self.base_url,
            "TEST_MODEL": models[0],
            "TEST_RECORDED_MODEL": RECORDED_MODEL,
            "HOME": str(self.servers.folder),
        } | (environment or {})
        done = subprocess.run(
            command, env=environment, cwd=self.servers.folder, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL
        )
        took = time.monotonic() - started
        if done.returncode:
            raise Failed(f"{name} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        after = {model: self.probe(key, model) for model in models}
        turns = self.servers.turns(mark, STATEFUL_MODEL if STATEFUL_MODEL in models else MODEL)
        self.compare(name, project, turns)
        if took < LIMIT_SECONDS:
            for model in models:
                compare_limits(name, [turn for turn in turns if turn.model == model], before[model], after[model])
        tokens = tuple(map(sum, zip(*(turn.tokens for turn in turns if turn.tokens))))
        print(f"{name}: {len(turns)} requests, {tokens[0]} input and {tokens[1]} output tokens, ${cost_of(turns)}, {took:.1f} s", flush=True)
        for usage in (probe[1] for probes in (before, after) for probe in probes.values()):
            turns.remove(next(turn for turn in turns if turn.path == "/chat/completions" and turn.tokens == usage))
        return done, turns

    def probe(self, key, model):
        """A request whose headers say how much of the limits is left, itself included, and the tokens that it took."""
        body = {"model": model, "messages": [{"role": "user", "content": "Probe."}], "max_tokens": 16}
        answer, headers = self.call(key, "/chat/completions", body)
        left = [int(headers[f"x-ratelimit-remaining-{unit}"]) for unit in ("requests", "tokens")]
        return left, tokens_of(answer["usage"])

    def compare(self, name, project, turns):
        """Compares the ledger and the costs of a project with what the model servers have reported."""
        counted = [turn for turn in turns if turn.is_completion]
        expected = {
            "input_tokens": sum(turn.tokens[0] for turn in counted),
            "output_tokens": sum(turn.tokens[1] for turn in counted),
            "num_model_requests": len(counted),
        }
        query = f"?start_time={int(time.time()) - 86_400}&project_ids={project}&limit=31"
        settled(name, "usage", expected, lambda: summed(self.admin("/usage/completions" + query), expected))
        settled(name, "cost", cost_of(turns), lambda: recorded_cost(self.admin(f"/costs{query}&group_by=line_item")))


def compare_limits(name, turns, before, after):
    """Compares what was taken of the limits of a model with its requests, the probes before and after among them."""
    requests, tokens = [was - now for was, now in zip(before[0], after[0])]
    equal(name, "requests of the limit", len(turns) - 1, requests)
    equal(name, "tokens of the limit", sum(sum(turn.tokens) for turn in turns if turn.tokens) - sum(after[1]), tokens)


def cost_of(turns):
    """The price of these requests."""
    prices = [Decimal(PRICES[kind]) for kind in ("input", "output")]
    return sum((price * amount for turn in turns if turn.tokens for price, amount in zip(prices, turn.tokens)), Decimal(0)) / 1_000_000


def summed(page, names):
    results = [result for bucket in page["data"] for result in bucket["results"]]
    return {name: sum(result.get(name) or 0 for result in results) for name in names}


def recorded_cost(page):
    """The cost of text models."""
    results = [result for bucket in page["data"] for result in bucket["results"]]
    costs = [result["amount"]["value"] for result in results if result["line_item"].startswith(TEXT_MODELS)]
    return sum((Decimal(str(cost)) for cost in costs), Decimal(0))


def settled(name, what, expected, read):
    """What has ended is visible within a second."""
    deadline = time.monotonic() + 10
    while (actual := read()) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    equal(name, what, expected, actual)


def equal(name, what, expected, actual):
    if expected != actual:
        raise Failed(f"{name}: {what}: expected is {expected}, found is {actual}")
