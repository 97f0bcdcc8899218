"""The simulated player: what policies see, what the record says, who decides."""

from __future__ import annotations

import dataclasses
import sys
import time

import pytest

from player.compiled.compiling import compiling_s
from player.observation import HORIZON, Observation
from player.policy import Decision
from player.qoe import QoE
from player.record import FINISHED, EndRow
from player.simulated.link_published import PublishedLink
from player.simulated.session import Chooser, simulate
from player.video.video import Video, VideoError
from policies.rules.bba import BBA
from policies.rules.fixed import Fixed
from traces.trace import Trace

LADDER_KBPS = (300, 750, 1200, 1850, 2850, 4300)
VIDEO = Video("cbr", 4.0, LADDER_KBPS, tuple(tuple(kbps * 500 for kbps in LADDER_KBPS) for _ in range(49)))
"""Constant bitrate: a chunk at level m has ladder[m] x 4 s / 8 x 1000 bytes."""

FLAT = Trace("2 Mbit/s", (0.0, 1000.0), (2.0, 2.0))
FAST = Trace("40 Mbit/s", (0.0, 1000.0), (40.0, 40.0))


class Script:
    """Answers from a list, and keeps what it was shown."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.seen: list[Observation] = []
        self.last: Observation | None = None
        self.told: tuple[Video, int, QoE] | None = None

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self.told = video, seed, qoe

    def select(self, observation: Observation) -> int:
        self.seen.append(observation)
        answer = self.answers[len(self.seen) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]

    def ended(self, observation: Observation) -> None:
        self.last = observation


def test_a_golden_session() -> None:
    rows, end = simulate(
        VIDEO, FLAT, Script(3, 1), seed=7, qoe=QoE(), link=PublishedLink(), chunks=3, first_level=0
    )
    # payload 1.9 Mbit/s: 1.2, 7.4 and 3.0 Mbit take 0.6316, 3.8947 and 1.5789 s, and a round trip each
    downloads = [1.2 / 1.9 + 0.08, 7.4 / 1.9 + 0.08, 3.0 / 1.9 + 0.08]
    assert [row.download_s for row in rows] == pytest.approx(downloads)
    assert [row.level for row in rows] == [0, 3, 1]
    assert [row.bitrate_kbps for row in rows] == [300, 1850, 750]
    assert [row.size_bytes for row in rows] == [150_000, 925_000, 375_000]
    assert [row.buffer_before_s for row in rows] == pytest.approx([0.0, 4.0, 8.0 - downloads[1]])
    assert [row.buffer_after_s for row in rows] == pytest.approx(
        [4.0, 8.0 - downloads[1], 12.0 - downloads[1] - downloads[2]]
    )
    assert [row.request_s for row in rows] == pytest.approx([0.0, downloads[0], sum(downloads[:2])])
    assert [row.ttfb_s for row in rows] == [0.08] * 3
    assert [row.throughput_mbps for row in rows] == pytest.approx(
        [1.2 / downloads[0], 7.4 / downloads[1], 3.0 / downloads[2]]
    )
    assert [row.stall_s for row in rows] == [0.0, 0.0, 0.0]
    assert [row.by for row in rows] == ["player", "policy", "policy"]
    assert end == EndRow(
        outcome=FINISHED,
        reason="",
        chunks=3,
        startup_s=rows[0].download_s,
        stall_s=0.0,
        played_s=pytest.approx(12.0),
        elapsed_s=pytest.approx(12.0 + downloads[0]),
    )


def test_a_stall_is_counted_in_its_chunk_and_in_the_end() -> None:
    rows, end = simulate(VIDEO, FLAT, Script(5), seed=0, qoe=QoE(), link=PublishedLink(), chunks=2)
    stall_s = 17.2 / 1.9 + 0.08 - 4.0
    assert rows[1].stall_s == pytest.approx(stall_s)
    assert end.stall_s == pytest.approx(stall_s)
    assert end.played_s == pytest.approx(8.0)
    assert end.elapsed_s == pytest.approx(end.startup_s + stall_s + 8.0)


def test_what_a_policy_sees() -> None:
    script = Script(1, 2, 0, 0)
    qoe = QoE(mu=10.0)
    rows, _ = simulate(VIDEO, FLAT, script, seed=11, qoe=qoe, link=PublishedLink(), chunks=5)
    assert script.told == (VIDEO, 11, qoe)
    assert [each.chunk for each in script.seen] == [1, 2, 3, 4]
    assert [each.chunks_left for each in script.seen] == [4, 3, 2, 1]
    assert [len(each.next_sizes_bytes) for each in script.seen] == [4, 3, 2, 1]
    for each in script.seen:
        row = rows[each.chunk]
        assert each.buffer_s == row.buffer_before_s
        assert each.elapsed_s == row.request_s
        assert len(each.history) == each.chunk
        past, before = each.history[-1], rows[each.chunk - 1]
        assert (past.given_up_level, past.given_up_bytes) == (None, 0)
        for field in dataclasses.fields(past)[:-2]:
            name = {"buffer_s": "buffer_after_s"}.get(field.name, field.name)
            assert getattr(past, field.name) == getattr(before, name)
    assert script.last is not None
    assert (script.last.chunk, script.last.chunks_left, script.last.next_sizes_bytes) == (5, 0, ())
    assert script.last.history[-1].level == rows[-1].level == 0


def test_a_policy_sees_a_horizon_of_sizes_and_not_past_the_streamed_part() -> None:
    script = Script(*[0] * 20)
    simulate(VIDEO, FLAT, script, seed=0, qoe=QoE(), link=PublishedLink(), chunks=20, first_level=None)
    assert [len(each.next_sizes_bytes) for each in script.seen] == [HORIZON] * 13 + [7, 6, 5, 4, 3, 2, 1]


def test_the_player_waits_at_the_cap_in_half_seconds() -> None:
    rows, end = simulate(VIDEO, FAST, Fixed(0), seed=0, qoe=QoE(), link=PublishedLink(), chunks=20)
    waits = [row.wait_s for row in rows]
    assert sum(waits) > 0
    assert all(wait_s % 0.5 == 0 for wait_s in waits)
    assert max(row.buffer_before_s for row in rows) <= 60.0
    assert all(row.buffer_before_s > 59.5 for row in rows if row.wait_s)
    assert end.elapsed_s == pytest.approx(80.0 + end.startup_s)


def test_the_policy_is_asked_for_the_first_chunk_when_its_level_is_not_fixed() -> None:
    script = Script(2, 0)
    rows, _ = simulate(
        VIDEO, FLAT, script, seed=0, qoe=QoE(), link=PublishedLink(), chunks=2, first_level=None
    )
    assert [row.level for row in rows] == [2, 0]
    assert script.seen[0].history == ()
    assert rows[0].by == "policy"


def test_the_fallback_decides_for_a_policy_that_cannot_and_the_record_says_so() -> None:
    script = Script(RuntimeError("no\nmodel"), 99, "two", 1)
    rows, _ = simulate(VIDEO, FAST, script, seed=0, qoe=QoE(), link=PublishedLink(), chunks=5, fallback=BBA())
    assert [row.by for row in rows] == ["player", "fallback", "fallback", "fallback", "policy"]
    assert rows[1].reason.startswith("policy raised RuntimeError: no model at chunk 1 (test_session.py:")
    assert "level 99" in rows[2].reason
    assert [row.level for row in rows[1:4]] == [0, 1, 3]  # BBA at buffers of about 4, 7.9 and 11.7 s


@pytest.mark.parametrize("at", ["reset", "select"])
def test_a_fallback_that_ends_the_program_costs_level_0_only(at: str) -> None:
    class Exits(BBA):
        def reset(self, video: Video, seed: int, qoe: QoE) -> None:
            if at == "reset":
                sys.exit(3)

        def select(self, observation: Observation) -> Decision:
            sys.exit(3)

    script = Script(RuntimeError("no"), 1)
    rows, _ = simulate(
        VIDEO, FAST, script, seed=0, qoe=QoE(), link=PublishedLink(), chunks=3, fallback=Exits()
    )
    assert (rows[1].level, rows[1].by, rows[2].by) == (0, "fallback", "policy")
    assert "SystemExit: 3" in rows[1].reason


def test_without_a_fallback_the_error_reaches_the_caller() -> None:
    with pytest.raises(RuntimeError, match="no model"):
        simulate(
            VIDEO, FAST, Script(RuntimeError("no model")), seed=0, qoe=QoE(), link=PublishedLink(), chunks=2
        )


def test_what_cannot_be_streamed_is_refused() -> None:
    with pytest.raises(VideoError, match="asked for 50 chunks; it has 49"):
        simulate(VIDEO, FLAT, Fixed(0), seed=0, qoe=QoE(), link=PublishedLink(), chunks=50)
    with pytest.raises(ValueError, match="first level 6; cbr has 0 to 5"):
        simulate(VIDEO, FLAT, Fixed(0), seed=0, qoe=QoE(), link=PublishedLink(), first_level=6)


class Compiles:
    """Makes machine code at each decision."""

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self.machine = pytest.importorskip("numba")

    def select(self, observation: Observation) -> int:
        return int(self.machine.njit(lambda level: level + 1)(0))


def test_the_making_of_machine_code_is_no_part_of_a_decision() -> None:
    policy = Compiles()
    policy.reset(VIDEO, 0, QoE())
    chooser = Chooser(policy, Fixed(0), VIDEO.levels)
    seen = Observation(0, (), 0.0, VIDEO.sizes_bytes[:HORIZON], 49, 0.0)
    made_s, begun_s = compiling_s(), time.perf_counter()
    assert chooser.select(seen).level == 1
    wall_s, made_s = time.perf_counter() - begun_s, compiling_s() - made_s
    assert made_s > 0.0 and chooser.took_ms <= 1000.0 * (wall_s - made_s) + 0.001
