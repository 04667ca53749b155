"""The Agents SDK with sessions on conversations that the model server keeps."""

import asyncio
import os

from agents import Agent, OpenAIConversationsSession, Runner, set_tracing_disabled

set_tracing_disabled(True)


async def main():
    agent = Agent(name="plain", model=os.environ["TEST_MODEL"], instructions="Be kind.")
    session = OpenAIConversationsSession()
    first = await Runner.run(agent, "Say hello.", session=session)
    then = await Runner.run(agent, "And once more?", session=session)
    assert (first.final_output, then.final_output) == ("Hello.", "Hello once more.")
    assert len(await session.get_items()) == 4, await session.get_items()
    await session.pop_item()
    await session.clear_session()


asyncio.run(main())
