"""The kernel's own delay stage: the exact words for tc, and the replay of a trace's delay and loss on it."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.link.netem import NO_LOSS, loss_words, netem_changes, netem_commands
from testbed.link.netem_replay import NetemReplay
from testbed.link.packed_trace import packed
from testbed.link.settings import LinkSettings, Loss
from tests.support.link_fakes import Clock
from traces.trace import Step, Trace

UP = "qdisc change dev up root netem limit 200000 delay"
DOWN = "qdisc change dev down root netem limit 200000 loss"
TRACE = Trace("t", (0.0, 1.0, 2.0, 4.0), (5.0,) * 4, delay_ms=(0, 20, 120, 120), loss_pct=(0, 1, 1, 0))


def step(delay_ms: float = 0.0, loss_pct: float = 0.0, rate_mbps: float = 5.0) -> Step:
    return Step(0.0, 1.0, rate_mbps, delay_ms, loss_pct)


@pytest.mark.parametrize(
    ("settings", "commands"),
    [
        (
            LinkSettings(rtt_ms=80),
            ["tc qdisc add dev up root netem limit 200000 delay 80ms"],
        ),
        (
            LinkSettings(rtt_ms=62.5, jitter_ms=5),
            ["tc qdisc add dev up root netem limit 200000 delay 62.5ms 5ms rate 10gbit"],
        ),
        (
            LinkSettings(rtt_ms=0, loss=Loss("uniform", 0.5)),
            ["tc qdisc add dev down root netem limit 200000 loss random 0.5%"],
        ),
        (
            LinkSettings(rtt_ms=40, loss=Loss("gemodel", 1, 20, 80, 0.1)),
            [
                "tc qdisc add dev up root netem limit 200000 delay 40ms",
                "tc qdisc add dev down root netem limit 200000 loss gemodel 1% 20% 80% 0.1%",
            ],
        ),
        (LinkSettings(rtt_ms=0), []),
        (
            LinkSettings(rtt_ms=80, jitter_ms=2, media_delay_ms=30),
            [
                "tc qdisc add dev up root netem limit 200000 delay 50ms 2ms rate 10gbit",
                "tc qdisc add dev down root netem limit 200000 delay 30ms",
            ],
        ),
        (
            LinkSettings(rtt_ms=40, media_delay_ms=40, media_jitter_ms=3.5, loss=Loss("uniform", 1)),
            [
                "tc qdisc add dev down root netem limit 200000 delay 40ms 3.5ms rate 10gbit loss random 1%",
            ],
        ),
    ],
)
def test_netem_gets_exactly_these_commands(settings: LinkSettings, commands: list[str]) -> None:
    assert netem_commands(settings, "up", "down") == commands


@pytest.mark.parametrize(
    ("settings", "first", "commands"),
    [
        (
            LinkSettings(rtt_ms=80),
            step(),
            ["delay 80ms rate 10gbit", "loss random 0%"],
        ),
        (
            LinkSettings(rtt_ms=0),
            step(delay_ms=37.5, loss_pct=2.0),
            ["delay 37.5ms rate 10gbit", "loss random 2%"],
        ),
        (
            LinkSettings(rtt_ms=40, jitter_ms=5, loss=Loss("uniform", 10.0)),
            step(delay_ms=20.0, loss_pct=10.0),
            ["delay 60ms 5ms rate 10gbit", "loss random 19%"],
        ),
        (
            LinkSettings(rtt_ms=40, loss=Loss("gemodel", 1, 20, 80, 0)),
            step(loss_pct=50.0),
            ["delay 40ms rate 10gbit", "loss gemodel 1% 20% 90% 50%"],
        ),
    ],
)
def test_a_path_that_will_vary_has_both_stages_from_the_start(
    settings: LinkSettings, first: Step, commands: Sequence[str]
) -> None:
    up, down = commands
    assert netem_commands(settings, "up", "down", first) == [
        f"tc qdisc add dev up root netem limit 200000 {up}",
        f"tc qdisc add dev down root netem limit 200000 {down}",
    ]


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        (step(20.0, 1.0), step(20.0, 1.0, rate_mbps=9.0), []),
        (step(20.0, 1.0), step(120.0, 1.0), [f"{UP} 160ms rate 10gbit"]),
        (step(20.0, 1.0), step(20.0, 0.0), [f"{DOWN} random 0%"]),
        (step(20.0, 0.0), step(0.0, 2.5), [f"{UP} 40ms rate 10gbit", f"{DOWN} random 2.5%"]),
    ],
)
def test_only_what_changes_is_changed(before: Step, now: Step, lines: Sequence[str]) -> None:
    assert netem_changes(LinkSettings(rtt_ms=40), "up", "down", before, now) == lines


steps = st.builds(step, st.floats(0, 500), st.floats(0, 50), st.sampled_from([0.0, 5.0]))


@given(st.lists(steps, min_size=2, max_size=20))
def test_after_all_changes_the_last_step_is_in_force(played: Sequence[Step]) -> None:
    """As if it had been there from the start."""
    settings = LinkSettings(rtt_ms=40, jitter_ms=3, loss=Loss("uniform", 1.0))
    in_force = dict(line.split(" root ") for line in netem_commands(settings, "up", "down", played[0]))
    for before, now in pairwise(played):
        for line in netem_changes(settings, "up", "down", before, now):
            where, words = line.split(" root ")
            in_force[where.replace("qdisc change", "tc qdisc add")] = words
    wanted = netem_commands(settings, "up", "down", played[-1])
    assert [f"{where} root {words}" for where, words in in_force.items()] == wanted


def test_no_loss_needs_words_only_where_there_may_be_some_later() -> None:
    assert (loss_words(Loss()), loss_words(NO_LOSS)) == ("", "loss random 0%")


class Bench:
    """A replay whose tc writes down what it is told, on a clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.tc = Clock(), io.BytesIO()
        monkeypatch.setattr("testbed.link.netem_replay.time", self.clock)
        self.replay = NetemReplay(LinkSettings(rtt_ms=40), "up", "down", self.tc)

    def told(self) -> list[str]:
        """What tc was told since the last question."""
        text = self.tc.getvalue().decode()
        self.tc.seek(0)
        self.tc.truncate()
        return text.splitlines()

    def work(self, after_s: float = 0.0) -> float | None:
        self.clock.now += after_s
        return self.replay.work()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_each_change_is_made_when_it_is_due(bench: Bench) -> None:
    bench.replay.play(TRACE, 0.0, bench.clock.now + 0.5)
    assert (bench.work(), bench.told()) == (pytest.approx(0.5), [])
    assert bench.work(0.5) == pytest.approx(1.0)
    assert bench.told() == [f"{UP} 60ms rate 10gbit", f"{DOWN} random 1%"]
    assert (bench.work(0.4), bench.told()) == (pytest.approx(0.6), [])
    assert bench.work(0.6) == pytest.approx(1.0)
    assert bench.told() == [f"{UP} 160ms rate 10gbit"]
    assert bench.work(1.003) == pytest.approx(1.997)
    assert bench.told() == [f"{DOWN} random 0%"]
    bench.work(1.997)
    assert bench.told() == [f"{UP} 60ms rate 10gbit", f"{DOWN} random 1%"], "the trace wraps"
    assert bench.replay.answer({"do": "report"}) == {"changes": 4, "late_max_ms": pytest.approx(3.0)}


def test_a_replay_that_was_away_catches_up_and_says_how_late_it_was(bench: Bench) -> None:
    bench.replay.play(TRACE, 1.5, bench.clock.now)
    bench.work()
    bench.told()
    assert bench.work(2.6) == pytest.approx(0.9)
    assert bench.told() == [f"{DOWN} random 0%", f"{UP} 60ms rate 10gbit", f"{DOWN} random 1%"]
    assert bench.replay.late_max_ms == pytest.approx(2100.0)


def test_at_rest_nothing_of_the_trace_is_left(bench: Bench) -> None:
    bench.replay.play(TRACE, 0.0, bench.clock.now)
    bench.work(1.5)
    bench.told()
    bench.replay.rest()
    assert bench.told() == [f"{UP} 40ms rate 10gbit", f"{DOWN} random 0%"]
    assert (bench.work(100.0), bench.told()) == (None, [])
    bench.replay.rest()
    assert bench.told() == [], "a second rest changes nothing"
    bench.replay.play(TRACE, 0.0, bench.clock.now)
    bench.work()
    assert bench.told() == [f"{UP} 60ms rate 10gbit", f"{DOWN} random 1%"], "and it may be played again"


def test_questions_are_answered_until_the_end_of_input(capsys: pytest.CaptureFixture[str]) -> None:
    tc = io.BytesIO()
    replay = NetemReplay(LinkSettings(rtt_ms=40), "up", "down", tc)
    reading, writing = os.pipe()
    thread = threading.Thread(target=replay.run, args=(reading,))
    thread.start()
    played = {"do": "play", "trace": packed(TRACE), "start_s": 0.0, "t0": time.monotonic()}
    for line in (played, {"do": "rest"}, {"do": "report"}):
        os.write(writing, json.dumps(line).encode() + b"\n")
    os.close(writing)
    thread.join(timeout=10)
    os.close(reading)
    assert not thread.is_alive()
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [set(answer) for answer in answers] == [{"changes", "late_max_ms"}] * 3
