"""A small whole file of every trace format: those that are written, and those that are only read."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path

from traces import formats
from traces.families.catalogue import resolve
from traces.trace import Trace

_POINTS = 60


def _interval(begin: int) -> dict[str, object]:
    return {
        "streams": [],
        "sum": {"start": begin, "end": begin + 1, "seconds": 1, "bits_per_second": 5e6, "omitted": False},
    }


_IPERF_TEXT = "".join(
    f"[  5]   {n}.00-{n + 1}.00   sec  2.38 MBytes  {5 + n}.0 Mbits/sec    0    120 KBytes\n"
    for n in range(5)
)
_LINE_AND_DAY = "901,2016-06-01 00:10:{:02},http://www.example.com,192.0.2.7,1,1,{}\n"
READ_ONLY = {
    "bare": ("0;1.5\n1;2\n2;0\n3;4\n", "2024-05-01 12:00:00,1\n2024-05-01 12:00:01,2\n"),
    "byte_log": (
        "".join(f"{1290160552 + n} {7002 + 1000 * n} 59.85 10.78 {9000 * n} 1000\n" for n in range(5)),
        "".join(f"{1453121790686 + 1000 * n} {54 + 1000 * n} 250000 1000\n" for n in range(5)),
    ),
    "iperf": (
        json.dumps({"start": {}, "intervals": [_interval(n) for n in range(3)], "end": {}}),
        "\n".join(json.dumps({"event": "interval", "data": _interval(n)}) for n in range(3)),
        "[ ID] Interval           Transfer     Bitrate         Retr  Cwnd\n" + _IPERF_TEXT,
        "".join(f"20240501120000,192.0.2.2,4,192.0.2.1,5001,3,{n}.0-{n + 1}.0,1,90000\n" for n in range(4)),
    ),
    "listed": ("0.57,Mbits/sec\n500,Kbits/sec\n1.5,Mbits/sec\n",),
    "fcc": (
        "unit_id,dtime,target,address,fetch_time,bytes_total,bytes_sec\n"
        + "".join(_LINE_AND_DAY.format(n, 750000 + n) for n in range(4)),
        "".join(_LINE_AND_DAY.format(n, 750000 + n) for n in range(4)),
    ),
    "puffer": (
        "time (ns GMT),session_id,index,expt_id,channel,size,min_rtt,rtt,delivery_rate,buffer\n"
        + "".join(f"{1611878400105 + n}000000,aA=,0,3,x,9,9,9,{90000 + n},3\n" for n in range(4)),
    ),
    "lumos5g": (
        "run_num,seq_num,nrStatus,lte_rssi,Throughput,mobility_mode\n"
        + "".join(f"{1 + n // 3},{n % 3},x,-6,{n},walking\n" for n in range(6)),
    ),
}
"""By format: what people bring, short."""


def seeds(folder: Path) -> list[Path]:
    """Files of all formats, each as it is and one packed; no format is left out."""
    trace = _short(resolve("4g/0"))
    found = []
    for name, each in formats.FORMATS.items():
        texts = READ_ONLY[name] if each.write is None else (each.write(trace),)
        for number, text in enumerate(texts):
            path = folder / f"{name}-{number}.trace"
            path.write_text(text)
            assert formats.detect(text, str(path)).name == name
            formats.load(path)
            found.append(path)
    packed = folder / "packed.trace.gz"
    packed.write_bytes(gzip.compress(found[0].read_bytes(), mtime=0))
    return [*found, packed]


def _short(trace: Trace) -> Trace:
    return dataclasses.replace(
        trace, time_s=trace.time_s[:_POINTS], rate_mbps=trace.rate_mbps[:_POINTS], delay_ms=None
    )
