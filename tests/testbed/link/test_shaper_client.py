"""The shaper's client: who is cancelled leaves, and no answer goes to another command."""

from __future__ import annotations

import asyncio

import pytest

from testbed.link.shaper_client import ShaperClient
from testbed.process.errors import TestbedError

TURNS = 300


def test_a_cancelled_command_leaves_and_its_answer_goes_to_nobody_else() -> None:
    async def run() -> tuple[int, list[str | None]]:
        left, answers = 0, []
        async with ShaperClient() as shaper:
            for turn in range(TURNS):
                asking = asyncio.create_task(shaper.fault("nobody's"))
                for _ in range(turn % 7):  # also at the very moment that the answer comes in
                    await asyncio.sleep(0)
                if turn % 3 == 0:
                    await asyncio.sleep(0.0002 * (turn % 11))
                if not asking.done():
                    asking.cancel()
                    await asyncio.wait([asking], timeout=5.0)
                    left += asking.cancelled()
                    assert asking.cancelled()
                answers.append(await shaper.fault("nobody's"))
        return left, answers

    left, answers = asyncio.run(run())
    assert left > TURNS // 3
    assert answers == [None] * TURNS


def test_a_command_that_is_refused_says_why() -> None:
    async def run() -> None:
        async with ShaperClient() as shaper:
            with pytest.raises(TestbedError, match="shaper: "):
                await shaper.stop("nobody's")
            assert await shaper.fault("nobody's") is None

    asyncio.run(run())
