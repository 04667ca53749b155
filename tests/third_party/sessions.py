"""The Agents SDK with sessions on conversations that the model server keeps."""

import asyncio
import os

from agents import Agent, OpenAIConversationsSession, OpenAIProvider, RunConfig, Runner, set_tracing_disabled

set_tracing_disabled(True)


async def main():
    agent = Agent(name="plain", model=os.environ["TEST_MODEL"], instructions="Be kind.")
    # The name of the model has a slash, which is a prefix for the provider that is used otherwise.
    named = {"session": OpenAIConversationsSession(), "run_config": RunConfig(model_provider=OpenAIProvider())}
    session = named["session"]
    first = await Runner.run(agent, "Say hello.", **named)
    then = await Runner.run(agent, "And once more?", **named)
    assert (first.final_output, then.final_output) == ("Hello.", "Hello once more.")
    assert len(await session.get_items()) == 4, await session.get_items()
    await session.pop_item()
    await session.clear_session()


asyncio.run(main())
