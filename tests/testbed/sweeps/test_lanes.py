"""The lanes of a sweep as tasks: whatever ends them, each takes down what it has made."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from testbed.sweeps.lanes import Lanes

LANES = 3


def test_an_interrupt_lets_every_lane_take_down_what_it_has_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that take longer than the first."""
    taken_down = []

    async def lane(self: Lanes, number: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            for _ in range(number):
                await asyncio.sleep(0)
            taken_down.append(number)

    async def interrupted() -> None:
        heard = asyncio.Event()
        plan = SimpleNamespace(file=SimpleNamespace(task="video"), units=())
        work = SimpleNamespace(folder=SimpleNamespace(pending=list, plan=plan))
        lanes = Lanes(work, LANES, "relay", "cpu", ())  # type: ignore[arg-type]
        asyncio.get_running_loop().call_later(0.01, heard.set)
        await lanes.run(SimpleNamespace(heard=heard))  # type: ignore[arg-type]

    monkeypatch.setattr(Lanes, "_lane", lane)
    asyncio.run(interrupted())
    assert sorted(taken_down) == list(range(LANES))
