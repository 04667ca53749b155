"""Every endpoint of models that the model server has, called with the official client, and what usage and costs say of it.

    OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_ADMIN_KEY=sk-admin-… \
    ORGPLANE_TEST_PRICES='{"gpt-5.5": {"input": "1.25", "cached_input": "0.125", "output": "10.00"}}' \
    python endpoints.py

The models of `models.json` must be served, those besides `gpt-5.5` at the built-in prices, and nobody else may call them
meanwhile. Ends with 0 when everything holds; else names the first thing that does not.
"""

import base64
import io
import sys
import time
from decimal import Decimal

import openai

import administration
import reports
from checks import Failed, check, equal, finish, refused
from run import Run

TEXT = "gpt-5.5"
PROMPT = "Say hello."
SPEECH = "Grüße an alle 😀"
SOUND = base64.b64decode("//uQxAAAAAAAAAAAAAAAAAAAAAAAgP8ADQo=")
"""What `models.json` speaks; also what is sent where a file is wanted."""
ANSWER = {"input": 1201, "output": 353}
"""What `models.json` reports for this prompt."""


def responses(client):
    """A response, whole and as events. Returns how many were made."""
    whole = client.responses.create(model=TEXT, input=PROMPT)
    usage = {"input": whole.usage.input_tokens, "output": whole.usage.output_tokens}
    equal("a response is whole and has its usage", usage, ANSWER)
    events = list(client.responses.create(model=TEXT, input=PROMPT, stream=True))
    equal("a streamed response ends as it must", events[-1].type, "response.completed")
    spoken = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    equal("and says the same", spoken, whole.output_text)
    usage = events[-1].response.usage
    equal("with the same usage", {"input": usage.input_tokens, "output": usage.output_tokens}, ANSWER)

    beta = client.beta.responses.create(model=TEXT, input=PROMPT)
    usage = {"input": beta.usage.input_tokens, "output": beta.usage.output_tokens}
    equal("a response of the beta has its usage", usage, ANSWER)

    stored = client.responses
    for name, call in (
        ("retrieved", lambda: stored.retrieve(whole.id)),
        ("deleted", lambda: stored.delete(whole.id)),
        ("cancelled", lambda: stored.cancel(whole.id)),
        ("listed by its input", lambda: stored.input_items.list(whole.id)),
    ):
        refused(f"a response cannot be {name} here", openai.NotFoundError, call, "not_offered")
    in_background = lambda: stored.create(model=TEXT, input=PROMPT, background=True)  # noqa: E731
    refused("nor be made in the background", openai.BadRequestError, in_background, param="background")
    return 3


def embeddings(client):
    """Embeddings of one text and of two. Returns how many calls there were."""
    for texts in ("one", ["one", "two"]):
        made = client.embeddings.create(model="text-embedding-3-small", input=texts, encoding_format="float")
        wanted = [[0.25, -0.5, 1.0]] * (1 if texts == "one" else 2)
        equal(f"embeddings of {texts!r}", [item.embedding for item in made.data], wanted)
    return 2


def images(client):
    """Images made and changed."""
    made = client.images.generate(model="dall-e-3", prompt="A lighthouse.", n=2, size="1024x1792")
    equal("images are made", [image.url[-5:] for image in made.data], ["1.png", "2.png"])
    file = ("a.png", io.BytesIO(SOUND), "image/png")
    changed = client.images.edit(model="gpt-image-1", image=file, prompt="A lighthouse.", size="1024x1024")
    equal("an image is changed", [image.b64_json for image in changed.data], ["iVBORw0KGgo="])


def audio(client):
    """Text made speech, and speech made text."""
    spoken = client.audio.speech.create(model="tts-1", voice="alloy", input=SPEECH)
    equal("sound comes byte for byte", spoken.read(), SOUND)
    equal("and says what it is", spoken.response.headers["content-type"], "audio/mpeg")
    heard = client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", SOUND))
    equal("speech is made text", (heard.text, heard.usage.seconds), ("Hello.", 9))
    heard = client.audio.translations.create(model="whisper-1", file=("ä;\"b.mp3", SOUND), response_format="verbose_json")
    equal("and is translated", (heard.text, heard.duration), ("Hello.", 3.5))


def refusals(client):
    """What the model server does not have is its own refusal; what the gateway does not have is the gateway's."""
    unserved = lambda: client.moderations.create(input="hello")  # noqa: E731
    refused("a model that is meant but not served", openai.NotFoundError, unserved, "model_not_found", "model")
    try:
        client.completions.create(model=TEXT, prompt=PROMPT)
    except openai.NotFoundError as error:
        check("an endpoint that a model server does not have", error.request_id.startswith("req_"), error.request_id)
    else:
        raise Failed("the model server has completions after all: this script must check them")
    tuning = lambda: client.fine_tuning.jobs.list()  # noqa: E731
    refused("an API that is known and not offered", openai.NotFoundError, tuning, "not_offered")
    unknown = lambda: client.get("/unheard-of", cast_to=object)  # noqa: E731
    refused("an endpoint that there is not", openai.NotFoundError, unknown, "unknown_url")
    refused("one that is not offered", openai.NotFoundError, lambda: client.files.list(), "not_offered")


def settled(name, read, wanted):
    """The check of that name passes when reading gives what is wanted in time."""
    until = time.monotonic() + reports.PATIENCE
    while (got := read()) != wanted and time.monotonic() < until:
        time.sleep(0.05)
    equal(name, got, wanted)


def usage(run, project, kind, groups, fields):
    """The sums of a report, by group."""
    start = run.started // 86400 * 86400
    report = getattr(run.admin.usage, kind)
    answer = report(start_time=start, bucket_width="1d", group_by=groups, project_ids=[project], limit=2)
    rows = [result for bucket in answer.data for result in bucket.results]
    return {
        tuple(getattr(row, group) for group in groups): tuple(getattr(row, field) for field in fields) for row in rows
    }


def costs(run, project):
    """The costs, by line item."""
    rows = reports.raw_costs(run, project_ids=[project], group_by=["line_item"])
    return {
        row["line_item"]: (int(row["quantity"]), row["quantity_unit"], reports.amount_of(row))
        for row in rows
        if row["quantity"]
    }


def endpoints():
    """Calls all of them, then reads what was metered."""
    run = Run()
    project = administration.project(run, "Endpoints")
    _, spender, _ = administration.service_account(run, project)
    # The model server leaves out fields that the client's types have.
    client = openai.OpenAI(base_url=run.base_url, api_key=spender.value, max_retries=0, timeout=30)
    made, embedded = responses(client), embeddings(client)
    images(client)
    audio(client)
    refusals(client)

    for kind, groups, fields, wanted in (
        (
            "completions",
            ["model"],
            ["input_tokens", "output_tokens", "num_model_requests"],
            {(TEXT,): (made * ANSWER["input"], made * ANSWER["output"], made)},
        ),
        # The model server counts the tokens of embeddings as none.
        ("embeddings", ["model"], ["input_tokens", "num_model_requests"], {("text-embedding-3-small",): (0, embedded)}),
        (
            "images",
            ["model", "size", "source"],
            ["images", "num_model_requests"],
            {
                ("dall-e-3", "1024x1792", "image.generation"): (2, 1),
                ("gpt-image-1", "1024x1024", "image.edit"): (1, 1),
            },
        ),
        ("audio_speeches", ["model"], ["characters", "num_model_requests"], {("tts-1",): (len(SPEECH), 1)}),
        ("audio_transcriptions", ["model"], ["seconds", "num_model_requests"], {("whisper-1",): (9 + 4, 2)}),
        ("moderations", ["model"], ["input_tokens", "num_model_requests"], {}),
    ):
        settled(f"usage of {kind}", lambda: usage(run, project, kind, groups, fields), wanted)

    price = run.prices[TEXT]
    tokens = {item: (made * ANSWER[item], "tokens", price[item] * made * ANSWER[item] / 1_000_000) for item in ANSWER}
    wanted = {
        f"{TEXT}, input_tokens": tokens["input"],
        f"{TEXT}, output_tokens": tokens["output"],
        "dall-e-3, images": (2, "images", Decimal("0.16")),
        "gpt-image-1, images": (1, "images", Decimal(0)),
        "tts-1, characters": (len(SPEECH), "characters", Decimal("0.000015") * len(SPEECH)),
        "whisper-1, seconds": (13, "duration_seconds", Decimal("0.0013")),
    }
    settled("costs", lambda: costs(run, project), wanted)


if __name__ == "__main__":
    sys.exit(finish(endpoints))
