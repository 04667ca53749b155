"""LangChain: chat, a stream, a tool, and the same over responses."""

import os

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

MODEL = os.environ["TEST_MODEL"]


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}."


def turn(model):
    """Asks for a tool, and gives its result; returns the tokens that the client saw."""
    messages = [("user", "What is the weather in Oslo?")]
    tools = model.bind_tools([get_weather])
    asked = tools.invoke(messages)
    (call,) = asked.tool_calls
    assert call["name"] == "get_weather" and call["args"] == {"city": "Oslo"}, call
    answer = tools.invoke([*messages, asked, get_weather.invoke(call)])
    assert answer.text == "It is sunny in Oslo.", answer
    usage = [asked.usage_metadata, answer.usage_metadata]
    return sum(each["input_tokens"] for each in usage), sum(each["output_tokens"] for each in usage)


for responses in (False, True):
    model = ChatOpenAI(model=MODEL, use_responses_api=responses, stream_usage=True, max_retries=0)
    assert turn(model) == (210, 28)
    whole = model.invoke("Say hello.")
    assert whole.text == "Hello." and whole.usage_metadata["total_tokens"] == 22, whole
    pieces = list(model.stream("Say hello."))
    text = "".join(piece.text for piece in pieces)
    counts = [piece.usage_metadata["total_tokens"] for piece in pieces if piece.usage_metadata]
    assert text == "Hello." and sum(counts) == 22, (text, counts)
embedded = OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False).embed_query("Hello.")
assert embedded == [0.25, -0.5, 1.0], embedded
