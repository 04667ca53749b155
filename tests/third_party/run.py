"""Runs other people's programs against the built server, and compares what each got with the ledger, the limits and the costs.

    run.py TOOLS.json SERVER [NAME...]

SERVER is the program to test. TOOLS.json says where the others are: `node`, `packages` (a folder with the packages of package.json), and a Python for
each of `agents`, `langchain` and `llama-index`. Nothing but loopback addresses is reached: every other address is behind a proxy
that refuses connections.
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from decimal import Decimal

HERE = pathlib.Path(__file__).parent
ADMIN_KEY = "sk-admin-third-party-0123456789abcdefghijklmnop"
MODEL = "gpt-5.5"
# The name that the model server with state has for it.
STATEFUL_MODEL = "models/gpt-5.5"
EMBEDDINGS = "text-embedding-3-small"
# US dollars per million tokens.
PRICES = {"input": Decimal("1.25"), "output": Decimal("10.00")}
REQUESTS, TOKENS = 1_000, 1_000_000
SECONDS = 120


# The servers that were started, which end with this program.
STARTED = []


class Failed(Exception):
    """What a program saw, or what is recorded of it, is not what it should be."""


class Turns:
    """What the model server reports for each answer, by the fixture that gave it."""

    def __init__(self):
        self.input = self.output = self.requests = 0

    def add(self, usage):
        self.requests += 1
        self.input += usage["prompt_tokens"]
        self.output += usage["completion_tokens"]


class Server:
    """A server that runs until the end, with its address."""

    def __init__(self, command, mark, log, **options):
        self.log = log
        with open(log, "w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, **options)
        STARTED.append(self)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            text = pathlib.Path(log).read_text()
            if mark in text:
                self.address = text.split(mark, 1)[1].split()[0]
                return
            time.sleep(0.05)
        raise Failed(f"{command[0]} does not start:\n{pathlib.Path(log).read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Run:
    """The servers, and the programs that use them."""

    def __init__(self, tools, folder):
        self.tools, self.folder = tools, folder
        mock = pathlib.Path(tools["packages"], "node_modules/@copilotkit/aimock/dist/cli.js")
        command = [tools["node"], str(mock), "--host", "127.0.0.1", "--port", "0", "--strict", "--fixtures", str(HERE / "models.json")]
        self.models = Server(command, "[aimock] aimock server listening on ", folder / "models.log", env=closed())
        self.state = self.start_state() if "ogx" in tools else None
        config = folder / "orgplane.toml"
        address = self.state.address if self.state else ""
        stateful = f'''
[[upstream]]
name = "state"
base_url = "{address}/v1"
models = ["{STATEFUL_MODEL}"]
stores = true
health_path = ""
'''
        prices = "".join(
            f'''
[[price]]
model = "{model}"
effective = "2024-01-01"
input = "{PRICES["input"]}"
output = "{PRICES["output"]}"
'''
            for model in (MODEL, STATEFUL_MODEL)
        )
        config.write_text(
            f'''listen = "127.0.0.1:0"
database = "sqlite://{folder}/orgplane.db"
[[upstream]]
name = "models"
base_url = "{self.models.address}/v1"
models = ["{MODEL}", "{EMBEDDINGS}"]
websocket = true
health_path = ""
{stateful if self.state else ""}
{prices}
'''
        )
        environment = closed() | {"ORGPLANE_BOOTSTRAP_ADMIN_KEY": ADMIN_KEY}
        command = [tools["orgplane"], "serve", "--config", str(config)]
        self.server = Server(command, "Listening on ", folder / "orgplane.log", env=environment)
        self.base_url = self.server.address + "/v1"

    def start_state(self):
        """Starts the model server that keeps state; the other one is its model."""
        state = self.folder / "state"
        state.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = closed() | {
            "HOME": str(state),
            "MODELS_URL": self.models.address + "/v1",
            "STATE_DIR": str(state),
            "OGX_PORT": str(port),
        }
        command = [self.tools["ogx"], "-m", "ogx.cli.ogx", "run", "--insecure", str(HERE / "ogx.yaml")]
        return Server(command, "Uvicorn running on ", self.folder / "state.log", env=environment)

    def call(self, key, path, body=None):
        """One request; returns the answer and its headers."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path, data, headers)
        with OPENER.open(request, timeout=30) as answer:
            return json.load(answer), answer.headers

    def admin(self, path, body=None):
        return self.call(ADMIN_KEY, "/organization" + path, body)[0]

    def journal(self):
        """The requests that the model server has answered, oldest first."""
        with OPENER.open(self.models.address + "/__aimock/journal", timeout=30) as answer:
            return json.load(answer)

    def project(self, name):
        """Creates a project; returns its id and a key."""
        project = self.admin("/projects", {"name": name})["id"]
        account = self.admin(f"/projects/{project}/service_accounts", {"name": name})
        return project, account["api_key"]["value"]

    def program(self, name, command, environment, model=MODEL):
        """Runs a program with a project of its own, and checks what is recorded of the project."""
        project, key = self.project(name)
        limits = {"max_requests_per_1_minute": REQUESTS, "max_tokens_per_1_minute": TOKENS}
        (limit,) = [each for each in self.pages(f"/projects/{project}/rate_limits") if each["model"] == model]
        self.admin(f"/projects/{project}/rate_limits/{urllib.parse.quote(limit['id'], safe='')}", limits)

        before, begun = self.probe(key, model), len(self.journal())
        started = time.monotonic()
        environment = closed() | {
            "OPENAI_API_KEY": key,
            "OPENAI_BASE_URL": self.base_url,
            "TEST_MODEL": model,
            "HOME": str(self.folder),
        } | environment
        done = subprocess.run(
            command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL
        )
        took = time.monotonic() - started
        if done.returncode:
            raise Failed(f"{name} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        asked = self.journal()[begun:]
        after = self.probe(key, model)
        self.compare(name, (project, model), asked, before, after, took)
        return done

    def probe(self, key, model):
        """A request whose headers say how much of the limits is left, itself included."""
        body = {"model": model, "messages": [{"role": "user", "content": "Probe."}], "max_tokens": 16}
        answer, headers = self.call(key, "/chat/completions", body)
        left = [int(headers[f"x-ratelimit-remaining-{unit}"]) for unit in ("requests", "tokens")]
        return left, answer["usage"]

    def pages(self, path):
        """Every element of a list."""
        after = ""
        while True:
            page = self.admin(f"{path}?limit=100{after}")
            yield from page["data"]
            if not page["has_more"]:
                return
            after = f"&after={page['last_id']}"

    def compare(self, name, of, asked, before, after, took):
        """Compares the ledger, the limits and the costs of a project with what the model server has reported."""
        (project, model), turns = of, Turns()
        # Embeddings are of another model.
        asked = [request["response"] for request in asked if "/embeddings" not in request["path"]]
        # The model server refuses what it has no answer for, such as a request that only warms a connection up.
        for response in asked:
            if response["fixture"] is not None:
                turns.add(response["fixture"]["response"]["usage"])
        seen = len(asked)
        for _, usage in (before, after):
            turns.add(usage)
        query = f"?start_time={int(time.time()) - 86_400}&project_ids={project}&limit=31"
        expected = {
            "input_tokens": turns.input,
            "output_tokens": turns.output,
            "num_model_requests": turns.requests,
        }
        settled(name, "usage", expected, lambda: summed(self.admin("/usage/completions" + query + "&models=" + model), expected))
        cost = turns.input * PRICES["input"] + turns.output * PRICES["output"]
        settled(name, "cost", cost / 1_000_000, lambda: cost_of(model, self.admin(f"/costs{query}&group_by=line_item")))
        if took < 50:
            taken = [was - now for was, now in zip(before[0], after[0])]
            tokens = turns.input + turns.output - after[1]["prompt_tokens"] - after[1]["completion_tokens"]
            equal(name, "requests of the limit", seen + 1, taken[0])
            equal(name, "tokens of the limit", tokens, taken[1])
        print(f"{name}: {seen} requests, {turns.input} input tokens, {turns.output} output tokens, ${cost / 1_000_000}", flush=True)


def closed():
    """An environment in which nothing but loopback addresses can be reached."""
    refused = "http://127.0.0.1:9"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    proxies = {spelt: refused for name in names for spelt in (name, name.lower())}
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | proxies | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1"}


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def summed(page, names):
    results = [result for bucket in page["data"] for result in bucket["results"]]
    return {name: sum(result.get(name) or 0 for result in results) for name in names}


def cost_of(model, page):
    results = [result for bucket in page["data"] for result in bucket["results"]]
    return sum((Decimal(str(result["amount"]["value"])) for result in results if result["line_item"].startswith(model)), Decimal(0))


def settled(name, what, expected, read):
    """What has ended is visible within a second."""
    deadline = time.monotonic() + 10
    while (actual := read()) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    equal(name, what, expected, actual)


def equal(name, what, expected, actual):
    if expected != actual:
        raise Failed(f"{name}: {what}: the model server reports {expected}, recorded is {actual}")


def codex(run, name="codex", socket="false"):
    """The command line agent: a whole turn with a tool call, over HTTP or over WebSocket."""
    home, work = run.folder / name, run.folder / f"work of {name}"
    home.mkdir()
    work.mkdir()
    for file in ("a", "b"):
        (work / file).touch()
    (home / "config.toml").write_text(
        f'''model = "{MODEL}"
model_provider = "orgplane"
approval_policy = "never"
sandbox_mode = "danger-full-access"
[model_providers.orgplane]
name = "orgplane"
base_url = "{run.base_url}"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
supports_websockets = {socket}
[analytics]
enabled = false
'''
    )
    cli = pathlib.Path(run.tools["packages"], "node_modules/@openai/codex/bin/codex.js")
    command = [run.tools["node"], str(cli), "exec", "--skip-git-repo-check", "-C", str(work), "How many files are here?"]
    done = run.program(name, command, {"CODEX_HOME": str(home)})
    equal(name, "answer", "There are two files.", done.stdout.strip().splitlines()[-1])


def python(venv, script):
    return lambda run: run.program(script, [run.tools[venv], str(HERE / f"{script}.py")], {})


def with_state(script):
    """A program that uses state that the model server keeps; another project must not reach it."""

    def start(run):
        _, key = run.project(f"another than {script}")
        command = [run.tools["agents"], str(HERE / f"{script}.py")]
        run.program(script, command, {"TEST_OTHER_KEY": key}, STATEFUL_MODEL)

    return start


def node(script):
    def start(run):
        # Node looks for packages beside the script.
        copy = pathlib.Path(run.tools["packages"], f"{script}.mjs")
        shutil.copy(HERE / f"{script}.mjs", copy)
        run.program(f"{script} in JavaScript", [run.tools["node"], str(copy)], {})

    return start


PROGRAMS = {
    "codex": codex,
    "codex-websocket": lambda run: codex(run, "codex-websocket", "true"),
    "agents": python("agents", "agents_sdk"),
    "agents-js": node("agents-sdk"),
    "langchain": python("langchain", "with_langchain"),
    "llama-index": python("llama-index", "with_llama_index"),
    "ai-sdk": node("ai-sdk"),
    "state": with_state("state"),
    "sessions": with_state("sessions"),
}


def main():
    tools = json.loads(pathlib.Path(sys.argv[1]).read_text()) | {"orgplane": sys.argv[2]}
    names = sys.argv[3:] or list(PROGRAMS)
    if unknown := set(names) - set(PROGRAMS):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(PROGRAMS)}")
    with tempfile.TemporaryDirectory(prefix="orgplane-third-party-") as folder:
        run = None
        try:
            run = Run(tools, pathlib.Path(folder))
            for name in names:
                PROGRAMS[name](run)
        except Failed as failed:
            log = f"\n\nThe server's log ends:\n{(run.folder / 'orgplane.log').read_text()[-3000:]}" if run else ""
            sys.exit(f"{failed}{log}")
        finally:
            for server in reversed(STARTED):
                server.stop()
    print("everything holds")


if __name__ == "__main__":
    main()
