"""Runs other people's programs against the built server, and compares what each got with the ledger, the limits and the costs.

    run.py TOOLS.json SERVER [NAME...]

SERVER is the program to test. TOOLS.json says where the others are: `node`, `packages` (a folder with the packages of package.json),
and a Python for each of `agents`, `langchain`, `llama-index` and `ogx`, as far as they are installed. Nothing but loopback addresses
is reached: every other address is behind a proxy that refuses connections.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import codex
import every_operation
from gateway import Gateway, equal
from servers import HERE, MODEL, RECORDED_MODEL, STATEFUL_ALIAS, STATEFUL_MODEL, Failed, ModelServers, Server


class Run:
    """The servers, and the programs that use them."""

    def __init__(self, tools, folder):
        self.tools, self.folder = tools, folder
        self.servers = ModelServers(tools, folder)
        self.gateways = {}

    def gateway(self, storage="state"):
        """The gateway whose clients create objects at this model server."""
        if storage not in self.gateways:
            self.gateways[storage] = Gateway(self.servers, storage)
        return self.gateways[storage]

    def script(self, name):
        """The command of a script, which is the end of its name."""
        if name.endswith(".py"):
            return [self.tools["agents"], str(HERE / name)]
        # Node looks for packages beside the script.
        copy = pathlib.Path(self.tools["packages"], name)
        shutil.copy(HERE / name, copy)
        return [self.tools["node"], str(copy)]


def python(venv, script):
    return lambda run: run.gateway().program(script, [run.tools[venv], str(HERE / f"{script}.py")])


def node(script):
    return lambda run: run.gateway().program(script, run.script(script))


def with_state(script):
    """A program that uses state that the model server keeps; another project must not reach it."""

    def start(run):
        _, key = run.gateway().project(f"another than {script}")
        run.gateway().program(script, run.script(script), {"TEST_OTHER_KEY": key}, (STATEFUL_MODEL,))

    return start


def with_compaction(script):
    """A program whose conversation is compacted by the model server that answers from records, and the one with state."""

    def start(run):
        models = {RECORDED_MODEL: (MODEL, RECORDED_MODEL)}
        if run.servers.state:
            models[STATEFUL_ALIAS] = (STATEFUL_MODEL,)
        for compacts, some in models.items():
            name = f"{script} at {compacts}"
            done, turns = run.gateway().program(name, run.script(script), {"TEST_COMPACTION_MODEL": compacts}, some)
            equal(name, "turns and compactions", 4, len(turns))
            reported = tuple(map(sum, zip(*(turn.tokens for turn in turns))))
            equal(name, "tokens that the SDK counts", reported, tuple(map(int, done.stdout.split())))

    return start


PROGRAMS = {
    "codex": codex.over_http,
    "codex-websocket": codex.over_websocket,
    "codex-models": codex.with_catalog,
    "codex-compaction": codex.with_compaction,
    "codex-remote-compaction": codex.with_remote_compaction,
    "agents": python("agents", "agents_sdk"),
    "agents-js": node("agents-sdk.mjs"),
    "agents-compaction": with_compaction("compaction.py"),
    "agents-js-compaction": with_compaction("compaction.mjs"),
    "langchain": python("langchain", "with_langchain"),
    "llama-index": python("llama-index", "with_llama_index"),
    "ai-sdk": node("ai-sdk.mjs"),
    "operations": every_operation.start,
    "state": with_state("state.py"),
    "sessions": with_state("sessions.py"),
    "sessions-js": with_state("sessions.mjs"),
}


def complaints(run):
    """The warnings and errors at the end of the log of each gateway."""
    for gateway in run.gateways.values() if run else ():
        lines = [line for line in gateway.server.log.read_text().splitlines() if '"INFO"' not in line]
        yield "\n".join([f"\n\nThe log of the {gateway.server.log.parent.name} ends:", *lines[-20:]])


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
            sys.exit(f"{failed}{''.join(complaints(run))}")
        finally:
            for server in reversed(Server.started):
                server.stop()
    print("everything holds")


if __name__ == "__main__":
    main()
