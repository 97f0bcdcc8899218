"""Fixed, Rate, BBA, BOLA and PANDA against decisions worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest

from player.observation import Observation, PastChunk
from player.policy import Decision, Policy
from player.qoe import QoE
from player.video.video import Video
from policies.rules.bba import BBA
from policies.rules.bola import BOLA
from policies.rules.fixed import Fixed
from policies.rules.panda import PANDA
from policies.rules.rate import Rate

LADDER_KBPS = (300, 750, 1200, 1850, 2850, 4300)
VIDEO = Video("cbr", 4.0, LADDER_KBPS, tuple(tuple(kbps * 500 for kbps in LADDER_KBPS) for _ in range(48)))


def seen(
    throughputs_mbps: Sequence[float], buffer_s: float = 8.0, level: int = 0, elapsed_s: float = 0.0
) -> Observation:
    """An observation after chunks at `level` that came at these throughputs."""
    history = tuple(PastChunk(level, 150_000, 1.2 / mbps, mbps, 80.0, 0.0, 8.0) for mbps in throughputs_mbps)
    chunk = len(history)
    return Observation(chunk, history, buffer_s, VIDEO.sizes_bytes[chunk : chunk + 8], 48 - chunk, elapsed_s)


def level_of(policy: Policy, observation: Observation) -> int:
    decision = policy.select(observation)
    assert isinstance(decision, Decision)
    assert decision.reason
    return decision.level


def ready(policy: Policy, video: Video = VIDEO) -> Policy:
    policy.reset(video, 0, QoE())
    return policy


def test_fixed_stays_where_it_is_put() -> None:
    assert level_of(ready(Fixed(3)), seen([])) == 3
    assert level_of(ready(Fixed(3)), seen([0.1], buffer_s=0.0)) == 3
    with pytest.raises(ValueError, match="level -1"):
        Fixed(-1)
    with pytest.raises(ValueError, match="level 6; cbr has levels 0 to 5"):
        ready(Fixed(6))


@pytest.mark.parametrize(
    ("throughputs", "safety", "level"),
    [
        ([], 1.0, 0),
        ([0.1], 1.0, 0),
        ([0.75], 1.0, 1),  # exactly a bitrate is within
        ([0.7499], 1.0, 0),
        ([1.0, 3.0], 1.0, 2),  # harmonic mean 1.5; the arithmetic one would give 2.0 and level 3
        ([99.0, 2.0, 2.0, 2.0, 2.0, 2.0], 1.0, 3),  # the sixth from the end no longer counts
        ([2.0], 0.85, 2),  # 1.7
        ([50.0], 1.0, 5),
    ],
)
def test_rate_takes_what_the_harmonic_mean_carries(
    throughputs: list[float], safety: float, level: int
) -> None:
    assert level_of(ready(Rate(safety)), seen(throughputs)) == level


@pytest.mark.parametrize(
    ("buffer_s", "level"),
    [
        (0.0, 0),
        (4.99, 0),
        (5.0, 0),
        (6.9, 0),
        (7.0, 1),
        (9.0, 2),
        (14.99, 4),
        (15.0, 5),
        (17.0, 5),
        (60.0, 5),
    ],
)
def test_bba_maps_the_buffer_to_a_level(buffer_s: float, level: int) -> None:
    assert level_of(ready(BBA()), seen([1.0], buffer_s)) == level


def test_bba_takes_its_reservoir_and_cushion_from_its_options() -> None:
    assert level_of(ready(BBA(reservoir_s=10, cushion_s=20)), seen([1.0], 20.0)) == 2
    assert level_of(ready(BBA(reservoir_s=0)), seen([1.0], 2.0)) == 1


def test_bola_changes_level_at_the_buffers_that_its_formula_says() -> None:
    policy = ready(BOLA(min_buffer_s=10.0, max_buffer_s=30.0))
    # u = ln(S/300): 0.916, 1.386, 1.819, 2.251, 2.663; a = 300 x 0.916 / 450 = 0.6109;
    # V = 20 / (2.663 + 0.6109) = 6.110; V gp = 10 + 6.110 x 0.6109 = 13.732. Levels m and n score the
    # same at V gp + V (S_n u_m - S_m u_n) / (S_n - S_m): 10, 14.545, 17.320, 19.962, 22.548
    for below, crossing_s in enumerate([10.0, 14.545, 17.320, 19.962, 22.548]):
        assert level_of(policy, seen([1.0], crossing_s - 0.01)) == below
        assert level_of(policy, seen([1.0], crossing_s + 0.01)) == below + 1
    assert level_of(policy, seen([1.0], 45.0)) == 5  # every score is negative
    assert level_of(policy, seen([], 0.0)) == 0


def test_panda_probes_up_slowly_and_backs_off() -> None:
    policy = ready(PANDA())
    assert level_of(policy, seen([], elapsed_s=0.0)) == 0
    steps = [
        # (elapsed, measured, level before) -> level; up to 0.85 x smoothed, and what that is
        ((1.0, 2.0, 0), 2, "2.00"),  # the first throughput starts both estimates; up to 1700
        # T = 4, excess max(2 - 2.3 + 0.3, 0) = 0: estimate 2 + 0.14 x 4 x 0.3 = 2.168;
        # smoothed 2 - 0.8 x (2 - 2.168) = 2.1344; up to 1814: not yet 1850
        ((5.0, 2.3, 2), 2, "2.13"),
        # T = 1: estimate 2.21, smoothed 2.1344 + 0.2 x 0.0756 = 2.1495; up to 1827
        ((6.0, 3.0, 2), 2, "2.15"),
        # T = 2: estimate 2.294, smoothed 2.1495 + 0.4 x 0.1445 = 2.2073; up to 1876
        ((8.0, 3.0, 2), 3, "2.21"),
        # T = 3, excess 2.294 - 1 + 0.3 = 1.594: estimate 2.294 + 0.42 x (0.3 - 1.594) = 1.7505;
        # smoothed 2.2073 - 0.6 x 0.4568 = 1.9332; down below 1850 only: stays
        ((11.0, 1.0, 3), 3, "1.93"),
        # T = 2, excess 1.0505: estimate 1.7505 + 0.28 x (0.3 - 1.0505) = 1.5404;
        # smoothed 1.9332 - 0.4 x 0.3928 = 1.7761
        ((13.0, 1.0, 3), 2, "1.78"),
    ]
    throughputs: list[float] = []
    for (elapsed_s, measured_mbps, before), level, smoothed in steps:
        throughputs.append(measured_mbps)
        decision = policy.select(seen(throughputs, level=before, elapsed_s=elapsed_s))
        assert decision == Decision(level, reason=f"smoothed {smoothed} Mbit/s")


def test_panda_keeps_its_level_in_the_dead_zone() -> None:
    # 2 Mbit/s: up to 1700 (level 2), down only above 2000 (level 3)
    assert level_of(ready(PANDA()), seen([2.0], level=2)) == 2
    assert level_of(ready(PANDA()), seen([2.0], level=3)) == 3
    assert level_of(ready(PANDA()), seen([2.0], level=4)) == 3
    assert level_of(ready(PANDA()), seen([2.0], level=0)) == 2


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: Rate(0.0), "safety 0"),
        (lambda: Rate(math.nan), "safety nan"),
        (lambda: BBA(-1.0), "reservoir_s -1"),
        (lambda: BBA(5.0, 0.0), "cushion_s 0"),
        (lambda: BOLA(0.0), "min_buffer_s 0"),
        (lambda: BOLA(10.0, 10.0), "max_buffer_s 10"),
        (lambda: PANDA(kappa=0.0), "kappa 0"),
        (lambda: PANDA(w_mbps=-0.3), "w_mbps -0.3"),
        (lambda: PANDA(epsilon=1.0), "epsilon 1"),
    ],
)
def test_an_option_out_of_range_is_named(make: Callable[[], Policy], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        make()
