"""Files as people bring them: each public source's own format, and what is assumed of it is said."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma

import pytest

from traces import formats
from traces.inspection import lint
from traces.trace import Trace, TraceError

G_NET = "Timestamp,Longitude,Latitude,State,DL_bitrate,UL_bitrate\n"


def shape(trace: Trace) -> tuple[list[float], list[float]]:
    """Times and the rates that hold up to them, the start left out."""
    return [round(t, 6) for t in trace.time_s[1:]], [round(r, 6) for r in trace.rate_mbps[1:]]


def warned(text: str, format: str | None = None) -> list[str]:
    return [
        each.fault
        for each in lint.lint_text(text, "f", format)
        if each.severity == "warning" and "too short" not in each.fault
    ]


def test_rows_of_one_clock_second_are_averaged_with_a_warning() -> None:
    rows = (
        "10.00.00,0,0,D,2000,4",
        "10.00.01,0,0,D,13000,4",
        "10.00.01,0,0,D,11000,2",
        "10.00.03,0,0,D,9000,2",
    )
    text = G_NET + "".join(f"2020.01.01_{row}\n" for row in rows)
    assert shape(formats.parse(text, "f")) == ([1.0, 3.0], [12.0, 9.0])
    assert warned(text) == ["1 row has the time of the row before (first 1 s); rows of one time are averaged"]


@pytest.mark.parametrize(
    "text",
    [
        "0 1\n1 2\n1 4\n2 5\n",
        "0\t1\n1\t2\n1\t4\n2\t5\n",
        "time_s,mbps\n0,1\n1,2\n1,4\n2,5\n",
        "0,1\n1,2\n1,4\n2,5\n",
        '{"time_s": [0, 1, 1, 2], "mbps": [1, 2, 4, 5]}',
    ],
    ids=["text", "cooked", "csv", "bare", "json"],
)
def test_repeats_are_alike_for_every_reader(text: str) -> None:
    trace = formats.parse(text, "f")
    assert shape(trace) == ([1.0, 2.0], [3.0, 5.0])
    assert any("rows of one time are averaged" in words for words in trace.assumed)


def test_bandwidths_of_one_timestamp_are_averaged_before_they_hold() -> None:
    body = {"timestamps": [0, 1, 1, 2, 3], "bandwidths": [1, 2, 4, 5, 9], "delays": [1, 2, 4, 5, 9]}
    trace = formats.parse(json.dumps(body), "f")
    assert shape(trace) == ([1.0, 2.0, 3.0], [1.0, 3.0, 5.0])
    assert trace.delay_ms is not None and trace.delay_ms[1:] == (2.0, 6.0, 10.0)


@pytest.mark.parametrize(
    ("name", "mbps"),
    [
        ("throughput_MBps", 8.0),
        ("Throughput (MB/s)", 8.0),
        ("rate [kB/s]", 0.008),
        ("Bps", 8e-6),
        ("MiB/s", 8 * 1.048576),
        ("KiB/s", 8 * 1024e-6),
        ("bytes/s", 8e-6),
        ("bytes_per_second", 8e-6),
        ("rx_bytes_sec", 8e-6),
        ("Megabytes per second", 8.0),
        ("GBytes/sec", 8000.0),
        ("throughput_mbps", 1.0),
        ("Throughput (Mbit/s)", 1.0),
        ("Mb/s", 1.0),
        ("Mibit/s", 1.048576),
        ("throughputKbps", 0.001),
        ("kbit/s", 0.001),
        ("bits_per_second", 1e-6),
        ("Gbps", 1000.0),
        ("mbps_down", 1.0),
        ("Bandwidth (Mbit)", 1.0),
    ],
)
def test_a_unit_is_what_the_columns_name_says(name: str, mbps: float) -> None:
    text = f"time_s;{name}\n0;1000\n1;1000\n"
    assert formats.parse(text, "f").rate_mbps[1] == pytest.approx(1000 * mbps)


def test_bytes_by_a_capital_letter_are_said() -> None:
    assert warned("time_s,MBps\n0,1\n1,2\n") == ["column 'MBps': MBps is read as bytes, 8 bits each"]
    assert warned("time_s,mbps\n0,1\n1,2\n") == []


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("time_s,THROUGHPUT_MBPS", r"is MBPS Mbit/s or MB/s\? say which: --unit mbps or --unit MBps"),
        ("time_s,KBPS", r"is KBPS kbit/s or kB/s\? say which: --unit kbps or --unit kBps"),
        ("time_s,throughput", r"no unit in 'throughput'; say which, such as --unit kbps"),
        ("time_s,target_mbps,throughput_mbps", r"\(target_mbps, throughput_mbps\); say which: --column NAME"),
        ("time_s,dl_mbps,dl_max_mbps", r"\(dl_mbps, dl_max_mbps\); say which: --column NAME"),
        ("throughput_mbps,x", r"no column of time; name one time_s or timestamp, or .*--row-s 1"),
    ],
)
def test_a_name_that_leaves_a_choice_is_refused_with_both_readings(header: str, message: str) -> None:
    row = ",".join("1" for _ in header.split(","))
    with pytest.raises(TraceError, match=rf"^f:1: .*{message}"):
        formats.parse(f"{header}\n{row}\n{row}\n", "f")


def test_the_choice_is_a_persons_to_make() -> None:
    text = "time_s,target_mbps,throughput_mbps\n0,50,1\n1,50,2\n"
    assert formats.parse(text, "f", "csv:column=throughput_mbps").rate_mbps[1] == 2.0
    assert formats.parse(text, "f", formats.ReadOptions(column="2")).rate_mbps[1] == 50.0
    assert formats.parse("time_s,THROUGHPUT_MBPS\n0,1\n1,2\n", "f", ":unit=MBps").rate_mbps[1] == 16.0
    assert formats.parse("t,speed\n0,1\n1,2000\n", "f", ":unit=kbps").rate_mbps[1] == 2.0
    assert formats.parse("0 1\n1000 2000\n", "f", ":unit=kbps,time_unit=ms").rate_mbps[1] == 2.0
    assert formats.parse("mbps,x\n1,a\n3,b\n", "f", ":row_s=2").time_s == (0.0, 2.0, 4.0)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("csv:colum=x", "did you mean 'column'"),
        ("csv:idle=keep", "idle: 'keep'; write hold, zero or drop"),
        (":unit=MBPS", "write mbps or MBps"),
        (":unit=furlongs", "is no unit of a rate"),
        (":column=nothing", "no column 'nothing'; there are mbps"),
        (":bin_ms=20", "this file is in format csv, which has no option --bin-ms"),
        ("mahimahi:bin_ms=0", "a bin is 1 ms or longer"),
    ],
)
def test_an_option_that_says_nothing_is_refused(how: str, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        formats.parse("time_s,mbps\n0,1\n1,2\n", "f", how)


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("time_s,ul_mbps,dl_mbps", "dl_mbps"),
        ("time_s,Uplink (kbps),Downlink (kbps)", "Downlink (kbps)"),
        ("time_s,tx_kbps,rx_kbps", "rx_kbps"),
        ("time_s,sent_kbps,received_kbps", "received_kbps"),
        ("time_s,upload_kbps,throughput_kbps", "throughput_kbps"),
        ("time_s,link_speed_mbps,dl_kbps", "dl_kbps"),
    ],
)
def test_the_downlink_goes_first_and_lint_names_it(header: str, taken: str) -> None:
    place = header.split(",").index(taken)
    text = f"{header}\n" + "".join(f"{t},{1 + (place == 1)},{1 + (place == 2)}\n" for t in range(3))
    scale = 1.0 if "mbps" in taken else 1e-3
    assert formats.parse(text, "f").rate_mbps[1] == pytest.approx(2 * scale)
    notes = [each.fault for each in lint.lint_text(text, "f") if each.severity == "note"]
    assert any(f"column {taken!r} is the rate" in fault for fault in notes)


def test_an_uplink_alone_is_taken_and_said() -> None:
    assert warned("time_s,ul_mbps\n0,1\n1,2\n") == ["column 'ul_mbps' is an uplink's rate"]


IDLE = G_NET + (
    "2020.01.01_10.00.00,0,0,D,2000,42\n2020.01.01_10.00.01,0,0,I,-,-\n"
    "2020.01.01_10.00.02,0,0,I,,\n2020.01.01_10.00.03,0,0,D,9000,21\n"
)


@pytest.mark.parametrize(
    ("idle", "times", "rates"),
    [("hold", [1, 2, 3], [2, 2, 9]), ("zero", [1, 2, 3], [0, 0, 9]), ("drop", [3], [9])],
)
def test_idle_rows_carry_what_one_says(idle: str, times: list[float], rates: list[float]) -> None:
    assert shape(formats.parse(IDLE, "f", f":idle={idle}")) == (times, rates)
    assert any("2 rows without a measurement" in words for words in warned(IDLE, f":idle={idle}"))


@pytest.mark.parametrize("cell", ["-", "", "NaN", "nan", "N/A", "null", "None", "--", "?"])
def test_without_a_word_an_idle_row_is_refused_and_the_option_named(cell: str) -> None:
    text = f"time_s,mbps\n0,1\n1,{cell}\n2,3\n"
    with pytest.raises(
        TraceError, match=r"^f:3: .*not measured; .*--idle hold \(the rate before\), zero or drop"
    ):
        formats.parse(text, "f")
    assert shape(formats.parse(text, "f", ":idle=hold")) == ([1, 2], [1, 3])


def test_idle_is_alike_for_every_reader() -> None:
    for text in ("0 1\n1 -\n2 3\n", "0\t1\n1\tnan\n2\t3\n", "0;1\n1;\n2;3\n"):
        assert shape(formats.parse(text, "f", ":idle=hold")) == ([1, 2], [1, 3])
    sabre = '[{"duration_ms": 1000, "bandwidth_kbps": %s}, {"duration_ms": 1000, "bandwidth_kbps": null}]'
    assert shape(formats.parse(sabre % 5000, "f", ":idle=hold")) == ([1, 2], [5, 5])
    with pytest.raises(TraceError, match="bandwidth_kbps null: not measured"):
        formats.parse(sabre % 5000, "f")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2024/05/01 12:00:00", "2024/05/01 12:00:01"),
        ("2024-05-01 12:00:00.25", "2024-05-01 12:00:01.25"),
        ("2024-05-01T12:00:00Z", "2024-05-01T14:00:01+02:00"),
        ("01.05.2024 12:00:00", "01.05.2024 12:00:01"),
        ("05/01/2024 12:00:00", "05/01/2024 12:00:01"),
        ("31/01/2024 23:59:59", "01/02/2024 00:00:00"),
        ("01/31/2024 23:59:59", "02/01/2024 00:00:00"),
        ("5/1/24 11:59:59 AM", "5/1/24 12:00:00 PM"),
        ("2018.01.27_13.58.29", "2018.01.27_13.58.30"),
        ("1 May 2024 12:00:00", "1 May 2024 12:00:01"),
        ("Wed May  1 12:00:00 2024", "Wed May  1 12:00:01 2024"),
        ("20240501120000", "20240501120001"),
        ("23:59:59", "00:00:00"),
        ("1690000000", "1690000001"),
        ("1690000000.5", "1690000001.5"),
        ("1690000000000", "1690000001000"),
        ("1690000000000000", "1690000001000000"),
        ("1690000000000000000", "1690000001000000000"),
    ],
)
@pytest.mark.parametrize("name", ["timestamp", "time", "datetime", "Date", "epoch"])
def test_a_clock_is_read_in_its_own_form(name: str, first: str, second: str) -> None:
    text = f"{name};mbps\n{first};1\n{second};2\n"
    assert shape(formats.parse(text, "f")) == ([1.0], [2.0])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            "05/01/2024 12:00:00",
            "05/02/2024 12:00:00",
            r"day/month or month/day\?; write dates as 2024-05-01",
        ),
        (
            "yesterday",
            "today",
            r"no known date \('yesterday'\); write dates as 2024-05-01 12:00:00, 2024/05/01",
        ),
        ("2024-02-30 12:00:00", "2024-02-30 12:00:01", r"no date that there is .*; write 2024-05-01"),
    ],
)
def test_a_date_that_can_be_read_in_two_ways_or_none_is_refused(
    first: str, second: str, message: str
) -> None:
    with pytest.raises(TraceError, match=rf"^f:2: .*{message}"):
        formats.parse(f"timestamp,mbps\n{first},1\n{second},2\n", "f")


def test_a_clock_too_large_for_its_name_is_read_by_its_size_and_said() -> None:
    trace = formats.parse("time_s,mbps\n1690000000000,1\n1690000001000,2\n", "f")
    assert shape(trace) == ([1], [2]) and "read as 1/1000 s since 1970" in trace.assumed[0]
    assert shape(formats.parse("time_ms,mbps\n1690000000000,1\n1690000001000,2\n", "f")) == ([1], [2])


def test_date_and_time_in_two_columns_are_one() -> None:
    text = "Date,Time,mbps\n2024-05-01,23:59:59,1\n2024-05-02,00:00:01,2\n"
    assert shape(formats.parse(text, "f")) == ([2.0], [2.0])


@pytest.mark.parametrize(
    ("stamps", "mbps"), [("1", 12.0), ("1\n1", 24.0), ("1\n3", 8.0), ("# link\n\n2\n", 6.0)]
)
def test_a_period_of_a_few_milliseconds_is_a_constant_link(stamps: str, mbps: float) -> None:
    trace = formats.parse(stamps, "f", "mahimahi")
    assert trace.rate_mbps == pytest.approx((mbps, mbps)) and trace.duration_s == 60.0
    (found,) = lint.lint_text(stamps, "f", "mahimahi")
    assert (found.severity, found.fault) == ("note", f"a constant link of {mbps:g} Mbit/s")


FCC = (
    "unit_id,dtime,target,address,fetch_time,bytes_total,bytes_sec,objects\n"
    "901,2016-06-01 00:10:12,http://www.example.com,192.0.2.7,1,1,750000,60\n"
    "902,2016-06-01 00:11:44,http://www.example.net,192.0.2.9,1,1,250000,60\n"
    "901,2016-06-01 02:10:31,http://www.example.com,192.0.2.7,1,1,800000,60\n"
)


@pytest.mark.parametrize("text", [FCC, FCC.partition("\n")[2]], ids=["named", "bare"])
def test_fcc_tests_of_one_line_and_target_are_five_seconds_each(text: str) -> None:
    trace = formats.parse(text, "f")
    assert shape(trace) == ([5.0, 10.0], [6.0, 6.4])
    assert len(trace.assumed) == 2 and "902 http://www.example.net" in trace.assumed[0]
    assert shape(formats.parse(text, "f", ":part=902,row_s=60")) == ([60.0], [2.0])
    with pytest.raises(TraceError, match="--part 9 names 2 of the lines and targets"):
        formats.parse(text, "f", ":part=9")


def test_fcc_multi_thread_tests_have_a_rate_an_interval() -> None:
    text = (
        "unit_id,dtime,target,address,fetch_time,bytes_total,bytes_sec,bytes_sec_interval,warmup_time\n"
        "7,2016-06-01 00:10:12,a,b,1,1,1,125000,0\n7,2016-06-01 00:10:17,a,b,1,1,1,250000,0\n"
    )
    assert shape(formats.parse(text, "f")) == ([5.0, 10.0], [1.0, 2.0])
    old = text.replace("125000", "NULL").replace("250000", "NULL")
    assert shape(formats.parse(old.replace(",1,1,1,", ",1,1,500000,"), "f")) == ([5.0, 10.0], [4.0, 4.0])


def test_puffer_sessions_count_bytes_and_nanoseconds() -> None:
    header = "time (ns GMT),session_id,index,expt_id,channel,size,min_rtt,rtt,delivery_rate,buffer\n"
    rows = [(0, "aA=", 100_000), (1, "bB=", 500_000), (2, "aA=", 200_000), (4, "aA=", 400_000)]
    body = "".join(
        f"{1611878400105000000 + s * 10**9},{name},0,3,x,9,9,9,{rate},3\n" for s, name, rate in rows
    )
    trace = formats.parse(header + body, "f")
    assert trace.time_s == pytest.approx((0, 2, 4)) and trace.rate_mbps[1:] == pytest.approx((1.6, 3.2))
    assert "2 sessions' streams in one file; read is aA= 0" in trace.assumed[0]


def test_lumos5g_runs_are_rows_a_second() -> None:
    header = "run_num,seq_num,nrStatus,lte_rssi,Throughput,mobility_mode\n"
    text = header + "1,1,x,-6,0,walking\n1,2,x,-6,18,walking\n2,1,x,-6,7,d\n2,2,x,-6,8,d\n2,3,x,-6,9,d\n"
    assert shape(formats.parse(text, "f")) == ([1, 2, 3], [7, 8, 9])
    assert shape(formats.parse(text, "f", "lumos5g:part=1")) == ([1, 2], [0, 18])


@pytest.mark.parametrize("place", ["59.85 10.78 ", "", "- - "])
def test_byte_logs_hold_bytes_over_their_milliseconds(place: str) -> None:
    oslo = "".join(f"{1290160552 + n} {7002 + 1000 * n} {place}{125000 * (n + 1)} 1000\n" for n in range(4))
    assert shape(formats.parse(oslo, "f")) == ([1, 2, 3, 4], [1, 2, 3, 4])
    ghent = "".join(f"{1453121790686 + 1000 * n} {54 + 1000 * n} 51.0 3.7 250000 1000\n" for n in range(3))
    assert shape(formats.parse(ghent, "f")) == ([1, 2, 3], [2, 2, 2])


def test_a_byte_logs_line_of_no_time_counts_for_the_next() -> None:
    text = "5 1000 0 0 125000 1000\n5 1000 0 0 125000 0\n6 2000 0 0 125000 1000\n7 3000 0 0 125000 1000\n"
    trace = formats.parse(text, "f", "byte_log")
    assert shape(trace) == ([1, 2, 3], [1, 2, 1]) and "1 line of 0 ms" in trace.assumed[0]


def interval(begin: int, mbps: float, **more: object) -> dict[str, object]:
    total = {"start": begin, "end": begin + 1, "seconds": 1, "bits_per_second": mbps * 1e6, "omitted": False}
    return {"streams": [], "sum": {**total, **more}}


def test_iperf3_json() -> None:
    report = {"start": {"version": "iperf 3.12"}, "intervals": [interval(0, 10), interval(1, 20)], "end": {}}
    assert shape(formats.parse(json.dumps(report), "f")) == ([1, 2], [10, 20])
    slow = [interval(0, 99, omitted=True), interval(0, 10), interval(1, 20)]
    assert shape(formats.parse(json.dumps({**report, "intervals": slow}), "f")) == ([1, 2], [10, 20])
    both = [{**interval(n, 1), "sum_bidir_reverse": interval(n, 30)["sum"]} for n in range(2)]
    assert shape(formats.parse(json.dumps({**report, "intervals": both}), "f")) == ([1, 2], [30, 30])
    lines = [
        {"event": "start", "data": {}},
        *({"event": "interval", "data": interval(n, 5)} for n in range(2)),
    ]
    assert shape(formats.parse("\n".join(map(json.dumps, lines)), "f")) == ([1, 2], [5, 5])
    failed = {"start": {}, "intervals": [], "error": "unable to connect"}
    with pytest.raises(TraceError, match=r"^f:1: iperf3 ended with an error \(unable to connect\)"):
        formats.parse(json.dumps(failed), "f")


IPERF3 = """Connecting to host 192.0.2.1, port 5201
[  5] local 192.0.2.2 port 40000 connected to 192.0.2.1 port 5201
[ ID] Interval           Transfer     Bitrate         Retr  Cwnd
[  5]   0.00-1.00   sec   119 KBytes   976 Kbits/sec    0    120 KBytes
[  5]   1.00-2.00   sec  2.38 MBytes  20.0 Mbits/sec    0    120 KBytes
[  5]   2.00-3.00   sec  2.38 MBytes  2.50 MBytes/sec    0    120 KBytes
- - - - - - - - - - - - - - - - - - - - - - - - -
[ ID] Interval           Transfer     Bitrate         Retr
[  5]   0.00-3.00   sec  6.00 MBytes  16.0 Mbits/sec    0             sender
[  5]   0.00-3.04   sec  5.90 MBytes  15.8 Mbits/sec                  receiver

iperf Done.
"""


def test_iperf3_text() -> None:
    assert shape(formats.parse(IPERF3, "f")) == ([1, 2, 3], [0.976, 20, 20])
    assert shape(formats.parse("$ iperf3 -c 192.0.2.1 -t 3\n" + IPERF3, "f"))[1] == [0.976, 20, 20]
    stamped = "".join(f"Wed May  1 12:00:00 2024 {line}\n" for line in IPERF3.splitlines())
    assert shape(formats.parse(stamped, "f"))[1] == [0.976, 20, 20]
    many = "".join(
        f"[  {i}]   {n}.00-{n + 1}.00   sec  1 MBytes  {i}.0 Mbits/sec\n" for n in range(2) for i in (5, 7)
    )
    assert shape(formats.parse(many, "f"))[1] == [12, 12]
    summed = many + "".join(f"[SUM]   {n}.00-{n + 1}.00   sec  1 MBytes  13.0 Mbits/sec\n" for n in range(2))
    assert shape(formats.parse(summed, "f"))[1] == [13, 13]
    roles = "".join(
        f"[  5][{role}]   {n}.00-{n + 1}.00   sec  1 MBytes  {rate} Mbits/sec\n"
        for n in range(2)
        for role, rate in (("TX-C", 1), ("RX-C", 9))
    )
    assert shape(formats.parse(roles, "f"))[1] == [9, 9]


def test_iperf2_text_and_csv() -> None:
    text = "".join(f"[  3] {n}.0- {n + 1}.0 sec  1.25 MBytes  {10 + n}.0 Mbits/sec\n" for n in range(3))
    assert shape(formats.parse(text + "[  3]  0.0- 3.0 sec  3.9 MBytes  11.0 Mbits/sec\n", "f"))[1] == [
        10,
        11,
        12,
    ]
    rows = [(0, 1, 10), (1, 2, 20), (0, 2, 15)]
    table = "".join(
        f"20240501120000,192.0.2.2,40000,192.0.2.1,5001,3,{b}.0-{e}.0,1,{r}000000\n" for b, e, r in rows
    )
    assert shape(formats.parse(table, "f")) == ([1, 2], [10, 20])


def test_several_iperf_tests_are_parts() -> None:
    one = "".join(f"[  5]   {n}.00-{n + 1}.00   sec  1 MBytes  {5 + n}.0 Mbits/sec\n" for n in range(3))
    two = (
        "[  5]   0.00-1.00   sec  1 MBytes  1.0 Mbits/sec\n[  5]   1.00-2.00   sec  1 MBytes  2.0 Mbits/sec\n"
    )
    trace = formats.parse(one + "-----------\n" + two, "f")
    assert shape(trace)[1] == [5, 6, 7] and "2 tests in one file" in trace.assumed[0]
    assert shape(formats.parse(one + two, "f", "iperf:part=2"))[1] == [1, 2]


def test_rates_alone_are_a_second_each() -> None:
    text = "0.57,Mbits/sec\n500,Kbits/sec\n1.5,Mbits/sec\n"
    trace = formats.parse(text, "f")
    assert shape(trace) == ([1, 2, 3], [0.57, 0.5, 1.5]) and "taken for a second" in trace.assumed[0]
    assert shape(formats.parse("Bandwidth,Unit\n" + text, "f")) == shape(trace)
    with pytest.raises(TraceError, match=r"^f:4: rate '': not measured"):
        formats.parse(text + ",Mbits/sec\n", "f")
    assert shape(formats.parse("3.5\n4.5\n", "f", ":unit=mbps")) == ([1, 2], [3.5, 4.5])


@pytest.mark.parametrize(
    ("text", "times", "rates"),
    [
        ("1690000000.000,12.4\n1690000001.500,13.4\n", [1.5], [13.4]),
        ("0,1\n1,2\n2,3\n", [1, 2], [2, 3]),
        ("0;1,5\n1,5;2,5\n", [1.5], [2.5]),
        ("1690000000000|1\n1690000002000|2\n", [2], [2]),
        ("2024-05-01 12:00:00,1\n2024-05-01 12:00:01,2\n", [1], [2]),
    ],
)
def test_two_columns_without_names_are_taken_and_said(
    text: str, times: list[float], rates: list[float]
) -> None:
    assert formats.detect(text, "f").name == "bare"
    trace = formats.parse(text, "f")
    assert shape(trace) == (times, rates) and "columns have no names" in trace.assumed[0]


def test_more_columns_without_names_are_counted() -> None:
    text = "0,7,1.5\n1,7,2.5\n"
    with pytest.raises(TraceError, match=r"^f:1: 3 columns without names .*--column 2"):
        formats.parse(text, "f")
    assert shape(formats.parse(text, "f", "bare:column=3")) == ([1], [2.5])


@pytest.mark.parametrize(
    "text",
    [
        "1700000000 5\n1700000001 4\n1700000002 3\n",
        "1700000000000 5\n1700000001000 4\n1700000002000 3\n",
        "-1 5\n0 4\n1 3\n",
        "time_s,mbps\n1700000000,5\n1700000001,4\n1700000002,3\n",
    ],
)
def test_a_clock_where_time_should_count_from_0_is_taken_and_said(text: str) -> None:
    trace = formats.parse(text, "f")
    assert shape(trace) == ([1, 2], [4, 3])
    assert any("the first row is taken for the start" in words for words in trace.assumed)


TABLE = "time_s,throughput_mbps\n0,1\n1,2\n2,3\n"


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(TABLE.encode(), mtime=0),
        bz2.compress(TABLE.encode()),
        lzma.compress(TABLE.encode()),
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        TABLE.encode("utf-16-le"),
        TABLE.encode("utf-16-be"),
        TABLE.encode("utf-32"),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.replace("\n", "\r").encode(),
        TABLE.replace(",", ";").encode(),
        TABLE.replace(",", "\t").encode(),
        TABLE.replace(",", "|").encode(),
        TABLE.replace(",", "   ").encode(),
        TABLE.replace(",", " , ").encode(),
        TABLE.replace("\n", ",\n").encode(),
        b"sep=,\n" + TABLE.encode(),
        b"Drive 7, bus 12\nphone: A, B\n\n" + TABLE.encode(),
        TABLE.encode() + b"# end of log\n",
        TABLE.replace("2\n2", "2 # handover\n2").encode(),
        TABLE.replace("time_s,", "% comment\n// more\ntime_s,").encode(),
        ("# " + TABLE).encode(),
        b'"time_s","throughput_mbps"\n"0","1"\n"1","2"\n"2","3"\n',
        json.dumps({"time_s": [0, 1, 2], "throughput_mbps": [1, 2, 3]}).encode(),
        b'{"time_s": 0, "mbps": 1}\n{"time_s": 1, "mbps": 2}\n{"time_s": 2, "mbps": 3}\n',
    ],
)
def test_a_table_is_the_same_however_it_was_saved(data: bytes) -> None:
    assert shape(formats.parse(data, "f")) == ([1, 2], [2, 3])


def test_bytes_of_windows_are_read_and_said() -> None:
    trace = formats.parse("time_s,place,mbps\n0,Stra\u00dfe,1\n1,x,2\n".encode("cp1252"), "f")
    assert shape(trace) == ([1], [2]) and "read as Windows-1252" in trace.assumed[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04rest", "ZIP archive or an Excel workbook; unpack it"),
        (b"%PDF-1.4", "a PDF"),
        (b"<!DOCTYPE html><html></html>", "this is an HTML page: a download that failed?"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (gzip.compress(TABLE.encode(), mtime=0)[:-12], "gzip that does not unpack"),
        (b'{"a": 1, "b": 2}', r"an object of 'a', 'b'; a trace is a list .*iperf3 --json"),
        (b"0 1\n\xff\x00\x01", r"not text \(byte 0xff\)"),
    ],
)
def test_what_is_no_trace_is_told_what_it_is(data: bytes, message: str) -> None:
    with pytest.raises(TraceError, match=rf"^f.*{message}"):
        formats.parse(data, "f")


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ('time_s,kbps\n0,"1,234.5"\n1,"2,345.5"\n', [2.3455]),
        ("time_s;kbps\n0;1.234,5\n1;2.345\n", [2.345]),
        ("time_s;kbps\n0;1 234,5\n1;2\u00a0345,5\n", [2.3455]),
        ("time_s;kbps\n0;1'234.5\n1;2'345.5\n", [2.3455]),
        ('time_s,kbps\n0,"1,234,567"\n1,"1,000"\n', [1.0]),
        ("0 1,5\n1 2,5\n", [2.5]),
    ],
)
def test_thousands_and_decimal_commas(text: str, rates: list[float]) -> None:
    assert formats.parse(text, "f").rate_mbps[1:] == pytest.approx(rates)


def test_a_comma_that_may_be_either_is_refused() -> None:
    with pytest.raises(TraceError, match=r"'1,234': a decimal comma or thousands\? write it without a comma"):
        formats.parse('time_s,kbps\n0,"1,234"\n1,"2,345"\n', "f")


def test_a_comment_names_the_columns() -> None:
    assert shape(formats.parse("# time_ms,rate_kbps\n0,1000\n500,2000\n", "f")) == ([0.5], [2])
    assert shape(formats.parse("# seconds throughput_kbps\n0 1000\n1 2000\n", "f")) == ([1], [2])


@pytest.mark.parametrize(
    ("text", "assumed"),
    [
        ("time,throughput\ns,Mbps\n0,1\n1,2\n2,3\n", ""),
        ("time,throughput\n0,1 Mbps\n1,2000 kbps\n2,3 Mbps\n", ""),
        ("time_s,mbps\n0,1\n1,2\ntime_s,mbps\n2,3\n", "the header stands here again"),
        ("time_s,mbps\n0,1\n1,2\n2,3\nTotal,,\nAverage: 2\n", "2 lines after the last row passed over"),
        ("Interval,Bandwidth (Mbits/sec)\n0.0-1.0,2\n1.0-2.0,3\n", ""),
        ("start_s,end_s,mbps\n0,1,2\n1,2,3\n", ""),
        (",mbps\n0,1\n1,2\n2,3\n", "column '' is taken for seconds"),
        ("Zeit;Durchsatz (Mbit/s)\n0;1,0\n1;2,0\n2;3,0\n", ""),
        ("[[0, 1], [1, 2], [2, 3]]", "pairs have no names"),
        ('{"name": "x", "trace": [{"time_s": 1, "mbps": 2}, {"time_s": 2, "mbps": 3}]}', ""),
        ("time_s,mbps,loss_pct\n1,2,0%\n2,3,1.5%\n", ""),
    ],
)
def test_tables_are_read_as_people_write_them(text: str, assumed: str) -> None:
    trace = formats.parse(text, "f")
    assert shape(trace) == ([1, 2], [2, 3])
    assert assumed in " ".join(trace.assumed) and bool(assumed) == bool(trace.assumed)


def test_a_byte_logs_clock_counts_where_its_milliseconds_jump() -> None:
    rows = [(100, 5000), (101, 6000), (102, 7000), (110, 400), (111, 1400), (112, 2400)]
    text = "".join(f"{1290160000 + clock} {timer} 0 0 125000 1000\n" for clock, timer in rows)
    trace = formats.parse(text, "f")
    assert shape(trace)[0] == [1, 2, 3, 11, 12, 13] and "milliseconds jump 1 time" in trace.assumed[0]


def test_a_byte_logs_lines_of_one_moment_are_added_up() -> None:
    rows = [(1000, 125_000, 1000), (2000, 125_000, 900), (2000, 25_000, 100), (3000, 250_000, 1000)]
    text = "".join(f"1290160552 {at} 0 0 {amount} {span}\n" for at, amount, span in rows)
    trace = formats.parse(text, "f", "byte_log")
    assert shape(trace) == ([1, 2, 3], [1, 1.2, 2]) and "1 line of the moment" in trace.assumed[0]


def test_rates_alone_need_their_unit() -> None:
    with pytest.raises(TraceError, match=r"^f:1: rates alone \('1.5'\).* such as --unit mbps"):
        formats.parse("1.5\n2.5\n", "f")


def test_a_long_table_is_read_in_one_pass() -> None:
    rows = 50_000
    text = G_NET + "".join(f"{1690000000 + n},0,0,D,{n % 977},4\n" for n in range(rows))
    trace = formats.parse(text, "f")
    assert trace.duration_s == rows - 1
