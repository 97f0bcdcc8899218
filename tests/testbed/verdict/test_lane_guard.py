"""What chunks should have taken: the model over the trace's own place, whatever it got wrong before."""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.record import ChunkRow
from player.simulated.tcp.link import TcpLink
from testbed.link.settings import LinkSettings, Loss
from testbed.process.errors import TestbedError
from testbed.simulated.record_replay import carrying_s, place_of
from testbed.verdict.lane_guard import (
    LaneFindings,
    LaneGuard,
    chunk_times,
    modelled_times,
    models,
    warm_model,
)
from testbed.verdict.lane_watch import LaneChange
from traces.trace import Trace

TRACE = Trace("t", (0.0, 2.0, 3.0, 10.0), (0.0, 4.0, 1.0, 8.0))
SETTINGS = LinkSettings(rtt_ms=40.0)


def row(chunk: int, request_s: float, download_s: float, **changes: Any) -> ChunkRow:
    """A chunk of 300 kB."""
    values = dict.fromkeys(ChunkRow.__dataclass_fields__, 0.0) | {
        "chunk": chunk,
        "size_bytes": 300_000,
        "request_s": request_s,
        "ttfb_s": 0.043,
        "download_s": download_s,
        "retries": 0,
    }
    return ChunkRow(**{**values, **changes})  # type: ignore[arg-type]


def modelled_session(start_s: float, slower: float = 1.0) -> list[ChunkRow]:
    """What the model itself would have recorded, each download `slower` times as long."""
    link = TcpLink(rtt_ms=40.0, queue_bytes=SETTINGS.queue_limit_bytes(TRACE))
    index, into_s = place_of(TRACE, start_s)
    opened, at_s, rows = link.open(TRACE, index), 0.0, []
    for chunk in range(8):
        opened.set_clock(into_s + at_s)
        took_s = opened.download(300_000).delay_ms / 1000 * slower
        rows.append(row(chunk, at_s, took_s))
        at_s += took_s + 0.01
    return rows


@pytest.mark.parametrize("start_s", [0.0, 2.5, 13.2])
def test_sessions_of_the_model_take_what_they_should(start_s: float) -> None:
    for one in modelled_times(modelled_session(start_s), TRACE, start_s, SETTINGS):
        assert one.expected_download_s == pytest.approx(one.download_s, abs=1e-6)


def test_a_chunk_that_was_quicker_than_modelled_leaves_the_next_ones_alone() -> None:
    """The second chunk took half as long as the model has it, so that the model lags behind from then on."""
    rows = modelled_session(3.0)
    quick = [rows[0], row(1, rows[1].request_s, rows[1].download_s / 2)]
    shift_s = rows[1].download_s / 2
    quick += [row(one.chunk, one.request_s - shift_s, one.download_s) for one in rows[2:5]]
    times = modelled_times(quick, Trace("even", (0.0, 1.0), (0.0, 8.0)), 0.0, SETTINGS)
    even = modelled_times(rows[:5], Trace("even", (0.0, 1.0), (0.0, 8.0)), 0.0, SETTINGS)
    for late, plain in zip(times[2:], even[2:], strict=True):
        assert late.expected_download_s == pytest.approx(plain.expected_download_s, rel=0.02)


def test_after_a_chunk_that_was_asked_for_twice_nothing_is_modelled() -> None:
    rows = modelled_session(0.0)
    rows[3] = row(3, rows[3].request_s, 9.0, retries=1)
    modelled = [one.expected_ttfb_s is not None for one in modelled_times(rows, TRACE, 0.0, SETTINGS)]
    assert modelled == [True] * 3 + [False] * 5


@given(st.floats(0.0, 30.0), st.integers(1, 5_000_000), st.integers(1, 5_000_000))
def test_carrying_goes_on_where_it_stopped(at_s: float, first: int, second: int) -> None:
    begun = carrying_s(TRACE, at_s, first)
    assert begun + carrying_s(TRACE, at_s + begun, second) == pytest.approx(
        carrying_s(TRACE, at_s, first + second), rel=1e-6, abs=1e-6
    )


def test_the_model_knows_one_player_over_a_queue_and_nothing_else() -> None:
    assert models(SETTINGS, alone=True, varies=False)
    assert not models(SETTINGS, alone=False, varies=False)
    assert not models(SETTINGS, alone=True, varies=True)
    for other in (
        LinkSettings(jitter_ms=5.0),
        LinkSettings(loss=Loss("uniform", 1.0)),
        LinkSettings(congestion_control="bbr"),
    ):
        assert not models(other, alone=True, varies=False)


def test_players_that_share_have_times_of_one_clock() -> None:
    assert [one.request_s for one in chunk_times([row(0, 1.0, 2.0)], offset_s=5.0)] == [6.0]


class Gone:
    """A bottleneck whose qdisc is no longer there."""

    def read(self) -> None:
        raise TestbedError("the tbf on router-down has been replaced by another qdisc")


def test_a_lane_whose_counters_cannot_be_read_in_the_end_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_rest(*arguments: object) -> tuple[dict[str, object], bool]:
        return {}, True

    monkeypatch.setattr("testbed.verdict.lane_guard.settle", at_rest)
    lane = SimpleNamespace(pid=lambda role: 1, settings=SETTINGS, delay_stage=SimpleNamespace())
    guard = LaneGuard(lane, Gone(), 1, listens=False)  # type: ignore[arg-type]
    guard._before = SimpleNamespace()  # type: ignore[assignment]
    found = asyncio.run(guard.end())
    assert (found.path, found.fault) == (None, "the tbf on router-down has been replaced by another qdisc")


def test_what_was_heard_is_said_and_else_what_differs() -> None:
    change = LaneChange(2.0, "wan", "rule deleted")
    assert LaneFindings(None, (change,), 1, ("tcp_sack",)).words() == ["rule deleted (wan, at 2.00 s)"]
    assert LaneFindings(None, (), 0, ("tcp_sack: 1 became 0",)).words() == ["tcp_sack: 1 became 0"]


def test_the_model_is_loaded_in_a_thread_that_gives_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: queue.Queue[tuple[threading.Thread, int, float]] = queue.Queue()

    class Noted:
        """The model, as far as it is asked while it is loaded."""

        def __init__(self, rtt_ms: float) -> None:
            nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            seen.put((threading.current_thread(), nice, sys.getswitchinterval()))

        def open(self, *_: object) -> Noted:
            return self

        def download(self, size_bytes: int) -> None: ...

    monkeypatch.setattr("player.simulated.tcp.link.TcpLink", Noted)
    ours, interval = os.getpriority(os.PRIO_PROCESS, 0), sys.getswitchinterval()
    warm_model.__wrapped__()
    thread, nice, turn_s = seen.get(timeout=60)
    thread.join()
    assert thread.daemon, "nobody waits for it in the end"
    assert nice == min(ours + 5, 19) and turn_s < interval / 5
    assert (os.getpriority(os.PRIO_PROCESS, 0), sys.getswitchinterval()) == (ours, interval)
