"""The Agents SDK with a session that the model server compacts. Prints the tokens that the SDK has counted."""

import asyncio
import os

from agents import Agent, OpenAIProvider, OpenAIResponsesCompactionSession, RunConfig, Runner, SQLiteSession, set_tracing_disabled

set_tracing_disabled(True)


async def main():
    session = OpenAIResponsesCompactionSession(
        "one",
        SQLiteSession("one"),
        model=os.environ["TEST_COMPACTION_MODEL"],
        compaction_mode="input",
        should_trigger_compaction=lambda history: len(history["compaction_candidate_items"]) == 2,
    )
    agent = Agent(name="plain", model=os.environ["TEST_MODEL"], instructions="Be kind.")
    usage = []
    # The name of the model may have a slash, which is a prefix for the provider that is used otherwise.
    named = {"session": session, "run_config": RunConfig(model_provider=OpenAIProvider())}
    for prompt, answer in (("Say hello.", "Hello."), ("And once more?", "Hello once more."), ("Say hello.", "Hello.")):
        result = await Runner.run(agent, prompt, **named)
        assert result.final_output == answer, result.final_output
        usage.append(result.context_wrapper.usage)
    # A model server may keep what the user has said; the compaction stands for the answers.
    kinds = [item.get("type", "message") for item in await session.get_items()]
    assert "compaction" in kinds and len(kinds) < 6, kinds
    print(sum(each.input_tokens for each in usage), sum(each.output_tokens for each in usage))


asyncio.run(main())
