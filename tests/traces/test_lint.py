"""Lint, fault by fault: the line, the severity and the value are named."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces import formats
from traces.inspection import lint
from traces.trace import Trace, TraceError


def even(rates: list[float], step_s: float = 1.0) -> list[str]:
    """Lines of two-column text with a start line."""
    return [f"0 {rates[0]}", *(f"{(i + 1) * step_s:g} {rate}" for i, rate in enumerate(rates))]


def clean() -> list[str]:
    return even([1.0 + (i % 7) / 2 for i in range(100)])


def lint_lines(lines: list[str], end: str = "\n") -> list[lint.Fault]:
    return lint.lint_text("\n".join(lines) + end, "f")


def test_a_clean_file_has_no_findings() -> None:
    assert lint_lines(clean()) == []


@pytest.mark.parametrize(
    ("line", "text", "fault"),
    [
        (50, "30 1", "time goes back (30 s after 48 s)"),
        (50, "49 -3", "rate is negative (-3)"),
        (50, "49 nan", "rate 'nan': not measured"),
        (50, "49 -", "rate '-': not measured"),
        (50, "49 -inf", "rate is not finite (-inf)"),
        (50, "NaN 1", "time is not finite (NaN)"),
        (50, "49 abc", "rate is not a number ('abc')"),
        (50, "49", "1 columns"),
        (50, "49 1 2", "3 columns"),
        (50, "-49 1", "time is negative (-49)"),
    ],
)
def test_a_bad_line_is_one_error_with_its_line_and_value(line: int, text: str, fault: str) -> None:
    lines = clean()
    lines[line - 1] = text
    found = lint_lines(lines)
    assert [(each.line, each.severity) for each in found] == [(line, "error")]
    assert fault in found[0].fault
    assert str(found[0]).startswith(f"f:{line}: error: ")


def test_all_bad_lines_are_listed_not_just_the_first() -> None:
    lines = clean()
    lines[9], lines[19], lines[29] = "9 -1", "19 nan", "5 1"
    assert [each.line for each in lint_lines(lines)] == [10, 20, 30]


def test_very_many_faults_are_counted() -> None:
    lines = [line if i < 2 else f"{i} -1" for i, line in enumerate(clean())]
    found = [each for each in lint_lines(lines) if each.severity == "error"]
    assert len(found) == lint.MAX_SAME_FAULT + 1
    assert "79 more" in found[-1].fault


def test_a_file_cut_off_says_so() -> None:
    (found,) = lint_lines([*clean(), "101"], end="")
    assert found.line == 102 and "cut off" in found.fault


@pytest.mark.parametrize(
    ("factor", "severity", "fault"),
    [
        (1e3, "warning", "kbit/s taken as Mbit/s"),
        (1e6, "error", "kbit/s or bit/s taken as Mbit/s"),
        (1e-3, "warning", "too small by 1000"),
    ],
)
def test_rates_wrong_by_thousands(factor: float, severity: str, fault: str) -> None:
    rates = [(4.0 + i % 5) * factor for i in range(100)]
    found = [each for each in lint_lines(even(rates)) if "rates look" in each.fault]
    assert [each.severity for each in found] == [severity]
    assert fault in found[0].fault
    assert f"{sum(rates) / len(rates):g}" in found[0].fault


def test_times_wrong_by_thousands() -> None:
    slow = lint_lines(even([1.0 + i % 5 for i in range(100)], 1000.0))
    assert any("milliseconds taken as seconds (usual step 1000 s)" in each.fault for each in slow)
    fast = lint_lines(even([1.0 + i % 5 for i in range(100)], 0.001))
    assert any("seconds divided by 1000 (usual step 0.001 s)" in each.fault for each in fast)


@pytest.mark.parametrize("mark", [" ", "\t", ","])
def test_milliseconds_and_kbps_without_a_header(mark: str) -> None:
    lines = [f"{at * 1000}{mark}{1500 + at % 7}" for at in range(100)]
    found = lint_lines(lines)
    (said,) = (each for each in found if each.severity != "note")
    assert "taken for ms and kbit/s" in said.fault
    trace = formats.parse("\n".join(lines), "f")
    assert (trace.duration_s, trace.rate_mbps[-1]) == (99.0, 1.501)
    assert trace.assumed == (said.fault,)
    asked = formats.parse("\n".join(lines), "f", ":time_unit=s,unit=mbps")
    assert (asked.duration_s, asked.rate_mbps[-1]) == (99_000.0, 1501.0)


@pytest.mark.parametrize(
    "lines",
    [
        [f"{at * 900} {300 + at}" for at in range(100)],  # a router's counters, every 15 minutes
        ["0 500", "1000 500"],  # written by hand
        [f"{at * 1000} {1 + at % 7}" for at in range(100)],  # ms and Mbit/s, perhaps: that is only warned of
        [f"{at} {1500 + at}" for at in range(100)],
    ],
)
def test_seconds_and_mbps_stay_what_they_are(lines: list[str]) -> None:
    trace = formats.parse("\n".join(lines), "f")
    assert trace.duration_s == float(lines[-1].split()[0])
    assert trace.rate_mbps[-1] == float(lines[-1].split()[1])


@pytest.mark.parametrize("format", ["text", "cooked"])
def test_what_would_be_read_in_other_units_is_not_written_so(format: str, tmp_path: Path) -> None:
    times = tuple(1000.0 * at for at in range(40))
    trace = Trace("slow log", times, (500.0,) * 40)
    with pytest.raises(TraceError, match="would be read as milliseconds"):
        formats.save(trace, tmp_path / "f", format)
    formats.save(trace, tmp_path / "f.csv", "csv")
    assert formats.load(tmp_path / "f.csv") == dataclasses.replace(trace, name="f.csv")


def test_dead_start_long_outage_gap_and_too_short() -> None:
    (dead,) = lint_lines(even([0.0] * 8 + [2.0] * 92))
    assert (dead.line, dead.severity) == (2, "warning") and "dead start (dark for 8 s)" in dead.fault
    (dark,) = lint_lines(even([2.0] * 10 + [0.0] * 70 + [2.0] * 20))
    assert dark.line == 12 and "dark for 70 s" in dark.fault
    (gap,) = lint_lines([*clean()[:50], *clean()[80:]])
    assert gap.line == 51 and "gap in time (31 s where steps are 1 s)" in gap.fault
    (short,) = lint_lines(even([2.0] * 30))
    assert short.severity == "warning" and "too short (30 s)" in short.fault


def test_a_short_dark_start_is_no_finding() -> None:
    assert lint_lines(even([0.0] * 4 + [2.0] * 96)) == []


@pytest.mark.parametrize("text", ["", "what is this\n", "0 1\n", "0 1\n100 0\n", "[]", "time_s,speed\n0,1\n"])
def test_what_no_reader_takes_is_an_error(text: str) -> None:
    with pytest.raises(TraceError):
        formats.parse(text, "f")
    assert any(each.severity == "error" for each in lint.lint_text(text, "f"))


def test_other_formats_have_their_lines_too() -> None:
    stamps = [str(10 * i) for i in range(1, 7000)]
    assert lint.lint_text("\n".join(stamps), "f") == []
    stamps[99] = "3"
    (found,) = lint.lint_text("\n".join(stamps), "f")
    assert (found.line, found.severity) == (100, "error") and "3 ms after 990 ms" in found.fault
    items = [{"duration_ms": 1000, "bandwidth_kbps": 2000 + i} for i in range(100)]
    items[41]["bandwidth_kbps"] = -1
    text = "[\n" + ",\n".join(map(json.dumps, items)) + "\n]\n"
    (found,) = lint.lint_text(text, "f")
    assert found.line == 43 and "negative (-1)" in found.fault
    table = "time_ms,kbps\n" + "".join(f"{1000 * i},{2000 + i}\n" for i in range(100)) + "99000,5\n"
    (found,) = lint.lint_text(table, "f")
    assert (found.line, found.severity) == (102, "warning") and "rows of one time are averaged" in found.fault


def test_mahimahi_dead_start_and_equal_stamps() -> None:
    stamps = [20_000, 20_000, *range(20_000, 90_000, 5)]
    (found,) = lint.lint_text("\n".join(map(str, stamps)), "f")
    assert "dead start (dark for 19.5 s)" in found.fault or "dead start (dark for 20 s)" in found.fault


def test_an_unreadable_file_is_a_finding(tmp_path: Path) -> None:
    (found,) = lint.lint_file(tmp_path / "none")
    assert found.severity == "error" and "No such file" in found.fault
    (tmp_path / "bin").write_bytes(b"0 1\n\xff\xfe\x00")
    (found,) = lint.lint_file(tmp_path / "bin")
    assert found.line == 2 and "not text" in found.fault


words = st.sampled_from(["0", "1", "2", "5.5", "-1", "nan", "1e999", "x", "", "[", "time_s,mbps", ",", "\t"])


@settings(deadline=None)
@given(st.lists(st.lists(words, max_size=3).map(" ".join), max_size=8).map("\n".join))
def test_lint_finds_an_error_exactly_where_a_reader_refuses(text: str) -> None:
    refused = False
    try:
        formats.parse(text, "f")
    except TraceError:
        refused = True
    found = lint.lint_text(text, "f")
    errors = [each for each in found if each.severity == "error"]
    assert bool(errors) == refused
    for each in found:
        assert re.match(r"f:\d+: (error|warning|note): \S", str(each))


def csv_lines(header: str, row: str) -> list[str]:
    return [header, *(f"{second},{row}" for second in range(100))]


def test_delay_and_loss_are_noted_with_their_range_and_mean() -> None:
    lines = csv_lines("time_s,mbps,rtt_ms,loss_pct", "2,20,0")
    lines[-1] = "99,2,140,4.95"
    found = lint_lines(lines)
    assert [(fault.line, fault.severity) for fault in found] == [(2, "note"), (2, "note")]
    assert "delays of 20 to 140 ms, mean 21.2" in found[0].fault
    assert "loss of 0 to 4.95 %, mean 0.05" in found[1].fault


@pytest.mark.parametrize(
    ("header", "row", "fault"),
    [
        ("time_s,mbps,PINGAVG", "2,20", "column 'PINGAVG' is passed over"),
        ("time_s,mbps,delay_ms,rtt_ms", "2,20,20", "column 'rtt_ms' is passed over"),
        ("time_s,mbps,delay_ms", "2,0.02", "delays look like seconds taken as milliseconds (most 0.02 ms)"),
    ],
)
def test_columns_that_may_be_meant_otherwise_are_named(header: str, row: str, fault: str) -> None:
    found = [each for each in lint_lines(csv_lines(header, row)) if each.severity != "note"]
    assert [(each.line, each.severity) for each in found] == [(2, "warning")]
    assert fault in found[0].fault
