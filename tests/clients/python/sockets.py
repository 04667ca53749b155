"""Responses over WebSocket, with the official client: several on one connection, a refusal between them, and each of them in the
usage of its key as the model server reported it. Needs what `whole_path.py` needs, for a model that is served over WebSocket.
"""

import sys

import administration
import reports
from checks import Failed, check, equal, finish
from run import Run

MODEL = "gpt-5.5"
PROMPTS = ("Say hello.", "Count to ten.", "Say hello.")


def sockets():
    """The path, step by step."""
    run = Run()
    project = administration.project(run, "Sockets")
    _, spender, other = administration.service_account(run, project)
    for key in (spender, other):
        with run.client_of(key.value).responses.connect() as connection:
            for prompt in PROMPTS:
                answered(run, key, connection, prompt)
                refused(connection)
    reports.usage(run, [project])


def answered(run, spender, connection, prompt):
    """Asks for a response, and records its usage."""
    connection.response.create(model=MODEL, input=prompt)
    text = ""
    for event in connection:
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type == "error":
            raise Failed(f"the response failed: {event!r}")
        elif event.type == "response.completed":
            break
    usage = event.response.usage
    cached = (usage.input_tokens_details and usage.input_tokens_details.cached_tokens) or 0
    amounts = {"input": usage.input_tokens, "cached": cached, "output": usage.output_tokens, "requests": 1}
    run.add(spender.project, MODEL, spender.key, amounts)
    check("a response comes in events", text != "")


def refused(connection):
    """Asks for a model that nobody serves: an error, after which the connection can be used."""
    connection.response.create(model="nobody-serves-this", input="Hi")
    event = connection.recv()
    equal("an unknown model is an error", (event.type, event.status, event.error.code), ("error", 404, "model_not_found"))


if __name__ == "__main__":
    sys.exit(finish(sockets))
