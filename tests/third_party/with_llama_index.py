"""LlamaIndex: chat, a stream, a tool, and responses."""

import os

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI, OpenAIResponses

MODEL = os.environ["TEST_MODEL"]
SERVER = {"api_base": os.environ["OPENAI_BASE_URL"], "max_retries": 0}


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}."


def hello(model):
    """Says hello twice, the second time in a stream."""
    messages = [ChatMessage(role="user", content="Say hello.")]
    assert model.chat(messages).message.content == "Hello."
    assert list(model.stream_chat(messages))[-1].message.content == "Hello."


chat = OpenAI(model=MODEL, **SERVER)
hello(chat)
tools = [FunctionTool.from_defaults(get_weather)]
answer = chat.predict_and_call(tools, "What is the weather in Oslo?")
assert answer.response == "Sunny in Oslo.", answer
hello(OpenAIResponses(model=MODEL, **SERVER))
