"""The official Python client calls the operations of these groups. With TEST_STRICT=true it believes nothing: an answer that is not of
its type is an error.

    operations.py CALLS GROUP...

Appends what was called to the file CALLS, a JSON object a line: `method`, `path`, `status`, and `usage` of an answer that has some.
"""

import base64
import json
import os
import sys
import time

import openai

MODEL = os.environ["TEST_MODEL"]
# The model of operations that have one of their own, such as completions.
RECORDED = os.environ.get("TEST_RECORDED_MODEL", MODEL)
PROMPT = "Say hello."
SOUND = base64.b64decode("//uQxAAAAAAAAAAAAAAAAAAAAAAAgP8ADQo=")
SECONDS = 20
CALLS = []


def note(response):
    """Called by the client for every answer, before it reads the answer."""
    path = response.request.url.raw_path.decode().partition("?")[0].removeprefix("/v1")
    CALLS.append({"method": response.request.method, "path": path, "status": response.status_code})


def connected(*, strict):
    """A client that tries once, and whose answers are recorded."""
    http = openai.DefaultHttpxClient(event_hooks={"response": [note]})
    return openai.OpenAI(max_retries=0, timeout=30, http_client=http, _strict_response_validation=strict)


# A model server that leaves out members which its answers must have is not read strictly.
client = connected(strict=os.environ["TEST_STRICT"] == "true")
# For the messages of a stored completion, which have the role of answers in the client's types, whatever their role is.
loose = connected(strict=False)


def used(usage):
    """Records the usage that the last answer has reported."""
    usage = usage.to_dict()
    names = (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens"))
    CALLS[-1]["usage"] = next([usage[name] for name in pair] for pair in names if pair[0] in usage)


def missing(call, *words, **named):
    """What was deleted does not exist."""
    try:
        call(*words, **named)
    except openai.NotFoundError:
        return
    raise AssertionError(f"{call} {words} after its deletion")


def until(read, holds):
    """Reads until the value holds, or the time is over."""
    deadline = time.monotonic() + SECONDS
    while not holds(value := read()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert holds(value), value
    return value


def models():
    names = [model.id for model in client.models.list()]
    assert MODEL in names, names
    assert client.models.retrieve(MODEL).id == MODEL


def chat():
    messages = [{"role": "user", "content": PROMPT}]
    answer = client.chat.completions.create(model=MODEL, messages=messages)
    assert answer.choices[0].message.content == "Hello.", answer
    used(answer.usage)
    pieces = list(client.chat.completions.create(model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True}))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == "Hello."
    used(pieces[-1].usage)


def websocket():
    with client.responses.connect() as connection:
        connection.response.create(model=MODEL, input=PROMPT)
        events = []
        for event in connection:
            events.append(event)
            if event.type in ("response.completed", "error"):
                break
    assert events[-1].type == "response.completed", events[-1]
    CALLS.append({"method": "WebSocket", "path": "/responses", "status": 101})
    used(events[-1].response.usage)


def embeddings():
    made = client.embeddings.create(model="text-embedding-3-small", input="Hello.", encoding_format="float")
    assert made.data[0].embedding == [0.25, -0.5, 1.0]


def moderations():
    assert client.moderations.create(model="omni-moderation-latest", input="I will hurt you.").results[0].flagged


def images():
    made = client.images.generate(model="dall-e-3", prompt="A lighthouse.")
    assert made.data[0].url.endswith("1.png"), made
    image = ("a.png", SOUND, "image/png")
    assert client.images.edit(model="gpt-image-1", image=image, prompt="A lighthouse.").data[0].b64_json == "iVBORw0KGgo="


def variations():
    image = ("a.png", SOUND, "image/png")
    assert client.images.create_variation(model="dall-e-2", image=image).data[0].url.endswith("2.png")


def audio():
    assert client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.").read() == SOUND
    assert client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", SOUND)).text == "Hello."
    assert client.audio.translations.create(model="whisper-1", file=("a.mp3", SOUND)).text == "Hello."


def files():
    file = client.files.create(file=("notes.txt", b"Notes."), purpose="assistants")
    assert client.files.retrieve(file.id).filename == "notes.txt"
    assert client.files.content(file.id).read() == b"Notes."
    assert file.id in [each.id for each in client.files.list()]
    assert client.files.delete(file.id).deleted
    missing(client.files.retrieve, file.id)


def batches():
    body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}
    line = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": body}
    file = client.files.create(file=("requests.jsonl", json.dumps(line).encode()), purpose="batch")
    wanted = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = client.batches.create(**wanted)
    assert batch.id in [each.id for each in client.batches.list()]
    assert client.batches.cancel(batch.id).id == batch.id
    until(lambda: client.batches.retrieve(batch.id), lambda batch: batch.status in ("completed", "cancelled"))


def completions():
    answer = client.completions.create(model=RECORDED, prompt=PROMPT)
    assert answer.choices[0].text == "Hello.", answer
    used(answer.usage)


def decisions():
    question = {"type": "predicate", "name": "kind", "question": "Is it kind?"}
    answer = client.decisions.create(model=RECORDED, input=PROMPT, questions=[question])
    assert answer.answers[0].probability == 0.97, answer
    used(answer.usage)


def input_tokens():
    assert client.responses.input_tokens.count(model=RECORDED, input=PROMPT).input_tokens == 11


def compact():
    first = client.responses.create(model=RECORDED, input=PROMPT, store=False)
    used(first.usage)
    items = [{"role": "user", "content": PROMPT}, *(item.to_dict() for item in first.output)]
    compacted = client.responses.compact(model=RECORDED, input=items)
    assert compacted.output[-1].type == "compaction", compacted
    used(compacted.usage)


def responses():
    made = client.responses.create(model=RECORDED, input=PROMPT)
    used(made.usage)
    assert made.output_text == "Hello.", made
    assert client.responses.retrieve(made.id).id == made.id
    assert [item.type for item in client.responses.input_items.list(made.id)] == ["message"]
    client.responses.delete(made.id)
    missing(client.responses.retrieve, made.id)


def cancelled_response():
    made = client.responses.create(model=RECORDED, input=PROMPT)
    used(made.usage)
    assert client.responses.cancel(made.id).status == "cancelled"


def conversations():
    conversation = client.conversations.create(metadata={"topic": "greetings"})
    assert client.conversations.retrieve(conversation.id).metadata == {"topic": "greetings"}
    assert client.conversations.update(conversation.id, metadata={"topic": "none"}).metadata == {"topic": "none"}
    items = [{"type": "message", "role": "user", "content": "Noted."}]
    (item,) = client.conversations.items.create(conversation.id, items=items).data
    assert [each.type for each in client.conversations.items.list(conversation.id)] == ["message"]
    assert client.conversations.items.retrieve(item.id, conversation_id=conversation.id).role == "user"
    client.conversations.items.delete(item.id, conversation_id=conversation.id)
    assert client.conversations.delete(conversation.id).deleted
    missing(client.conversations.retrieve, conversation.id)


def retrieved(made):
    """A stored completion; None as long as the model server has not written it, which it does after its answer."""
    try:
        return client.chat.completions.retrieve(made)
    except openai.APIStatusError:
        return None


def stored_chat():
    messages = [{"role": "user", "content": PROMPT}]
    made = client.chat.completions.create(model=RECORDED, messages=messages, store=True)
    used(made.usage)
    stored = until(lambda: retrieved(made.id), lambda stored: stored is not None)
    assert stored.choices[0].message.content == "Hello."
    assert made.id in [each.id for each in client.chat.completions.list()]
    asked = [message.content for message in loose.chat.completions.messages.list(made.id) if message.role == "user"]
    assert asked == [PROMPT], asked
    return made.id


def changed_chat():
    made = stored_chat()
    client.chat.completions.update(made, metadata={"topic": "greetings"})
    assert client.chat.completions.delete(made).deleted
    missing(client.chat.completions.retrieve, made)


def uploads():
    wanted = {"bytes": 6, "filename": "notes.txt", "mime_type": "text/plain", "purpose": "assistants"}
    upload = client.uploads.create(**wanted)
    part = client.uploads.parts.create(upload.id, data=b"Notes.")
    done = client.uploads.complete(upload.id, part_ids=[part.id])
    assert done.status == "completed" and done.file.filename == "notes.txt", done
    assert client.uploads.cancel(client.uploads.create(**wanted).id).status == "cancelled"


def vector_stores():
    stores = client.vector_stores
    file = client.files.create(file=("notes.txt", b"Notes."), purpose="assistants")
    store = stores.create(name="notes")
    assert stores.retrieve(store.id).name == "notes"
    assert stores.update(store.id, name="notes").id == store.id
    assert store.id in [each.id for each in stores.list()]
    added = stores.files.create(store.id, file_id=file.id)
    assert added.id == file.id
    until(lambda: stores.files.retrieve(file.id, vector_store_id=store.id), lambda each: each.status == "completed")
    assert len(list(stores.files.list(store.id))) == 1
    assert stores.files.update(file.id, vector_store_id=store.id, attributes={"kind": "note"}).attributes == {"kind": "note"}
    assert [part.text for part in stores.files.content(file.id, vector_store_id=store.id)] == ["Notes."]
    assert len(list(stores.search(store.id, query="notes"))) == 1
    assert stores.files.delete(file.id, vector_store_id=store.id).deleted
    batch = stores.file_batches.create(store.id, file_ids=[file.id])
    assert stores.file_batches.retrieve(batch.id, vector_store_id=store.id).id == batch.id
    assert len(list(stores.file_batches.list_files(batch.id, vector_store_id=store.id))) == 1
    stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert stores.delete(store.id).deleted
    missing(stores.retrieve, store.id)


def containers():
    container = client.containers.create(name="sums")
    assert client.containers.retrieve(container.id).name == "sums"
    assert container.id in [each.id for each in client.containers.list()]
    file = client.containers.files.create(container.id, file=("notes.txt", b"Notes."))
    assert len(list(client.containers.files.list(container.id))) == 1
    assert client.containers.files.retrieve(file.id, container_id=container.id).container_id == container.id
    assert client.containers.files.content.retrieve(file.id, container_id=container.id).read() == b"Notes."
    client.containers.files.delete(file.id, container_id=container.id)
    client.containers.delete(container.id)
    missing(client.containers.retrieve, container.id)


if __name__ == "__main__":
    for group in sys.argv[2:]:
        globals()[group]()
    with open(sys.argv[1], "a") as out:
        out.writelines(json.dumps(call) + "\n" for call in CALLS)
