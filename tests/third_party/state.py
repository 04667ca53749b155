"""The official client with state that the model server keeps: conversations, responses, stored completions and files."""

import os
import time

from openai import APIStatusError, NotFoundError, OpenAI

MODEL = os.environ["TEST_MODEL"]
PROMPT = "Say hello."
client = OpenAI(max_retries=0)
other = OpenAI(max_retries=0, api_key=os.environ["TEST_OTHER_KEY"])


def missing(call, *words, **named):
    """What another project has does not exist."""
    try:
        call(*words, **named)
    except NotFoundError:
        return
    raise AssertionError(f"{call} {words} of another project")


def is_written(completion):
    """True if a completion can be read: the model server writes it after its answer."""
    try:
        return client.chat.completions.retrieve(completion).id == completion
    except APIStatusError:
        return False


conversation = client.conversations.create(metadata={"topic": "greetings"})
said = client.responses.create(model=MODEL, input=PROMPT, conversation=conversation.id)
assert said.output_text == "Hello.", said
assert [item.type for item in client.conversations.items.list(conversation.id)] == ["message", "message"]
assert client.conversations.retrieve(conversation.id).metadata == {"topic": "greetings"}
client.conversations.update(conversation.id, metadata={"topic": "none"})
item = {"type": "message", "role": "user", "content": "Noted."}
client.conversations.items.create(conversation.id, items=[item])
missing(other.conversations.retrieve, conversation.id)
missing(other.conversations.items.list, conversation.id)
missing(other.responses.create, model=MODEL, input=PROMPT, conversation=conversation.id)

first = client.responses.create(model=MODEL, input=PROMPT)
then = client.responses.create(model=MODEL, input=PROMPT, previous_response_id=first.id)
assert then.usage.total_tokens == first.usage.total_tokens == 22, then.usage
assert client.responses.retrieve(first.id).output_text == "Hello."
assert len(list(client.responses.input_items.list(first.id))) == 1
events = list(client.responses.create(model=MODEL, input=PROMPT, stream=True, previous_response_id=then.id))
streamed = events[-1].response
assert client.responses.retrieve(streamed.id).status == "completed"
missing(other.responses.retrieve, first.id)
missing(other.responses.delete, first.id)
missing(other.responses.input_items.list, first.id)
missing(other.responses.create, model=MODEL, input=PROMPT, previous_response_id=first.id)

stored = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": PROMPT}], store=True)
deadline = time.monotonic() + 10
while not is_written(stored.id) and time.monotonic() < deadline:
    time.sleep(0.05)
assert stored.id in [each.id for each in client.chat.completions.list()]
assert client.chat.completions.retrieve(stored.id).choices[0].message.content == "Hello."
asked = [message.content for message in client.chat.completions.messages.list(stored.id) if message.role == "user"]
assert asked == [PROMPT], asked
assert list(other.chat.completions.list()) == []
missing(other.chat.completions.retrieve, stored.id)

file = client.files.create(file=("notes.txt", b"Notes."), purpose="assistants")
assert client.files.content(file.id).read() == b"Notes."
missing(other.files.retrieve, file.id)

client.responses.delete(first.id)
missing(client.responses.retrieve, first.id)
client.conversations.delete(conversation.id)
missing(client.conversations.retrieve, conversation.id)
