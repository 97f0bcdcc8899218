"""Long files of plain numbers: read by columns, and by rows wherever there is more to say."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces import formats
from traces.formats import cooked, mahimahi, plain_columns, table, two_column
from traces.formats.plain_columns import Body, Columns
from traces.formats.reading import AS_FOUND, reading_of
from traces.formats.rows import build, uncollected
from traces.inspection import lint
from traces.trace import TraceError

READERS = {"text": two_column, "cooked": cooked, "csv": table, "mahimahi": mahimahi}
FIELDS = st.one_of(
    st.floats(0, 1e4, allow_nan=False).map(repr),
    st.integers(0, 3000).map(str),
    st.sampled_from(
        ["", "-", "nan", "1_000", "1e400", "-3", "+4.5", "1,5", ".5", "7.", "1e-3", "٣", "#", " 2 ", "x"]
    ),
)
HEADERS = (
    "time_s,throughput_mbps",
    "timestamp,dl_kbps",
    "duration_ms,bandwidth_MBps",
    "time_ms,rate_mbps,delay_ms",
)


@pytest.fixture(autouse=True)
def _every_length(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (plain_columns, table, mahimahi):
        monkeypatch.setattr(module, "LONG", 0)


def by_rows(name: str, text: str, how: str | None = None) -> str:
    try:
        trace = build(READERS[name].scan(text, reading_of(how)), "f")
    except TraceError as error:
        return str(error)
    return repr((trace.columns, trace.assumed))


def by_columns(name: str, text: str, how: str | None = None) -> str | None:
    found: Columns | None = READERS[name].quick(text, reading_of(how))
    if found is None:
        return None
    try:
        trace = found.trace("f")
    except TraceError as error:
        return str(error)
    return repr((trace.columns, trace.assumed))


@pytest.mark.parametrize(
    ("name", "text", "how"),
    [
        ("text", "0 1\n1 2.5\n2 0\n", None),
        ("text", "# time rate\n\n10 1\n11 2\n12 3", "text:unit=kbps"),
        ("text", "400 1\n401 2\n402 3\n", None),
        ("text", "1714500000 1\n1714500001 2\n1714500002 1.5\n", None),
        ("text", "-3 1\n-2 2\n0 3\n", None),
        ("text", "0 1\r\n1e3 2\r\n3e3 4\r\n", "text:time_unit=ms"),
        ("text", "".join(f"{at * 1000} {1500 + at}\n" for at in range(40)), None),
        ("cooked", "7.5\t1\n8\t2\n9.25\t3\n", None),
        ("csv", "time_s,throughput_mbps,cell\n0,1,a\n1,2,b\n2,3,c\n", None),
        ("csv", "log\nts;x;dl_kbps;rtt_ms;plr;ping\n1714500000000;a;9;2;0;1\n1714500001000;;8;3;.5;\n", None),
        ("csv", "duration_ms bandwidth_MBps\n500 0.1\n250 0.2\n", None),
        ("csv", "time,rate_mbps\n2024-05-01 12:00:00,1\n2024-05-01 12:00:01.5,2\n", None),
        ("csv", "date,time,rate_mbps\n2024-05-01, 12:00:00,1\n2024-05-01, 12:00:01.5,2\n", None),
        ("csv", "timestamp,rate_mbps\n12:00:00,1\n12:00:01,2\n", None),
        ("csv", "rate_mbps,n\n1,5\n3,4\n", "csv:row_s=2"),
        ("csv", "# time_s\trate_mbps\n0\t1\n2\t3\n", None),
    ],
)  # fmt: skip
def test_it_reads_what_the_rows_say(name: str, text: str, how: str | None) -> None:
    found = by_columns(name, text, how)
    assert found is not None
    assert found == by_rows(name, text, how)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("text", "0 1\n1 2\n1 3\n2 4\n", "rows of one time"),
        ("text", "0 1\n2 2\n1 3\n", "f:3: time goes back"),
        ("text", "0 1\n1 -2\n2 3\n", "f:2: rate is negative"),
        ("text", "0 1\n1\n2 3 4\n", "f:2: 1 columns"),
        ("text", "0 1\n1 nan\n2 3\n", "not measured"),
        ("text", "0 1\n1 2 # tunnel\n2 3\n", "1.0, 2.0)"),
        ("csv", 'time_s,rate_mbps\n0,1\n1,"2"\n2,3\n', "1.0, 2.0)"),
        ("csv", "time_s,rate_mbps\n0,1\n\n1,x\n2,3\n", "f:4: rate is not a number"),
        ("csv", "time_s,rate_mbps\n0,1\n1,2\ntotal,3\n", "after the last row"),
        ("csv", "time_s,rate_mbps\n0,1\ntime_s,rate_mbps\n1,2\n", "stands here again"),
        ("csv", "time_s,rate_mbps,delay_ms\n0,1,5\n1,2,99999\n2,3,4\n", "f:3: delay_ms: delay 99999"),
        ("mahimahi", "1\n3\n2\n", "f:3: time goes back"),
        ("mahimahi", f"1\n{'9' * 5000}\n", "f:2: not a whole number"),
        ("mahimahi", "1\n3x\n4\n", "f:2: not a whole number"),
    ],
)
def test_where_there_is_more_to_say_the_rows_are_read(name: str, text: str, fault: str) -> None:
    assert by_columns(name, text) is None
    try:
        said = repr(READERS[name].read(text, "f", AS_FOUND).assumed + READERS[name].read(text, "f").time_s)
    except TraceError as error:
        said = str(error)
    assert fault in said


@given(
    name=st.sampled_from(["text", "cooked", "csv"]),
    header=st.sampled_from(HEADERS),
    rows=st.lists(st.lists(FIELDS, min_size=2, max_size=3), min_size=1, max_size=6),
    rising=st.booleans(),
)
def test_whatever_it_reads_is_what_the_rows_say(
    name: str, header: str, rows: list[list[str]], rising: bool
) -> None:
    mark = {"text": " ", "cooked": "\t", "csv": ","}[name]
    if rising:
        rows = [[str(at), *row[1:]] for at, row in enumerate(rows, start=1)]
    lines = [mark.join(row) for row in rows]
    text = "\n".join([header, *lines] if name == "csv" else lines)
    found = by_columns(name, text)
    assert found is None or found == by_rows(name, text)


def test_parts_of_a_file_make_one_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_columns, "_PART", 7)
    text = "".join(f"{at},{at % 5},x\n" for at in range(200)).rstrip("\n")
    assert Body(text, 1, ",").columns((0, 1)) == [
        [str(at) for at in range(200)],
        [str(at % 5) for at in range(200)],
    ]


def test_mahimahi_counts_the_same_packets() -> None:
    text = "".join(f"{at // 3}\n" for at in range(9000))
    quick = mahimahi.read(text, "f")
    assert quick == mahimahi.read("# opportunities\n" + text.replace("\n", " \n"), "f")
    assert quick.mean_mbps == pytest.approx(36, rel=0.01)


@pytest.mark.parametrize(
    "text",
    [
        "time_s,rate_mbps,delay_ms\n" + "".join(f"{at},{at % 7},0.02\n" for at in range(1, 30)),
        "".join(f"{at * 1000} {3000 + at}\n" for at in range(30)),
        "".join(f"{at} {0 if at < 20 else 3}\n" for at in range(90)),
        "".join(f"{at // 2}\n" for at in range(9000)),
    ],
)
def test_lint_finds_the_same_either_way(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = lint.lint_text(text, "f")
    for module in (plain_columns, table, mahimahi):
        monkeypatch.setattr(module, "LONG", 1 << 30)
    assert quick == lint.lint_text(text, "f")


def test_objects_are_not_looked_through_while_rows_are_made() -> None:
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_long_file_goes_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("read by rows")

    text = "".join(f"{at} {at % 9 + 1}\n" for at in range(1000))
    monkeypatch.setattr(two_column, "scan_pairs", never)
    assert formats.parse(text, "f").duration_s == 999


def test_who_waits_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "f.log"
    path.write_text("0 1\n1 2\n")
    formats.load(path)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(formats, "_LARGE", 4)
    formats.load(path)
    assert capsys.readouterr().err == f"{path}: 0 MiB; reading it takes some seconds\n"
