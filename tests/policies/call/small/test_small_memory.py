"""What the net remembers beyond the last second, beside the same in plain numpy over all that happened."""

import math

import numpy as np
import pytest

from policies.call.small import memory
from policies.call.small.memory import (
    ELAPSED,
    FARTHEST_S,
    HORIZONS_S,
    LEAST,
    LEAST_MBPS,
    LONGEST,
    MEMORIES,
    MEMORY,
    MOST,
    OF_HORIZON,
    QUIET,
    RATE,
    SINCE_OUTAGE,
    forget,
    recall,
    remember,
)

STEP_S = 0.05


@pytest.fixture
def record():
    made = np.zeros(1, MEMORY)[0]
    forget(made)
    return made


def recalled(record):
    out = np.zeros(MEMORIES, np.float32)
    recall(record, out)
    return out


def drawn(seed, count):
    """(count,) of length_s, bytes, came, lost, queue, target of a call with holes."""
    random = np.random.default_rng(seed)
    came = random.integers(0, 6, count) * (random.random(count) < 0.8)
    came[count // 2 : count // 2 + 9] = 0
    length_s = np.where(random.random(count) < 0.1, 0.08, STEP_S)
    return (
        length_s, came * random.integers(200, 1200, count), came, random.integers(0, 2, count),
        random.random(count) * 5, random.uniform(0.1, 2.5, count),
    )  # fmt: skip


def plain(now_s, length_s, size, came, lost, queue, target):
    """The figures by their words, over all intervals; times are ends of intervals."""
    mbit, until = size * 8e-6, now_s[-1]
    silent, quiet_s = np.zeros(len(now_s)), 0.0
    for place, (each, length) in enumerate(zip(came, length_s, strict=True)):
        quiet_s = 0.0 if each else quiet_s + length
        silent[place] = quiet_s
    seconds = np.zeros(len(now_s))
    for place, at_s in enumerate(now_s):
        there = (now_s <= at_s) & (at_s - now_s < 1.0 - 1e-9)
        seconds[place] = mbit[there].sum() / length_s[there].sum()
    found = []
    for horizon_s in HORIZONS_S:
        there = until - now_s < horizon_s - 1e-9
        packets = came[there].sum() + lost[there].sum()
        found += [
            math.log(mbit[there].sum() / length_s[there].sum() + LEAST_MBPS),
            math.log(seconds[there].min() + LEAST_MBPS),
            math.log(seconds[there].max() + LEAST_MBPS),
            np.log(mbit / length_s + LEAST_MBPS)[there].std(),
            math.log(target[there].mean()),
            queue[there].mean(),
            queue[there].max(),
            lost[there].sum() / packets if packets else 0.0,
            length_s[there & (came == 0)].sum() / length_s[there].sum(),
            min(silent[there].max() / 0.5, 6.0),
        ]
    outages = now_s[silent >= 0.2 - 1e-9]
    since_s = until - outages[-1] if len(outages) else math.inf
    return np.array([*found, min(since_s / 30.0, 1.0), min(until / 30.0, 1.0)])


@pytest.mark.parametrize(("seed", "count"), [(1, 1), (2, 19), (3, 90), (4, 700), (5, 1500)])
def test_the_compiled_figures_are_the_plain_ones(record, seed, count):
    length_s, size, came, lost, queue, target = drawn(seed, count)
    now_s = np.cumsum(length_s)
    for n in range(count):
        remember(record, now_s[n], length_s[n], int(size[n]), int(came[n]), int(lost[n]), queue[n], target[n])
    expected = plain(now_s, length_s, size, came, lost, queue, target)
    assert recalled(record) == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert len(expected) == MEMORIES


def test_a_hole_is_remembered_as_long_as_a_horizon_reaches(record):
    """2 Mbit/s with a hole of half a second, and what is told of it after 1, 5 and 20 s."""
    told, now_s = {}, 0.0
    for n in range(620):
        now_s += STEP_S
        there = not 100 <= n < 110
        remember(record, now_s, STEP_S, 12500 if there else 0, 10 if there else 0, 0, 0.1, 2.0)
        told[n] = recalled(record)

    def longest(n):
        return [told[n][place * OF_HORIZON + LONGEST] for place in range(len(HORIZONS_S))]

    assert longest(99) == [0.0, 0.0, 0.0]
    assert longest(129) == pytest.approx([1.0, 1.0, 1.0])  # half a second
    assert longest(209) == pytest.approx([0.0, 1.0, 1.0])
    assert longest(509) == pytest.approx([0.0, 0.0, 1.0])
    assert told[209][OF_HORIZON + LEAST] == pytest.approx(math.log(1.01), rel=1e-5)  # half of a second
    assert told[209][OF_HORIZON + MOST] == pytest.approx(math.log(2.01), rel=1e-5)
    assert told[209][OF_HORIZON + QUIET] == pytest.approx(0.05)
    assert told[209][RATE] == pytest.approx(math.log(2.01), rel=1e-5)
    assert told[99][SINCE_OUTAGE] == 1.0
    assert told[109][SINCE_OUTAGE] == 0.0
    assert told[169][SINCE_OUTAGE] == pytest.approx(60 * STEP_S / FARTHEST_S)
    assert told[299][ELAPSED] == pytest.approx(0.5)


def test_a_call_that_begins_remembers_nothing_of_another(record):
    for n in range(40):
        remember(record, STEP_S * (n + 1), STEP_S, 0, 0, 3, 9.0, 0.1)
    forget(record)
    remember(record, STEP_S, STEP_S, 6250, 5, 0, 0.5, 1.0)
    found = recalled(record)
    assert found[LONGEST] == found[QUIET] == 0.0 and found[SINCE_OUTAGE] == 1.0
    assert found[RATE] == pytest.approx(math.log(1.01), rel=1e-5)
    assert np.isfinite(found).all()
    assert tuple(sorted(memory.HORIZONS_S)) == memory.HORIZONS_S
