"""Files and batches of two projects that share a model server's account, with the official client.

    OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_ADMIN_KEY=sk-admin-… ORGPLANE_TEST_PRICES='{}' python stored.py

The upstream of `gpt-5.5` must have `stores = true`. Ends with 0 when everything holds; else names the first thing that does
not.
"""

import json
import sys
import time

import openai

import administration
import reports
from checks import check, equal, finish, refused
from endpoints import settled, usage
from run import Run

MODEL = "gpt-5.5"


def line(custom_id, **body):
    """A request of a batch."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}]} | body
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\n"


def client_of(run, name):
    """A project of this name and a client of its service account."""
    project = administration.project(run, name)
    _, spender, _ = administration.service_account(run, project)
    # The model server leaves out fields that the client's types have.
    return project, openai.OpenAI(base_url=run.base_url, api_key=spender.value, max_retries=0, timeout=30)


def ids(page):
    """The ids of a list, read page by page."""
    return [item.id for item in page]


def hidden(what, stranger, file, mine):
    """A file is not there for the other project, and is in its own."""
    for name, call in (
        ("retrieved", stranger.files.retrieve),
        ("read", stranger.files.content),
        ("deleted", stranger.files.delete),
    ):
        refused(f"{what} is not {name} by another project", openai.NotFoundError, lambda: call(file), "not_found")
    equal(f"{what} is in no list of another project", ids(stranger.files.list()), [])
    check(f"{what} is in its own", file in ids(mine.files.list(limit=1)))


def uploaded(mine, stranger):
    """A file with the requests of a batch."""
    requests = (line("one") + line("two")).encode()
    file = mine.files.create(file=("requests.jsonl", requests), purpose="batch")
    equal("a file is as it was sent", (file.purpose, file.filename, file.bytes), ("batch", "requests.jsonl", len(requests)))
    equal("and comes back byte for byte", mine.files.content(file.id).read(), requests)
    equal("it is retrieved", mine.files.retrieve(file.id).id, file.id)
    hidden("a file", stranger, file.id, mine)
    for name, wrong in (("a line that is none", "nothing\n"), ("another model", line("three", model="other"))):
        content = line("one").encode() + wrong.encode()
        upload = lambda: mine.files.create(file=("requests.jsonl", content), purpose="batch")  # noqa: B023, E731
        refused(f"{name} in the requests of a batch", openai.BadRequestError, upload, param="file")
    return file.id


def ended(mine, stranger, file):
    """A batch of that file, once it has ended."""
    wanted = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    foreign = lambda: stranger.batches.create(**wanted)  # noqa: E731
    refused("a batch of another project's file", openai.NotFoundError, foreign, "not_found", "input_file_id")
    batch = mine.batches.create(**wanted, metadata={"name": "nightly"})
    equal("a batch is made", (batch.input_file_id, batch.metadata), (file, {"name": "nightly"}))
    equal("and listed", ids(mine.batches.list()), [batch.id])
    equal("but not to another project", ids(stranger.batches.list()), [])
    for name, call in (("retrieved", stranger.batches.retrieve), ("cancelled", stranger.batches.cancel)):
        refused(f"nor {name} by it", openai.NotFoundError, lambda: call(batch.id), "not_found")  # noqa: B023
    until = time.monotonic() + reports.PATIENCE
    while (batch := mine.batches.retrieve(batch.id)).status != "completed" and time.monotonic() < until:
        time.sleep(0.05)
    equal("it ends", (batch.status, batch.request_counts.completed), ("completed", 2))
    return batch


def continued(mine, stranger):
    """A stored response is continued by its project alone, whether it came whole or as events."""
    ask = {"model": MODEL, "input": "Say hello."}
    whole = mine.responses.create(**ask)
    events = list(mine.responses.create(**ask, stream=True))
    for response in (whole, events[-1].response):
        again = mine.responses.create(**ask, previous_response_id=response.id)
        equal("a response is continued", again.output_text, whole.output_text)
        foreign = lambda: stranger.responses.create(**ask, previous_response_id=response.id)  # noqa: B023, E731
        refused("not by another project", openai.NotFoundError, foreign, "not_found", "previous_response_id")
        for name, call in (
            ("retrieved", stranger.responses.retrieve),
            ("deleted", stranger.responses.delete),
            ("cancelled", stranger.responses.cancel),
            ("listed by its input", stranger.responses.input_items.list),
        ):
            refused(f"nor {name} by it", openai.NotFoundError, lambda: call(response.id), "not_found")  # noqa: B023


def stored():
    """Uploads, makes a batch, reads its output and what was metered, and deletes everything."""
    run = Run()
    project, mine = client_of(run, "Mine")
    _, stranger = client_of(run, "Theirs")
    file = uploaded(mine, stranger)
    batch = ended(mine, stranger, file)
    hidden("the output of a batch", stranger, batch.output_file_id, mine)
    output = [json.loads(text) for text in mine.files.content(batch.output_file_id).text.splitlines()]
    equal("it has the answers", [answer["custom_id"] for answer in output], ["one", "two"])
    outputs = ids(mine.files.list(purpose="batch_output"))
    equal("files are listed by what they are for", outputs, [batch.output_file_id])

    answers = [answer["response"]["body"]["usage"] for answer in output]
    sums = [sum(answer[name] for answer in answers) for name in ("prompt_tokens", "completion_tokens")]
    wanted = {(MODEL, True): (*sums, 2)}
    fields = ["input_tokens", "output_tokens", "num_model_requests"]
    read = lambda: usage(run, project, "completions", ["model", "batch"], fields)  # noqa: E731
    settled("what the batch used is in the report", read, wanted)
    mine.batches.retrieve(batch.id)
    equal("once, however often it is fetched", read(), wanted)
    continued(mine, stranger)

    for name in (file, batch.output_file_id):
        check("a file is deleted", mine.files.delete(name).deleted)
    refused("and is gone", openai.NotFoundError, lambda: mine.files.retrieve(file), "not_found")
    equal("no file is left", ids(mine.files.list()), [])


if __name__ == "__main__":
    sys.exit(finish(stored))
