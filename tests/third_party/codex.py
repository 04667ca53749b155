"""Runs of `@openai/codex`: a turn with a tool call over HTTP and over WebSocket, with the catalog of the gateway, and with compaction."""

import json
import pathlib

from gateway import equal
from servers import MODEL, RECORDED_MODEL, Failed

PROMPT, ANSWER = "How many files are here?", "There are two files."
# A turn has more tokens, so that the conversation is compacted after the tool call.
COMPACTION_LIMIT = 1_500


def run(run, name, model=MODEL, config="", provider="", provider_name="orgplane"):
    """Lets Codex make a turn in a folder with two files. Returns what it wrote and the requests for models."""
    home, work = run.folder / name, run.folder / f"work of {name}"
    home.mkdir()
    work.mkdir()
    for file in ("a", "b"):
        (work / file).touch()
    (home / "config.toml").write_text(
        f'''model_provider = "gateway"
approval_policy = "never"
sandbox_mode = "danger-full-access"
{config}
[model_providers.gateway]
name = "{provider_name}"
base_url = "{run.gateway().base_url}"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
{provider}
[analytics]
enabled = false
'''
    )
    cli = pathlib.Path(run.tools["packages"], "node_modules/@openai/codex/bin/codex.js")
    command = [run.tools["node"], str(cli), "exec", "--skip-git-repo-check", "-C", str(work), PROMPT]
    done, turns = run.gateway().program(name, command, {"CODEX_HOME": str(home)}, (model,))
    equal(name, "answer", ANSWER, done.stdout.strip().splitlines()[-1])
    return done, [turn for turn in turns if turn.tokens]


def over_http(all_of):
    _, turns = run(all_of, "codex", config=f'model = "{MODEL}"', provider="supports_websockets = false")
    equal("codex", "turns", 2, len(turns))


def over_websocket(all_of):
    _, turns = run(all_of, "codex-websocket", config=f'model = "{MODEL}"', provider="supports_websockets = true")
    equal("codex-websocket", "turns", 2, len(turns))


def with_catalog(all_of):
    """Codex asks for the models of the project, and takes its default model and the instructions from there."""
    name = "codex-models"
    url = f'model_catalog_url = "{all_of.gateway().base_url}/models"'
    done, turns = run(all_of, name, provider=f"supports_websockets = false\n{url}")
    if f"model: {MODEL}\n" not in done.stderr or "metadata" in done.stderr:
        raise Failed(f"{name}: the model is not the first of the catalog:\n{done.stderr}")
    equal(name, "turns", 2, len(turns))
    catalog = all_of.gateway().call(all_of.gateway().project("another")[1], "/models?client_version=0.171.0")[0]
    instructions = {model["slug"]: model["base_instructions"] for model in catalog["models"]}[MODEL]
    # The last request is the probe after the program.
    sent = all_of.servers.models.get("/__aimock/journal")[-2]["body"]["messages"]
    if not any(instructions in json.dumps(message, ensure_ascii=False).replace("\\n", "\n") for message in sent):
        raise Failed(f"{name}: the instructions are not those of the catalog: {json.dumps(sent)[:3000]}")


def with_compaction(all_of):
    """Codex compacts the conversation by itself, with a prompt."""
    name = "codex-compaction"
    config = f'model = "{MODEL}"\nmodel_auto_compact_token_limit = {COMPACTION_LIMIT}'
    done, turns = run(all_of, name, config=config, provider="supports_websockets = false")
    compacted(name, done, turns)


def with_remote_compaction(all_of):
    """Codex lets the model server compact the conversation, as it does with a provider of this name."""
    name = "codex-remote-compaction"
    config = f'model = "{RECORDED_MODEL}"\nmodel_auto_compact_token_limit = {COMPACTION_LIMIT}'
    provider = "supports_websockets = false"
    done, turns = run(all_of, name, RECORDED_MODEL, config, provider, provider_name="OpenAI")
    compacted(name, done, turns)


def compacted(name, done, turns):
    """A tool call, a compaction, and the answer: each is a turn with its usage."""
    if "context compacted" not in done.stderr:
        raise Failed(f"{name}: nothing was compacted:\n{done.stderr}")
    equal(name, "turns", 3, len(turns))
