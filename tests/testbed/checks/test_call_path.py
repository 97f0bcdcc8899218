"""What stamps of datagrams come to, by hand; and one short run over a real lane."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed import call_path
from testbed.checks.call_path.facts import (
    SKIPPED,
    Arrival,
    CallPathFacts,
    idle_noise,
    overload,
    quantile,
)
from testbed.checks.call_path.flow import WIRE_BYTES
from testbed.checks.call_path.measure import idle_phase, overload_phase

LATE = {"late_p50_ms": 0.1, "late_p99_ms": 0.2, "late_max_ms": 0.3}
FRAME_S = WIRE_BYTES * 8 / 2e6
"""At 2 Mbit/s: 4.968 ms."""


def piled(gap_s: float, count: int = 400) -> list[Arrival]:
    """What a link that is always full makes of datagrams that are sent each `gap_s`."""
    return [Arrival(number, 9.0 + number * gap_s, 9.1 + number * FRAME_S) for number in range(count)]


def true_facts() -> CallPathFacts:
    quiet = [
        Arrival(number, float(number), number + 0.0001 + 0.00001 * (number % 2)) for number in range(100)
    ]
    gap_s = overload_phase(2.0).gap_s
    return CallPathFacts(idle_noise(quiet, 100, LATE), overload(piled(gap_s), 400, 2.0, gap_s))


def test_the_phases_are_those_of_the_text() -> None:
    """1242 bytes at half of 2 Mbit/s; 1200 at 2.2 Mbit/s are 13.85 % more than 2 with their headers."""
    assert idle_phase(2.0, 10.0).gap_s == pytest.approx(0.009936)
    busy = overload_phase(2.0)
    assert (busy.gap_s, busy.packets) == (pytest.approx(0.0043636, abs=1e-7), 1375)
    assert FRAME_S / busy.gap_s == pytest.approx(1.1385)


def test_spacing_and_slope_by_hand() -> None:
    """At each arrival, a frame's time after the last, the delay has grown by frame - gap: (F - g) / F."""
    gap_s = overload_phase(2.0).gap_s
    found = overload(piled(gap_s), 400, 2.0, gap_s)
    assert (found.spacing_ms, found.spacing_due_ms) == (4.968, 4.968)
    assert (found.slope, found.slope_due) == (0.12165, 0.12165)
    assert found.residual_ms == pytest.approx(0.0, abs=1e-4)
    assert found.came == 400 > SKIPPED


def test_noise_by_hand() -> None:
    found = true_facts().idle
    assert (found.p50_ms, found.p99_ms, found.max_ms) == (0.11, 0.11, 0.11)
    assert found.deviation_ms == pytest.approx(0.005, abs=1e-4)
    assert (found.sent, found.came) == (100, 100)
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0


def test_a_true_path_is_within_bounds_and_each_fault_is_named() -> None:
    true = true_facts()
    assert true.faults(0.0, even=True) == []
    noisy = replace(true, idle=replace(true.idle, deviation_ms=0.21, p99_ms=20.6))
    assert [words.split(" ms")[0] for words in noisy.faults(20.0, even=True)] == [
        "idle delay's deviation 0.210",
        "idle delay at p99 20.600",
    ]
    assert noisy.faults(20.0, even=False) == [], "a jitter that was asked for is no noise"
    off = replace(true, overload=replace(true.overload, spacing_ms=5.02, slope=0.1246))
    assert [words.split()[0] for words in off.faults(0.0, even=True)] == ["spacing", "slope"]
    lossy = replace(true, overload=replace(true.overload, came=399))
    assert lossy.faults(0.0, even=True) == ["1 datagrams were lost"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rate-mbps", "0"), "--rate-mbps 0: expected 0.1 to 50"),
        (("--seconds", "1"), "--seconds 1: expected 2 to 600"),
        (("--repeat", "0"), "--repeat 0: must be 1 or more"),
        (("--loss-pct", "1"), "leave it out"),
        (("--media-delay-ms", "100"), "media delay 100.0 ms: expected 0 to the RTT"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call_path.main(words) == 2
    assert message in capsys.readouterr().err
