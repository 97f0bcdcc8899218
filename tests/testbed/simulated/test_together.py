"""Sessions decided together: each record is that of the session alone, whoever sits beside it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from player.observation import Observation
from player.policy import Decision, Policy
from player.qoe import QoE
from player.simulated.link_published import PublishedLink
from player.simulated.session import BY_PLAYER, Chooser, session_course, simulate
from player.simulated.together import SessionInCompany, play_together
from player.video.built_in import load_video
from player.video.video import Video
from testbed.simulate import main
from tests.support.simulating import rows_of
from traces.families.catalogue import resolve_many

VIDEO = load_video("envivio")
TRACES = resolve_many("4g[0:5]")


class Counting:
    """Takes a level by what it has seen in its own session; counts how often it is asked for several."""

    def __init__(self, fails_at: int = -1) -> None:
        self.fails_at, self.asked_at_once = fails_at, list[int]()

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self.seen = seed % 3

    def select(self, observation: Observation) -> Decision:
        if observation.chunk == self.fails_at:
            raise RuntimeError("no idea")
        self.seen += observation.chunk
        return Decision(self.seen % 4, reason=f"{self.seen}")

    def another(self) -> Policy:
        return Counting(self.fails_at)

    def together(self) -> int:
        return 3

    def ready_together(self) -> int:
        return 3

    def select_together(self, asked: Sequence[tuple[Policy, Observation]]) -> Sequence[object]:
        self.asked_at_once.append(len(asked))
        return [_answer(policy, seen) for policy, seen in asked]


def _answer(policy: Policy, seen: Observation) -> object:
    try:
        return policy.select(seen)
    except Exception as error:
        return error


class Lowest:
    """A stand-in."""

    def reset(self, video: Video, seed: int, qoe: QoE) -> None: ...

    def select(self, observation: Observation) -> int:
        return 0


def _alone(policy: Policy, place: int, chunks: int) -> object:
    return simulate(
        VIDEO, TRACES[place], policy, seed=place, qoe=QoE(), link=PublishedLink(), chunks=chunks,
        fallback=Lowest(),
    )  # fmt: skip


def _seat(policy: Policy, place: int, chunks: int) -> SessionInCompany:
    chooser = Chooser(policy, Lowest(), VIDEO.levels)
    course = session_course(
        VIDEO, TRACES[place], chooser, seed=place, qoe=QoE(), link=PublishedLink(), chunks=chunks
    )
    return SessionInCompany(course, chooser)


def test_sessions_side_by_side_come_out_as_alone_and_end_when_they_end() -> None:
    lengths = [6, 3, 9, 3, 7]
    policies = [Counting(fails_at=4 if place == 0 else -1) for place in range(5)]
    seats = {place: _seat(policies[place], place, lengths[place]) for place in range(5)}
    ended = list(play_together(seats))
    assert [place for place, _ in ended] == [1, 3, 0, 4, 2]
    for place, recorded in ended:
        assert recorded == _alone(Counting(policies[place].fails_at), place, lengths[place])
        assert not isinstance(recorded, Exception)
        assert recorded[0][0].by == BY_PLAYER
    fallback = dict(ended)[0]
    assert not isinstance(fallback, Exception) and "RuntimeError: no idea at chunk 4" in fallback[0][4].reason


def test_a_session_that_cannot_begin_costs_the_others_nothing() -> None:
    class Refuses(Counting):
        def reset(self, video: Video, seed: int, qoe: QoE) -> None:
            raise ValueError("not this video")

    ended = dict(play_together({0: _seat(Refuses(), 0, 4), 1: _seat(Counting(), 1, 4)}))
    refused = ended[0]
    assert not isinstance(refused, Exception) and refused == _alone(Refuses(), 0, 4)
    assert "ValueError: not this video at reset" in refused[0][1].reason
    assert ended[1] == _alone(Counting(), 1, 4)


def test_who_breaks_down_over_all_questions_is_replaced_in_all_sessions() -> None:
    class Breaks(Counting):
        def select_together(self, asked: Sequence[tuple[Policy, Observation]]) -> Sequence[object]:
            raise MemoryError("too many")

    class Exits(Counting):
        def select_together(self, asked: Sequence[tuple[Policy, Observation]]) -> Sequence[object]:
            sys.exit(3)

    for kind in (Breaks, Exits):
        for _, recorded in play_together({0: _seat(kind(), 0, 4), 1: _seat(kind(), 1, 4)}):
            assert not isinstance(recorded, Exception)
            assert [row.by for row in recorded[0][1:]] == ["fallback"] * 3


TOGETHER = """
import pathlib

class Fails:
    def reset(self, video, seed, qoe): pass
    def select(self, observation): return 0
    def another(self): return Fails()
    def together(self): return 8
    def ready_together(self): return 2
    def select_together(self, asked):
        with (pathlib.Path(__file__).parent / "batches").open("a") as file: file.write("x")
        return [RuntimeError("no idea"), *[0] * (len(asked) - 1)]
"""


def test_strict_stops_at_the_first_fault_of_sessions_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fails.py").write_text(TOGETHER)
    words = ["--policy", f"{tmp_path / 'fails.py'}:Fails", "--chunks", "4", "--jobs", "1", "--strict"]
    assert main(["--traces", "4g[0:8]", *words, "--out", str(tmp_path / "out")]) == 2
    assert "RuntimeError: no idea at chunk 2" in capsys.readouterr().err
    assert (tmp_path / "batches").read_text() == "x"


@pytest.mark.parametrize("policy", ["small:server=none", "netllm:server=none"])
def test_the_model_decides_for_all_at_once_what_it_decides_for_each(
    policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--policy", policy, "--chunks", "7", "--first-level", "policy", "--jobs", "1"]
    assert main(["--traces", "4g[0:7]", "3g[0:4]", *words, "--out", str(tmp_path / "together")]) == 0
    for trace in ("4g/0", "4g/6", "3g/3"):
        assert main(["--traces", trace, *words, "--out", str(tmp_path / "alone")]) == 0
    alone = rows_of(tmp_path / "alone")
    together = rows_of(tmp_path / "together")
    assert len(together) == 11 and len(alone) == 3
    assert all(together[name] == rows for name, rows in alone.items())
