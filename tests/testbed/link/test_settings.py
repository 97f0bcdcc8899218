"""What a link may be asked to be, on the command line."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.link.settings import (
    KERNEL_MAX_MBPS,
    MIN_QUEUE_FRAMES,
    RELAY_MAX_MBPS,
    LinkSettings,
    Loss,
    check_carried,
)
from testbed.link.tbf import FRAME_BYTES
from testbed.process.errors import TestbedError
from testbed.session.options import add_link_options, capped, link_settings, load_trace
from testbed.session.trace_notes import assumed_notes, delay_loss_notes
from traces.commands import Parser
from traces.trace import Trace

UNIFORM = Loss("uniform", 1.0)


def flat(rate_mbps: float) -> Trace:
    return Trace("flat", (0.0, 10.0), (rate_mbps, rate_mbps))


def asked(*words: str) -> LinkSettings:
    """The settings that a command line asks for."""
    command = Parser(prog="test")
    add_link_options(command)
    return link_settings(command.parse_args(words))


def test_without_options_the_link_is_the_documented_one() -> None:
    assert asked() == LinkSettings(
        rtt_ms=80.0,
        jitter_ms=0.0,
        loss=Loss("none"),
        queue_ms=200.0,
        queue_bytes=None,
        congestion_control="cubic",
        slow_start_after_idle=True,
        delay_backend="auto",
    )


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (("--rtt-ms", "0"), "rtt_ms", 0.0),
        (("--jitter-ms", "5"), "jitter_ms", 5.0),
        (("--queue-ms", "50"), "queue_ms", 50.0),
        (("--queue-bytes", "30000"), "queue_bytes", 30000),
        (("--queue-bytes", "30000"), "queue_ms", None),
        (("--cc", "bbr"), "congestion_control", "bbr"),
        (("--no-slow-start-after-idle",), "slow_start_after_idle", False),
        (("--delay-backend", "relay"), "delay_backend", "relay"),
        (("--loss-pct", "0.5"), "loss", Loss("uniform", 0.5)),
        (("--loss-gemodel", "1"), "loss", Loss("gemodel", 1.0, 99.0, 100.0, 0.0)),
        (("--loss-gemodel", "1", "20", "80", "0.1"), "loss", Loss("gemodel", 1.0, 20.0, 80.0, 0.1)),
    ],
)
def test_every_option_reaches_the_settings(words: tuple[str, ...], field: str, value: Any) -> None:
    assert getattr(asked(*words), field) == value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rtt-ms", "-1"), "RTT -1.0 ms: expected 0 to 10000"),
        (("--rtt-ms", "nan"), "RTT nan ms"),
        (("--rtt-ms", "20000"), "RTT 20000.0 ms"),
        (("--jitter-ms", "-2"), "jitter -2.0 ms: expected 0 to the RTT (80 ms)"),
        (("--rtt-ms", "10", "--jitter-ms", "11"), "jitter 11.0 ms: expected 0 to the RTT (10 ms)"),
        (("--queue-ms", "0"), "queue 0.0 ms: must be positive"),
        (("--queue-ms", "inf"), "queue inf ms"),
        (("--queue-bytes", "1513"), "queue 1513 bytes: must hold a frame of 1514"),
        (("--loss-pct", "-1"), "--loss-pct -1: expected 0 to under 100"),
        (("--loss-pct", "nan"), "--loss-pct nan: expected 0 to under 100"),
        (("--loss-pct", "100"), "--loss-pct 100: expected 0 to under 100"),
        (("--loss-gemodel", "1", "101"), "loss r 101.0 %"),
        (("--loss-gemodel", "1", "2", "3", "4", "5"), "5 figures given"),
        (("--loss-pct", "1", "--loss-gemodel", "1"), "exclude each other"),
    ],
)
def test_figures_that_make_no_link_are_refused_by_name(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(TestbedError) as caught:
        asked(*words)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"loss": "burst"}, "loss kind 'burst': expected none, uniform or gemodel"),
        ({"delay_backend": "magic"}, "delay backend 'magic': expected auto, netem, relay"),
    ],
)
def test_kinds_that_are_not_there_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(TestbedError) as caught:
        if "loss" in fields:
            Loss(fields["loss"])
        else:
            LinkSettings(**fields)
    assert said in str(caught.value)


def test_queue_follows_the_mean_rate_and_never_falls_below_a_few_frames() -> None:
    assert LinkSettings(queue_ms=100.0).queue_limit_bytes(flat(8.0)) == 100_000
    assert LinkSettings(queue_ms=1.0).queue_limit_bytes(flat(0.1)) == MIN_QUEUE_FRAMES * FRAME_BYTES
    assert LinkSettings(queue_bytes=20_000).queue_limit_bytes(flat(8.0)) == 20_000
    mixed = Trace("mixed", (0.0, 1.0, 4.0), (0.0, 1.0, 5.0))  # 16 Mbit in 4 s
    assert LinkSettings(queue_ms=200.0).queue_limit_bytes(mixed) == 100_000


@pytest.mark.parametrize(
    ("rate_mbps", "loss", "backend", "carried"),
    [
        (RELAY_MAX_MBPS + 1, UNIFORM, "relay", False),
        (RELAY_MAX_MBPS, UNIFORM, "relay", True),
        (RELAY_MAX_MBPS + 1, Loss(), "relay", True),  # only requests and ACKs pass the relay
        (RELAY_MAX_MBPS + 1, UNIFORM, "netem", True),
        (KERNEL_MAX_MBPS + 1, Loss(), "netem", False),
        (KERNEL_MAX_MBPS + 1, Loss(), "relay", False),
    ],
)
def test_a_rate_that_the_path_cannot_carry_is_refused(
    rate_mbps: float, loss: Loss, backend: str, carried: bool
) -> None:
    if carried:
        check_carried(flat(rate_mbps), LinkSettings(loss=loss), backend)
        return
    with pytest.raises(TestbedError, match=rf"reaches {rate_mbps:g} Mbit/s; .*--cap-mbps"):
        check_carried(flat(rate_mbps), LinkSettings(loss=loss), backend)


@pytest.mark.parametrize(
    ("loss_pct", "backend", "carried"),
    [(0.5, "relay", False), (0.0, "relay", True), (0.5, "netem", True)],
)
def test_a_trace_that_loses_frames_needs_what_asked_loss_needs(
    loss_pct: float, backend: str, carried: bool
) -> None:
    trace = replace(flat(RELAY_MAX_MBPS + 1), loss_pct=(0.0, loss_pct))
    if carried:
        check_carried(trace, LinkSettings(), backend)
        return
    with pytest.raises(TestbedError, match="the user-space relay carries 190 here"):
        check_carried(trace, LinkSettings(), backend)


@pytest.mark.parametrize(("step_s", "carried"), [(0.02, True), (0.001, False)])
def test_fine_steps_are_carried_and_wrong_units_are_not(step_s: float, carried: bool) -> None:
    times = tuple(step_s * step for step in range(100))
    trace = Trace("fine", times, (5.0,) * 100, delay_ms=(30.0,) * 100)
    if carried:
        check_carried(trace, LinkSettings(), "relay")
        return
    with pytest.raises(TestbedError, match="fine has a step of 1 ms"):
        check_carried(trace, LinkSettings(), "relay")


def test_what_traces_bring_is_said_in_a_line() -> None:
    plain, delayed = flat(5.0), replace(flat(5.0), name="d", delay_ms=(0.0, 20.0))
    lossy = Trace("l", (0.0, 1.0, 2.0), (5.0,) * 3, delay_ms=(0.0, 30.0, 140.0), loss_pct=(9.0, 0.0, 2.5))
    assert delay_loss_notes([plain, replace(plain, loss_pct=(1.0, 0.0))], [80.0], "--rtt-ms") == []
    assert delay_loss_notes([plain, delayed], [80.0], "--rtt-ms") == [
        "trace d brings delays of 20 ms; the round trip is these plus 80 ms (--rtt-ms)"
    ]
    assert delay_loss_notes([delayed, lossy], [40.0, 80.0], "rtt_ms") == [
        "2 traces (d, …) bring delays of 20 to 140 ms; the round trip is these plus 40 or 80 ms (rtt_ms)",
        "trace l brings losses of 0 to 2.5 % of the frames towards the player",
    ]


def test_the_rate_before_the_first_interval_belongs_to_no_interval() -> None:
    start_is_wild = Trace("wild start", (0.0, 10.0), (9999.0, 5.0))
    check_carried(start_is_wild, LinkSettings(), "relay")


def test_a_cap_cuts_the_rates_and_shows_in_the_name() -> None:
    trace = Trace("t", (0.0, 1.0, 2.0), (50.0, 50.0, 3.0))
    trace = replace(trace, delay_ms=(1.0, 2.0, 3.0), loss_pct=(0.0, 1.0, 2.0))
    cut = capped(trace, 10.0)
    assert (cut.delay_ms, cut.loss_pct) == (trace.delay_ms, trace.loss_pct)
    assert (cut.rate_mbps, cut.name) == ((10.0, 10.0, 3.0), "t (cap 10)")
    assert capped(trace, 50.0) is trace
    assert capped(trace, None) is trace


@pytest.mark.parametrize("cap_mbps", [0.0, -1.0, math.nan, math.inf])
def test_a_cap_that_is_no_rate_is_refused(cap_mbps: float) -> None:
    with pytest.raises(TestbedError, match="must be positive"):
        capped(flat(5.0), cap_mbps)


def test_a_trace_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match="no family and no file"):
        load_trace(str(tmp_path / "nowhere.log"), None, None)


@given(
    st.one_of(
        st.just(Loss()),
        st.builds(Loss, st.just("uniform"), st.floats(0, 99)),
        st.builds(Loss, st.just("gemodel"), *[st.floats(0, 100)] * 4),
    ),
    st.floats(0, 99),
)
def test_loss_on_top_of_loss_leaves_the_product_of_what_each_leaves(asked: Loss, more_pct: float) -> None:
    both = asked.plus(more_pct)
    kept = (100 - more_pct) / 100
    if asked.kind == "gemodel":
        assert (both.kind, both.p, both.r) == ("gemodel", asked.p, asked.r), "when a burst comes stays"
        assert 100 - both.bad == pytest.approx((100 - asked.bad) * kept)
        assert 100 - both.good == pytest.approx((100 - asked.good) * kept)
    else:
        assert both.kind == ("uniform" if more_pct else asked.kind)
        assert 100 - both.p == pytest.approx((100 - asked.p) * kept)
    assert asked.plus(0.0) is asked


def test_what_readers_took_for_granted_is_said_once() -> None:
    traces = [Trace(name, (0.0, 1.0), (1.0, 1.0), assumed=("a line is a second",)) for name in ("a", "b")]
    assert assumed_notes(traces) == ["trace a and 1 more: a line is a second"]
    assert assumed_notes([Trace("c", (0.0, 1.0), (1.0, 1.0))]) == []


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"media_delay_ms": 90}, r"media delay 90 ms: expected 0 to the RTT \(80 ms\)"),
        ({"media_delay_ms": math.nan}, "media delay nan ms"),
        ({"media_delay_ms": 20, "media_jitter_ms": 21}, r"expected 0 to the media delay \(20 ms\)"),
        ({"media_delay_ms": 70, "jitter_ms": 11}, r"what the media delay leaves of the RTT \(10 ms\)"),
        ({"grant_ms": -1}, "grants every -1 ms: expected 0 to 1000"),
        ({"grant_ms": 5, "delay_backend": "netem"}, "take --delay-backend relay"),
    ],
)
def test_media_figures_that_make_no_link_are_refused(figures: dict[str, Any], words: str) -> None:
    with pytest.raises(TestbedError, match=words):
        LinkSettings(**figures)


def test_the_media_direction_is_a_part_of_the_round_trip() -> None:
    settings = asked("--media-delay-ms", "30", "--media-jitter-ms", "4", "--grant-ms", "10")
    assert settings.feedback_delay_ms == 50
    assert (settings.idle_rtt_ms, settings.varies_ms) == (85, 9)
    assert settings.relays_media(None)
    assert settings.asked_backend == "relay", "only it has grants"
    assert not asked("--rtt-ms", "20").relays_media(flat(5.0))
    with pytest.raises(TestbedError, match="the user-space relay carries 190"):
        check_carried(flat(RELAY_MAX_MBPS + 1), asked("--media-delay-ms", "5"), "relay")
