"""Messages in Anthropic's format, asked for with the official client of that format, and what usage and costs say of them.

    OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_ADMIN_KEY=sk-admin-… \
    ORGPLANE_TEST_PRICES='{"claude-test": {"input": "3", "output": "15"}}' \
    python messages.py

The model `claude-test` of `models.json` must be served by an upstream of that format, at these prices, and nobody else may call
it meanwhile. Ends with 0 when everything holds; else names the first thing that does not.
"""

import sys
from decimal import Decimal

import anthropic
import openai

import administration
from checks import Failed, check, equal, finish
from endpoints import costs, settled, usage
from run import Run

MODEL = "claude-test"
PROMPT = [{"role": "user", "content": "Say hello."}]
ANSWER = {"input_tokens": 1009, "output_tokens": 127}
"""What `models.json` reports for this prompt."""
TEXT = "Hello. This answer is in Anthropic's format."
CLOCK = {"name": "clock", "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}}}
TOOL_ANSWER = {"input_tokens": 401, "output_tokens": 53}
"""What `models.json` reports where a tool is called."""
PRICES = {"input_tokens": Decimal(3), "output_tokens": Decimal(15)}
"""US dollars for a million tokens."""


def client_of(run, **credentials):
    """A client of the format, which adds `/v1` itself, believes nothing and tries once."""
    base_url = run.base_url.removesuffix("/v1")
    return anthropic.Anthropic(
        base_url=base_url, max_retries=0, timeout=30, _strict_response_validation=True, **credentials
    )


def reported(message):
    """The tokens that a message reports."""
    return {"input_tokens": message.usage.input_tokens, "output_tokens": message.usage.output_tokens}


def messages(client, model=MODEL):
    """Messages, whole and as events. Returns what they report."""
    whole = client.messages.create(model=model, max_tokens=200, messages=PROMPT)
    equal("a message is whole", whole.content[0].text, TEXT)
    equal("and has its usage", reported(whole), ANSWER)
    check("and the id of the gateway's request", (whole._request_id or "").startswith("req_"), whole._request_id)
    with client.messages.stream(model=model, max_tokens=200, messages=PROMPT) as stream:
        said = "".join(stream.text_stream)
        final = stream.get_final_message()
    equal("a streamed message says the same", said, TEXT)
    equal("with the same usage", reported(final), ANSWER)
    beta = client.beta.messages.create(model=model, max_tokens=200, messages=PROMPT, betas=["token-counting-2024-11-01"])
    equal("a message of the beta interface", beta.content[0].text, TEXT)
    called = client.messages.create(
        model=model, max_tokens=200, tools=[CLOCK], messages=[{"role": "user", "content": "What is the time?"}]
    )
    equal("a tool is called", (called.stop_reason, called.content[-1].input), ("tool_use", {"zone": "UTC"}))
    return [ANSWER, ANSWER, ANSWER, reported(called)]


def refusal(name, error, call, kind):
    """The check of that name passes when the call raises this error with this type."""
    try:
        answer = call()
    except error as raised:
        body = raised.body
        equal(name, (body["type"], body["error"]["type"]), ("error", kind))
        check("and has an id", raised.request_id == body["request_id"], raised.request_id)
    else:
        raise Failed(f"{name}: wanted {error.__name__}, got the answer {answer!r}")


def refusals(run, client, spender):
    """Errors are those of the format, and models are not translated."""
    create = client.messages.create
    unknown = lambda: create(model="unknown", max_tokens=1, messages=PROMPT)  # noqa: E731
    refusal("an unknown model", anthropic.NotFoundError, unknown, "not_found_error")
    other = lambda: create(model="gpt-5.5", max_tokens=1, messages=PROMPT)  # noqa: E731
    refusal("a model of another format", anthropic.NotFoundError, other, "not_found_error")
    file = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
    kept = lambda: create(model=MODEL, max_tokens=1, messages=[{"role": "user", "content": [file]}])  # noqa: E731
    refusal("a file of the account", anthropic.BadRequestError, kept, "invalid_request_error")
    stranger = client_of(run, api_key="sk-proj-unknown")
    wrong = lambda: stranger.messages.create(model=MODEL, max_tokens=1, messages=PROMPT)  # noqa: E731
    refusal("a wrong key", anthropic.AuthenticationError, wrong, "authentication_error")
    chat = openai.OpenAI(base_url=run.base_url, api_key=spender.value, max_retries=0, timeout=30)
    try:
        chat.chat.completions.create(model=MODEL, messages=PROMPT)
    except openai.NotFoundError as error:
        check("a model of this format elsewhere", "/v1/messages" in str(error), error)
    else:
        raise Failed("a model of this format answered elsewhere")


def everything():
    """Calls, then reads what was metered."""
    run = Run()
    project = administration.project(run, "Messages")
    _, spender, _ = administration.service_account(run, project)
    client = client_of(run, api_key=spender.value)
    made = messages(client)
    made += messages(client_of(run, auth_token=spender.value))
    models = [(model.id, model.type) for model in client.models.list()]
    equal("models are listed", models, [(MODEL, "model")])
    equal("and one is retrieved", client.models.retrieve(MODEL).display_name, MODEL)
    refusals(run, client, spender)

    sums = {name: sum(answer[name] for answer in made) for name in ANSWER}
    fields = ["input_tokens", "output_tokens", "num_model_requests"]
    wanted = {(MODEL,): (sums["input_tokens"], sums["output_tokens"], len(made))}
    settled("usage", lambda: usage(run, project, "completions", ["model"], fields), wanted)
    wanted = {
        f"{MODEL}, {name}": (count, "tokens", PRICES[name] * count / 1_000_000) for name, count in sums.items()
    }
    settled("costs", lambda: costs(run, project), wanted)


if __name__ == "__main__":
    sys.exit(finish(everything))
