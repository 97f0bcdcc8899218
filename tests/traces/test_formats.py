"""Every format: what a file means, round trips, and that noise gives a trace or an error, nothing else."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces import formats
from traces.formats import mahimahi
from traces.trace import Trace, TraceError

EXACT = ("text", "cooked", "csv", "series")
RATES_ONLY = ("text", "cooked", "mahimahi")


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    steps = draw(st.lists(st.floats(0.001, 1e3), min_size=1, max_size=20))
    times = [0.0]
    for step in steps:
        times.append(times[-1] + step)
    values = st.floats(0, 1e5, allow_subnormal=False)
    rates = draw(
        st.lists(values, min_size=len(times), max_size=len(times)).filter(lambda v: max(v[1:]) > 1e-3)
    )
    return Trace("t", tuple(times), tuple(rates))


@pytest.mark.parametrize("name", EXACT)
@settings(deadline=None)
@given(trace=traces())
def test_round_trip_of_text_cooked_csv_and_series_is_exact(name: str, trace: Trace) -> None:
    if name == "series":  # what holds in no interval has no place there
        trace = replace(trace, rate_mbps=(trace.rate_mbps[1], *trace.rate_mbps[1:]))
    text = formats.FORMATS[name].write(trace)
    assert formats.parse(text, "dir/t", name) == trace
    assert formats.parse(text, "dir/t") == trace, "detected"


@st.composite
def whole_traces(draw: st.DrawFn) -> Trace:
    """Traces with delay, loss, both or neither; point 0 as point 1, as JSON logs have it."""
    trace = draw(traces())
    points = len(trace.time_s)

    def column(values: st.SearchStrategy[float]) -> tuple[float, ...] | None:
        drawn = draw(st.none() | st.lists(values, min_size=points - 1, max_size=points - 1))
        return None if drawn is None else (drawn[0], *drawn)

    return replace(
        trace,
        rate_mbps=(trace.rate_mbps[1], *trace.rate_mbps[1:]),
        delay_ms=column(st.floats(0, 10_000)),
        loss_pct=column(st.floats(0, 99.99)),
    )


@settings(deadline=None)
@given(whole_traces())
def test_csv_and_json_keep_delay_and_loss_exactly(trace: Trace) -> None:
    assert formats.parse(formats.FORMATS["csv"].write(trace), "dir/t") == trace
    back = formats.parse(formats.FORMATS["json"].write(trace), "t")
    assert (back.delay_ms, back.loss_pct) == (trace.delay_ms, trace.loss_pct)


@settings(deadline=None)
@given(whole_traces())
def test_series_keep_delays_and_one_loss(trace: Trace) -> None:
    if trace.loss_pct is not None and len(set(trace.loss_pct)) > 1:
        with pytest.raises(TraceError, match=r"its loss varies \(.*; write csv or json"):
            formats.FORMATS["series"].write(trace)
        trace = replace(trace, loss_pct=(trace.loss_pct[0],) * len(trace.time_s))
    back = formats.parse(formats.FORMATS["series"].write(trace), "t")
    assert (back.time_s, back.rate_mbps) == (trace.time_s, trace.rate_mbps)
    assert back.delay_ms == trace.delay_ms or back.delay_ms == pytest.approx(trace.delay_ms)
    assert back.loss_pct == trace.loss_pct or back.loss_pct == pytest.approx(trace.loss_pct)


@pytest.mark.parametrize("name", RATES_ONLY)
@pytest.mark.parametrize(
    ("columns", "said"), [({"delay_ms": (5.0, 5.0)}, "has delay"), ({"loss_pct": (0.0, 0.0)}, "has loss")]
)
def test_formats_of_rates_alone_refuse_to_write_more(
    name: str, columns: dict[str, tuple[float, ...]], said: str
) -> None:
    trace = Trace("t", (0.0, 1.0), (3.0, 3.0), **columns)
    with pytest.raises(TraceError, match=f"^t: {said}, which {name} can't hold; .*--drop-delay-loss"):
        formats.FORMATS[name].write(trace)
    formats.FORMATS[name].write(trace.without_delay_loss)


@settings(deadline=None)
@given(traces())
def test_round_trip_of_json_keeps_durations_and_rates(trace: Trace) -> None:
    back = formats.parse(formats.FORMATS["json"].write(trace), "t")
    assert back.time_s == pytest.approx(trace.time_s, abs=1e-8 * len(trace.time_s))
    assert back.rate_mbps[1:] == pytest.approx(trace.rate_mbps[1:], rel=1e-12, abs=1e-11)
    assert back.rate_mbps[0] == back.rate_mbps[1]


@st.composite
def binned_traces(draw: st.DrawFn) -> Trace:
    rates = draw(st.lists(st.floats(0, 60), min_size=1, max_size=30).filter(lambda v: sum(v) > 1))
    return Trace("t", tuple(0.5 * i for i in range(len(rates) + 1)), (rates[0], *rates))


@settings(deadline=None)
@given(binned_traces())
def test_mahimahi_keeps_bytes_at_bin_edges_to_one_packet(trace: Trace) -> None:
    back = formats.parse(mahimahi.write(trace), "t")
    for edge in back.time_s:
        difference = trace.megabits_until(min(edge, trace.duration_s)) - back.megabits_until(edge)
        assert abs(difference) <= mahimahi.MEGABITS_PER_PACKET + trace.rate_at(edge) * 1e-3 + 1e-6
    assert back.duration_s <= trace.duration_s


@settings(deadline=None)
@given(binned_traces())
def test_mahimahi_files_survive_their_own_round_trip(trace: Trace) -> None:
    stamps = [int(line) for line in mahimahi.write(trace).split()]
    assert stamps == sorted(stamps)
    assert stamps[0] >= 0 and stamps[-1] <= trace.duration_s * 1000
    total = math.floor(trace.mean_mbps * trace.duration_s / mahimahi.MEGABITS_PER_PACKET + 1e-6)
    assert len(stamps) == total


def test_mahimahi_opportunities_are_exact() -> None:
    trace = Trace("t", (0.0, 1.0, 2.0), (12.0, 12.0, 6.0))
    stamps = [int(line) for line in mahimahi.write(trace).split()]
    assert stamps == [*range(1, 1001), *range(1002, 2001, 2)]
    assert mahimahi.read("\n".join(map(str, stamps)), "t", formats.ReadOptions(bin_ms=1000)) == trace


def test_mahimahi_counts_in_half_seconds_and_keeps_the_period() -> None:
    trace = formats.parse("0\n500\n501\n1000\n1200\n", "x")
    assert trace.time_s == (0.0, 0.5, 1.2)
    assert trace.rate_mbps[1:] == pytest.approx((2 * 0.012 / 0.5, 3 * 0.012 / 0.7))


def test_mahimahi_refuses_a_file_of_absurd_length() -> None:
    with pytest.raises(TraceError, match="convert to another format"):
        mahimahi.write(Trace("t", (0.0, 600.0), (500.0, 500.0)))
    with pytest.raises(TraceError, match="less than one packet"):
        mahimahi.write(Trace("t", (0.0, 1.0), (0.001, 0.001)))


def test_two_columns_after_zero_hold_from_zero() -> None:
    trace = formats.parse("# seconds Mbit/s\n\n1 5\n2 4\n", "a/b.log")
    assert (trace.name, trace.time_s, trace.rate_mbps) == ("b.log", (0.0, 1.0, 2.0), (5.0, 5.0, 4.0))


def test_cooked_first_line_marks_the_start() -> None:
    text = "100.5\t5\n101.5\t4\n103\t3\n"
    assert formats.detect(text, "x").name == "cooked"
    trace = formats.parse(text, "x")
    assert (trace.time_s, trace.rate_mbps) == ((0.0, 1.0, 2.5), (5.0, 4.0, 3.0))


def test_times_that_begin_late_are_a_clocks_and_that_is_said() -> None:
    text = "5000 5\n5001 4\n5002 3\n"
    trace = formats.parse(text, "log")
    assert trace.time_s == (0.0, 1.0, 2.0) and "times begin 5000 usual steps after 0" in trace.assumed[0]
    assert formats.parse("10 5\n11 4\n12 3\n", "log").time_s == (0.0, 10.0, 11.0, 12.0)
    assert formats.parse(text, "log", "cooked").time_s == (0.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("text", "times", "rates"),
    [
        ("time_s,throughput_mbps\n0,1\n1,2\n2,3\n", (0, 1, 2), (1, 2, 3)),
        ("time_ms;bandwidth_kbps\n500;1500,5\n1000;2000\n", (0, 0.5, 1), (1.5005, 1.5005, 2)),
        ("id\tTimestamp\tDownlink (bps)\nx\t1700000000\t1e6\ny\t1700000002\t2e6\n", (0, 2), (1, 2)),
        ("timestamp,mbps\n1700000000000,1\n1700000001500,2\n", (0, 1.5), (1, 2)),
        ("Timestamp,DL_bitrate\n2018.01.27_13.58.29,4000\n2018.01.27_13.58.31,3000\n", (0, 2), (4, 3)),
        ("timestamp,gbps\n2024-05-01T12:00:00.5,0.001\n2024-05-01T12:00:01,0.002\n", (0, 0.5), (1, 2)),
        ("duration_ms,rate_kbps\n250,1000\n750,3000\n", (0, 0.25, 1), (1, 1, 3)),
        ("# log\r\nseconds,Throughput (Mbit/s)\r\n0,1\r\n1,2\r\n", (0, 1), (1, 2)),
        ('time_s,note,mbps\n0,"a,b",1\n1,c,2\n', (0, 1), (1, 2)),
    ],
)
def test_csv_columns_and_units(text: str, times: tuple[float, ...], rates: tuple[float, ...]) -> None:
    assert formats.detect(text, "x").name == "csv"
    trace = formats.parse(text, "x")
    assert trace.time_s == pytest.approx(times)
    assert trace.rate_mbps == pytest.approx(rates)


def test_json_log_as_sabre_has_it() -> None:
    log = [
        {"duration_ms": 1000, "bandwidth_kbps": 2500, "latency_ms": 20.0},
        {"duration_ms": 500, "bandwidth_kbps": 0, "latency_ms": 20.0},
    ]
    trace = formats.parse(json.dumps(log, indent=2), "x")
    assert (trace.time_s, trace.rate_mbps) == ((0.0, 1.0, 1.5), (2.5, 2.5, 0.0))
    assert (trace.delay_ms, trace.loss_pct) == ((20.0, 20.0, 20.0), None)


@pytest.mark.parametrize(
    ("name", "raw", "delay_ms", "loss_pct"),
    [
        ("delay_ms", "15", 15.0, None),
        ("latency_ms", "15", 15.0, None),
        ("Latency (ms)", "15", 15.0, None),
        ("rtt_s", "0.25", 250.0, None),
        ("avg_rtt_us", "1500", 1.5, None),
        ("rtt_mean_msec", "7", 7.0, None),
        ("loss_pct", "2", None, 2.0),
        ("Packet Loss (%)", "2", None, 2.0),
        ("packet_loss_percent", "2", None, 2.0),
        ("loss_rate", "0.02", None, 2.0),
        ("packet_loss_rate", "0.02", None, 2.0),
        ("plr", "0.5", None, 50.0),
        ("loss", "0", None, 0.0),
        ("latency", "0", 0.0, None),
        ("owd_ms", "0", 0.0, None),
        ("max_rtt_ms", "5", None, None),
        ("PINGAVG", "5", None, None),
        ("path_loss_db", "5", None, None),
    ],
)
def test_delay_and_loss_are_read_in_the_units_of_their_names(
    name: str, raw: str, delay_ms: float | None, loss_pct: float | None
) -> None:
    """In CSV and in JSON; the first row here lasts from 0 on."""
    delays = None if delay_ms is None else (delay_ms,) * 2
    losses = None if loss_pct is None else (loss_pct,) * 2
    item = {"duration_ms": 1000, "bandwidth_kbps": 1000, name: float(raw)}
    for text in (f"time_s,mbps,{name}\n1,1,{raw}\n", json.dumps([item])):
        trace = formats.parse(text, "x")
        assert trace.delay_ms == (delays and pytest.approx(delays))
        assert trace.loss_pct == (losses and pytest.approx(losses))


def test_a_column_with_a_unit_goes_before_one_without() -> None:
    trace = formats.parse("time_s,latency,rtt_ms,mbps,delay_ms\n0,9,5,1,7\n1,9,5,1,7\n", "x")
    assert trace.delay_ms == (5.0, 5.0)


def test_series_as_congestion_control_sets_have_them() -> None:
    body = {"timestamps": [0.5, 1.0, 3.0], "bandwidths": [1, 2, 9], "loss": 0.02, "queue": 10}
    trace = formats.parse(json.dumps({**body, "delays": [30.5]}), "dir/bbr.json")
    assert (trace.name, trace.time_s, trace.rate_mbps) == ("bbr.json", (0.0, 0.5, 2.5), (1.0, 1.0, 2.0))
    assert (trace.delay_ms, trace.loss_pct) == ((61.0, 61.0, 61.0), (2.0, 2.0, 2.0))
    assert formats.parse(json.dumps({**body, "delays": [10, 20, 30]}), "x").delay_ms == (20.0, 20.0, 40.0)
    assert formats.parse(json.dumps({**body, "delays": []}), "x").delay_ms is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1\n2 2\n1 3\n", r"^f:3: time goes back \(1 s after 2 s\)"),
        ("0 1\n1 -2\n", r"^f:2: rate is negative \(-2\)"),
        ("0 1\n1 nan\n", r"^f:2: rate 'nan': not measured; say what holds there: --idle hold"),
        ("0 1\n1 inf\n", r"^f:2: rate is not finite \(inf\)"),
        ("0 1\n1 1e400\n", r"^f:2: rate is beyond all sense \(1e400\)"),
        ("0 1\n1 1_000\n", r"^f:2: rate is not a number \('1_000'\)"),
        ("0 1\n1\n", r"^f:2: 1 columns"),
        ("0 1\n", r"^f: 1 point; a trace needs"),
        ("0 1\n1 0\n", r"^f: .*every rate is 0"),
        ("", r"^f: no data"),
        ("hello\n", r"^f:1: not a known trace format \('hello'\)"),
        ("5\nx\n", r"^f:2: not a whole number of milliseconds \('x'\)"),
        ("5\n4\n", r"^f:2: time goes back \(4 ms after 5 ms\)"),
        ("0\n0\n", r"^f: no timestamp after 0"),
        ("time_s,throughput_mbps\n0,1\n1\n", r"^f:3: 1 columns"),
        (
            f'time_s,throughput_mbps\n0,1\n1,"{"2" * 140_000}"\n',
            r"^f:3: no line of a CSV file \(field larger",
        ),
        ('[\n{"duration_ms": 5, "bandwidth_kbps": 1},\n{"duration_ms": 5}]', r"^f:3: no bandwidth_kbps"),
        ('[{"duration_ms": 5, "bandwidth_kbps": 1},\n{"dura', r"^f:2: broken JSON .*cut off"),
        ('[{"duration_ms": 0, "bandwidth_kbps": 1}]', r"^f:1: duration_ms is 0"),
        ('[{"duration_ms": true, "bandwidth_kbps": 1}]', r"^f:1: duration_ms is not a number"),
        ('{"duration_ms": 1}', r"^f:1: not a JSON list"),
        ("[1]", r"^f:1: not an object \(1\)"),
        ("[1, 2]", r"^f:1: not an object \(1\)"),
        ('[{"duration_ms": 5, "bandwidth_kbps": 1}] x', r"^f:1: text after the list's end"),
        ("time_s,mbps,latency\n0,1,0\n1,1,20\n", r"^f:3: latency 20: milliseconds or seconds\? name"),
        ("time_s,mbps,loss\n0,1,0.5\n1,1,0\n", r"^f:2: loss 0.5: a share or per cent\? name"),
        ("time_s,mbps,owd_ms\n0,1,5\n1,1,5\n", r"^f:2: owd_ms 5: one way of two; name"),
        ("time_s,mbps,loss_rate\n0,1,5\n1,1,0\n", r"^f:2: loss_rate 5 is no share from 0 to 1"),
        ("time_s,mbps,loss_rate\n0,1,1\n1,1,0\n", r"^f:2: loss_rate: loss 100 %: nothing arrives"),
        ("time_s,mbps,rtt_s\n0,1,80\n1,1,80\n", r"^f:2: rtt_s: delay 80000 ms; write milliseconds"),
        (
            "time_s,mbps,rtt_ms\n0,1,80\n1,1,-\n",
            r"^f:3: rtt_ms '-': not measured; say what holds there: --idle hold",
        ),
        (
            "time_s,mbps,mbps\n0,1,2\n1,1,2\n",
            r"^f:1: rates in 2 columns alike \(2 mbps, 3 mbps\); say which: --column 2",
        ),
        (f"time_s,mbps{',x' * 10_000}\n0,1\n", r"^f:1: 10002 columns; a table has 10000 at most, keep"),
        (
            f'[{{"duration_ms": {"1" * 4301}, "bandwidth_kbps": 1}}]',
            r"^f:1: broken JSON \(a whole number of thousands of digits\); write",
        ),
        ("time_s,mbps,rtt_ms\n0,1,80\n1,1\n", r"^f:3: 2 columns; the header asks for 3"),
        (
            '[{"duration_ms": 5, "bandwidth_kbps": 1, "latency_ms": 2},\n'
            '{"duration_ms": 5, "bandwidth_kbps": 1}]',
            r"^f:2: no latency_ms, which the first object has",
        ),
        (
            '[{"duration_ms": 5, "bandwidth_kbps": 1},\n'
            '{"duration_ms": 5, "bandwidth_kbps": 1, "loss_pct": 1}]',
            r"^f:2: loss_pct begins here; give it to every object",
        ),
        ('{"timestamps": [0, 1]', r"^f:1: broken JSON .*cut off"),
        ('{"timestamps": [0, 1]}', r"^f:1: bandwidths is no list \(None\)"),
        ('{"timestamps": [0, 1], "bandwidths": [1]}', r"^f:1: 2 timestamps but 1 bandwidths"),
        ('{"timestamps": [0, 1], "bandwidths": [1, -1]}', r"^f:1: bandwidths\[1\] is -1"),
        ('{"timestamps": [0, true], "bandwidths": [1, 1]}', r"^f:1: timestamps\[1\] is not a number"),
        ('{"timestamps": [0, 0], "bandwidths": [1, 1]}', r"^f: 1 point; a trace needs"),
        (
            '{"timestamps": [0, 1, 2], "bandwidths": [1, 1, 1], "delays": [1, 2]}',
            r"^f:1: 2 delays for 3 timestamps",
        ),
        (
            '{"timestamps": [0, 1], "bandwidths": [1, 1], "delays": [6000]}',
            r"^f:1: delays\[0\], both ways: delay 12000 ms",
        ),
        ('{"timestamps": [0, 1], "bandwidths": [1, 1], "loss": 2}', r"^f:1: loss is 2; write a share"),
    ],
)
def test_errors_name_the_place_the_value_and_the_way_out(text: str, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        formats.parse(text, "f")


def test_bytes_that_are_no_text_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"^x:2: not text \(byte 0xff\)"):
        formats.parse(b"0 1\n\xff\x00", "x")
    with pytest.raises(TraceError, match="No such file"):
        formats.load(tmp_path / "none")
    with pytest.raises(TraceError, match="did you mean 'mahimahi'"):
        formats.parse("0 1\n1 2\n", "x", "mahimahy")
    assert formats.parse(b"\xef\xbb\xbf0 1\n1 2\n", "x").duration_s == 1.0


NUMBERS = ["0", "1", "2.5", "-1", "nan", "inf", "1e999", ""]
MARKS = ["[", "{", "]", "#", ",", ";", "\t", " ", '"', '{"duration_ms": 1, "bandwidth_kbps": 2}']
NAMES = ["time_s", "mbps", "timestamp", "duration_ms", "latency_ms", "loss", '{"timestamps": [0, 1]']
fields = st.one_of(
    st.sampled_from([*NUMBERS, *MARKS, *NAMES]),
    st.integers(-5, 10**20).map(str),
    st.text(max_size=5),
)
noise = st.lists(st.lists(fields, max_size=4), max_size=6).map(
    lambda lines: "\n".join(" ".join(line) for line in lines)
)
joined = st.lists(fields, max_size=12).map("".join)


@pytest.mark.parametrize("name", [None, *formats.FORMATS])
@settings(deadline=None)
@given(text=st.one_of(noise, joined, st.text(max_size=60)))
def test_noise_gives_a_trace_or_a_trace_error(name: str | None, text: str) -> None:
    try:
        trace = formats.parse(text, "noise", name)
    except TraceError as error:
        assert str(error).startswith("noise")
    else:
        assert trace.duration_s > 0


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_noise_in_bytes_gives_a_trace_or_a_trace_error(data: bytes) -> None:
    try:
        formats.parse(data, "noise")
    except TraceError as error:
        assert "noise" in str(error)


@settings(deadline=None)
@given(traces(), st.integers(0, 400), st.sampled_from("x-,;\t\n 0.e[{"))
def test_one_bad_character_in_a_good_file_gives_a_trace_or_a_trace_error(
    trace: Trace, at: int, character: str
) -> None:
    for format in formats.FORMATS.values():
        if format.name == "mahimahi" or format.write is None:
            continue
        text = format.write(trace)
        broken = text[: at % len(text)] + character + text[at % len(text) + 1 :]
        try:
            formats.parse(broken, "f")
        except TraceError as error:
            assert str(error).startswith("f")


@pytest.mark.parametrize("name", formats.WRITABLE)
def test_save_and_load(name: str, tmp_path: Path) -> None:
    trace = Trace("t", (0.0, 1.0, 2.0), (3.0, 3.0, 6.0))
    formats.save(trace, tmp_path / "t", name)
    back = formats.load(tmp_path / "t", name)
    assert back.megabits_until(2.0) == pytest.approx(9.0)
    with pytest.raises(TraceError, match="No such file"):
        formats.save(trace, tmp_path / "none" / "t", name)


@pytest.mark.parametrize("header", ["t,bytes", "time_s;rx_bytes", "timestamp rate_total bytes"])
def test_bytes_of_a_row_are_no_rate_and_what_to_do_is_said(tmp_path: Path, header: str) -> None:
    path = tmp_path / "b.csv"
    path.write_text(header + "\n0,1000\n1,2000\n2,3000\n")
    with pytest.raises(TraceError, match=r"bytes' counts what came, .* name that column bytes_per_second"):
        formats.load(path)


@pytest.mark.parametrize("each", formats.FORMATS.values(), ids=lambda each: each.name)
def test_every_format_says_that_it_takes_idle(each: formats.Format) -> None:
    assert "idle" in each.takes
