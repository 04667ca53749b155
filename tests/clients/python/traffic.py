"""Calls of models through the gateway, and usage reported by others."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from checks import Failed, check, equal

PROMPTS = ("Say hello.", "Count to ten.")
SLOW = "Answer slowly."


def messages(prompt):
    """A conversation of one prompt, which decides what the model server answers."""
    return [{"role": "user", "content": prompt}]


def models(run, spender):
    """The models that the gateway offers."""
    client = run.client_of(spender.value)
    listed = {model.id: model for model in client.models.list()}
    check("models are listed", set(run.prices) <= set(listed), f"{set(listed)} lacks some of {set(run.prices)}")
    for model in listed.values():
        equal(f"{model.id} is retrieved as it is listed", client.models.retrieve(model.id), model)


def calls(run, spenders, rounds):
    """Calls every model with every prompt and every key in three ways, four at a time."""
    jobs = [(spender, model, prompt) for spender in spenders for model in run.prices for prompt in PROMPTS]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda job: three_ways(run, *job), jobs * rounds))
    equal("models are called, streaming and not", sum(answers), 3 * rounds * len(jobs))


def three_ways(run, spender, model, prompt):
    """One call without and two with streaming. All three must report, or stand for, the same usage."""
    client = run.client_of(spender.value)
    whole = client.chat.completions.create(model=model, messages=messages(prompt))
    text, usage = whole.choices[0].message.content, whole.usage
    if usage is None:
        raise Failed(f"{model} answered without usage")
    run.spent(spender, model, usage)

    chunks = list(
        client.chat.completions.create(
            model=model, messages=messages(prompt), stream=True, stream_options={"include_usage": True}
        )
    )
    reported = [chunk.usage for chunk in chunks if chunk.usage is not None]
    if reported != [usage] or chunks[-1].choices:
        raise Failed(f"{model}: a stream that was asked for its usage reported {reported}, wanted [{usage}] at its end")
    run.spent(spender, model, usage)
    if spoken(chunks) != text:
        raise Failed(f"{model}: a stream said {spoken(chunks)!r}, wanted {text!r}")

    chunks = list(client.chat.completions.create(model=model, messages=messages(prompt), stream=True))
    if any(chunk.usage is not None or not chunk.choices for chunk in chunks):
        raise Failed(f"{model}: a stream reported usage although it was not asked to")
    run.spent(spender, model, usage)
    if spoken(chunks) != text:
        raise Failed(f"{model}: a stream said {spoken(chunks)!r}, wanted {text!r}")
    return 3


def spoken(chunks):
    """The text of a stream."""
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def hang_up(run, spender):
    """Leaves in the middle of a stream: the request is accounted for as if it had been read to its end."""
    client = run.client_of(spender.value)
    model = next(iter(run.prices))
    usage = client.chat.completions.create(model=model, messages=messages(SLOW)).usage
    run.spent(spender, model, usage)
    begun = time.monotonic()
    stream = client.chat.completions.create(model=model, messages=messages(SLOW), stream=True)
    pieces = [next(stream), next(stream)]
    stream.close()
    run.spent(spender, model, usage)
    check("a stream arrives piece by piece", len(pieces) == 2 and time.monotonic() - begun < 0.8)


def reported_by_others(run, project_id):
    """Usage that another gateway reports: counted once, however often it is sent."""
    model, now, mark = next(iter(run.prices)), int(time.time()), uuid.uuid4().hex
    amounts = {"input_tokens": 1200, "input_cached_tokens": 1000, "output_tokens": 350, "num_model_requests": 1}
    fixed = {"timestamp": now, "type": "completions", "project_id": project_id, "model": model} | amounts
    events = [fixed | {"id": f"evt_{mark}_{number}"} for number in range(5)]

    equal("usage is taken in", ingest(run, json=events[:3]), (3, 0, []))
    equal("and is known when it comes again", ingest(run, json=events[:3]), (0, 3, []))
    equal("also in part", ingest(run, json=events[:4]), (1, 3, []))
    lines = "\n".join(map(json.dumps, events)) + "\n"
    equal("lines are taken as well", ingest(run, content=lines, headers={"Content-Type": "application/x-ndjson"}), (1, 4, []))
    equal("and so is one event alone", ingest(run, json=events[0]), (0, 1, []))
    bad = fixed | {"id": f"evt_{mark}_bad", "input_tokens": -1}
    equal("a refused event is named", ingest(run, json=[events[0], bad]), (0, 1, [(1, bad["id"])]))

    for _ in events:
        run.add(project_id, model, None, {"input": 1200, "cached": 1000, "output": 350, "requests": 1})


def ingest(run, **content):
    """Sends events; returns how many were new, how many known, and which were refused."""
    answer = run.post("/organization/usage/events", **content)
    if answer.status_code != 200:
        raise Failed(f"reporting usage answered {answer.status_code}: {answer.text}")
    body = answer.json()
    if body["object"] != "organization.usage.events" or not all(item["error"] for item in body["rejected"]):
        raise Failed(f"reporting usage answered {body!r}")
    return body["accepted"], body["duplicates"], [(item["index"], item["id"]) for item in body["rejected"]]
