"""The tool that takes processors away takes what it is told to."""

from __future__ import annotations

import time

import pytest

from tests.stolen_time import LONGEST_MS, SHORTEST_MS, taker

pytestmark = pytest.mark.emulation


@pytest.fixture(autouse=True)
def _filters() -> None:
    try:
        with taker():
            pass
    except OSError as error:
        pytest.skip(f"no filter in this kernel: {error.strerror}")


@pytest.mark.parametrize("asked_ms", [SHORTEST_MS, 7, LONGEST_MS])
def test_a_datagram_takes_its_processor_for_as_long_as_it_says(asked_ms: int) -> None:
    """Who sends it waits in the kernel meanwhile."""
    with taker() as sending:
        for _ in range(3):
            begun = time.monotonic()
            sending.send(bytes([asked_ms]))
            assert time.monotonic() - begun >= asked_ms / 1000
