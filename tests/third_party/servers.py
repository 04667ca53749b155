"""The servers that other people's programs use: model servers, and gateways in front of them."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
ADMIN_KEY = "sk-admin-third-party-0123456789abcdefghijklmnop"
MODEL = "gpt-5.5"
# The name that the model server with state has for it.
STATEFUL_MODEL = "models/gpt-5.5"
# The name that the gateway has for it, since some programs take no slash in the name of a model.
STATEFUL_ALIAS = "gpt-stateful"
# The model of the server that answers from records.
RECORDED_MODEL = "gpt-recorded"
# The models that answer in text.
TEXT_MODELS = (MODEL, STATEFUL_MODEL, RECORDED_MODEL)
# US dollars per million tokens of each of them.
PRICES = {"input": "1.25", "output": "10.00"}
# Models of other kinds, by the model server that has them.
MOCKED = ["text-embedding-3-small", "dall-e-3", "gpt-image-1", "tts-1", "whisper-1"]
RECORDED = ["omni-moderation-latest", "dall-e-2"]
START_SECONDS = 120
STOP_SECONDS = 20

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failed(Exception):
    """What a program saw, or what is recorded of it, is not what it should be."""


class Server:
    """A server that runs until the end, with its address."""

    # Those that were started, which end with this program.
    started = []

    def __init__(self, command, mark, log, **options):
        self.log = log
        with open(log, "w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, **options)
        Server.started.append(self)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            text = pathlib.Path(log).read_text()
            if mark in text:
                self.address = text.split(mark, 1)[1].split()[0]
                return
            time.sleep(0.05)
        raise Failed(f"{command[0]} does not start:\n{pathlib.Path(log).read_text()}")

    def stop(self):
        """Ends the server, which gets some time for it."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def get(self, path):
        with OPENER.open(self.address + path, timeout=30) as answer:
            return json.load(answer)


# The endpoints of models, below the base URL.
MODEL_PATHS = {
    "/chat/completions",
    "/completions",
    "/decisions",
    "/responses",
    "/responses/compact",
    "/responses/input_tokens",
}


class Turn:
    """A request for a text model that a model server has answered: the endpoint, the model, and the tokens that the answer
    reported, None if it reported none."""

    def __init__(self, path, model, tokens):
        self.path, self.model, self.tokens = path, model, tokens

    @property
    def is_completion(self):
        """True if the request is in the report of completions."""
        return self.tokens is not None and self.path != "/decisions"


def below(path):
    """A path below the base URL."""
    return path.partition("?")[0].removeprefix("/v1")


def tokens_of(usage):
    """The input and output tokens that a usage reports, by either pair of names; None without any."""
    for names in (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens")):
        if usage and names[0] in usage:
            return tuple(usage[name] for name in names)
    return None


class ModelServers:
    """The model servers: one that answers from fixtures, one that keeps state, and one that answers from records."""

    def __init__(self, tools, folder):
        self.tools, self.folder = tools, folder
        mock = pathlib.Path(tools["packages"], "node_modules/@copilotkit/aimock/dist/cli.js")
        command = [tools["node"], str(mock), "--host", "127.0.0.1", "--port", "0", "--strict", "--fixtures", str(HERE / "models.json")]
        self.models = Server(command, "[aimock] aimock server listening on ", folder / "models.log", env=closed())
        command = [sys.executable, str(HERE / "recorded.py")]
        self.recorded = Server(command, "listening on ", folder / "recorded.log", env=closed())
        self.state = self.start_state() if "ogx" in tools else None

    def start_state(self):
        """Starts the model server that keeps state; the first one is its model."""
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

    def journals(self):
        """The requests that each model server has answered, oldest first."""
        return self.models.get("/__aimock/journal"), self.recorded.get("/journal")

    def mark(self):
        """How many requests each model server has answered."""
        return [len(journal) for journal in self.journals()]

    def turns(self, mark, model):
        """The requests for text models since a mark. `model` is the one behind which the first model server answers."""
        mocked, recorded = [journal[begun:] for journal, begun in zip(self.journals(), mark)]
        turns = []
        for entry in mocked:
            # A request that the server has no answer for, such as one that only warms a connection up, has no fixture.
            fixture = entry["response"]["fixture"]
            turns.append(Turn(below(entry["path"]), model, fixture and tokens_of(fixture["response"].get("usage"))))
        for entry in recorded:
            turns.append(Turn(below(entry["path"]), entry["model"], tokens_of(entry["usage"])))
        return [turn for turn in turns if turn.path in MODEL_PATHS]

    def upstreams(self, storage):
        """The configuration of all of them; the one that is named stores what clients create."""
        all_of = [
            ("models", self.models, [MODEL, *MOCKED], "websocket = true"),
            ("recorded", self.recorded, [RECORDED_MODEL, *RECORDED], ""),
            ("state", self.state, [STATEFUL_MODEL], f'aliases = {{ {STATEFUL_ALIAS} = "{STATEFUL_MODEL}" }}'),
        ]
        return "".join(
            f'''
[[upstream]]
name = "{name}"
base_url = "{server.address}/v1"
models = {json.dumps(models)}
stores = {json.dumps(name == storage)}
health_path = ""
{more}
'''
            for name, server, models, more in all_of
            if server
        )


def start_gateway(servers, storage):
    """Starts a gateway in front of the model servers."""
    folder = servers.folder / f"gateway with {storage}"
    folder.mkdir()
    config = folder / "orgplane.toml"
    prices = "".join(
        f'''
[[price]]
model = "{model}"
effective = "2024-01-01"
input = "{PRICES["input"]}"
output = "{PRICES["output"]}"
'''
        for model in TEXT_MODELS
    )
    config.write_text(f'listen = "127.0.0.1:0"\ndatabase = "sqlite://{folder}/orgplane.db"\n{servers.upstreams(storage)}{prices}')
    environment = closed() | {"ORGPLANE_BOOTSTRAP_ADMIN_KEY": ADMIN_KEY}
    command = [servers.tools["orgplane"], "serve", "--config", str(config)]
    return Server(command, "Listening on ", folder / "orgplane.log", env=environment)


def closed():
    """An environment in which nothing but loopback addresses can be reached."""
    refused = "http://127.0.0.1:9"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    proxies = {spelt: refused for name in names for spelt in (name, name.lower())}
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | proxies | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1"}
