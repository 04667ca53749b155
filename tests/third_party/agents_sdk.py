"""The Agents SDK: a tool, a handoff, and a session of two turns, over HTTP."""

import asyncio
import os

from agents import Agent, Runner, SQLiteSession, function_tool, set_tracing_disabled

# Tracing sends spans, with the key, to the hosted service whatever the base URL is.
set_tracing_disabled(True)
MODEL = os.environ["TEST_MODEL"]


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}."


async def main():
    weather = Agent(name="weather", model=MODEL, instructions="Use the tool.", tools=[get_weather])
    answer = await Runner.run(weather, "What is the weather in Oslo?")
    assert answer.final_output == "It is sunny in Oslo.", answer.final_output
    assert (answer.context_wrapper.usage.input_tokens, answer.context_wrapper.usage.output_tokens) == (210, 28)

    german = Agent(name="german", model=MODEL, instructions="Deutsch.")
    triage = Agent(name="triage", model=MODEL, instructions="Hand over.", handoffs=[german])
    answer = await Runner.run(triage, "Bitte hilf mir auf Deutsch.")
    assert answer.final_output == "Gern, womit?" and answer.last_agent is german, answer.final_output

    session = SQLiteSession("one")
    plain = Agent(name="plain", model=MODEL, instructions="Be kind.")
    first = await Runner.run(plain, "Say hello.", session=session)
    streamed = Runner.run_streamed(plain, "And once more?", session=session)
    kinds = [event.type async for event in streamed.stream_events()]
    assert first.final_output == "Hello." and streamed.final_output == "Hello once more."
    assert "raw_response_event" in kinds


asyncio.run(main())
