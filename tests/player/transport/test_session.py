"""A whole session over each protocol: its record holds what was negotiated, comparisons tell them apart."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.outcomes import outcome_of
from analysis.sessions import SessionRecord
from analysis.tables.collect import session_row
from player.qoe import Scoring
from player.record import read_record
from player.video.video import Video
from tests.player.transport.test_other_servers import Plain
from tests.support.session_records import write_session
from tests.support.stream_servers import LOCAL, need_transport, origin, over_tls

need_transport()

ROOT = Path(__file__).resolve().parents[3]
SHORT = Video("short", 0.2, (100, 400), ((2000, 8000),) * 3)


async def played(url: str, record: Path, *words: str) -> tuple[int, str]:
    """`python -m player`: its exit status, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "player", url, "--policy", "bba", "--out", str(record), "--json", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, said.decode()


@pytest.mark.parametrize("transport", ["h2", "h3"])
def test_a_session_is_played_and_recorded(transport: str, tmp_path: Path) -> None:
    record = tmp_path / "a.jsonl"

    async def work() -> tuple[int, str]:
        async with origin(transport, videos=(SHORT,)) as (url, trusted):
            ca = tmp_path / "ca.pem"
            ca.write_text(trusted)
            words = ("--transport", transport, "--ca", str(ca))
            return await played(f"{url}/short/manifest.mpd", record, *words)

    status, said = asyncio.run(work())
    assert status == 0, said
    told = read_record(record).told
    assert told.player is not None and told.player.transport is not None
    assert told.player.transport["asked"] == told.player.transport["negotiated"] == transport
    assert told.player.congestion_control
    assert set(told.versions or {}) >= {{"h2": "h2", "h3": "aioquic"}[transport]}
    assert "was asked for" not in said


def test_a_server_that_speaks_less_is_told_in_a_line(tmp_path: Path) -> None:
    async def work() -> tuple[int, str]:
        async with over_tls(Plain, "http/1.1") as (url, trusted):
            (tmp_path / "ca.pem").write_text(trusted)
            words = ("--transport", "h2", "--ca", str(tmp_path / "ca.pem"))
            return await played(f"{url}/a.mpd", tmp_path / "a.jsonl", *words)

    status, said = asyncio.run(work())
    assert status == 2 and "a.mpd: " in said  # (what it serves is no MPD)
    assert LOCAL in said


def record_of(path: Path, transport: dict[str, Any] | None, **link: Any) -> SessionRecord:
    player = {} if transport is None else {"player": {"transport": transport}}
    facts = {"rtt_ms": 80.0, "congestion_control": "cubic", **link}
    write_session(path, link=facts, simulated=False, **player)
    return SessionRecord(read_record(path))


def test_sessions_by_another_protocol_or_manager_are_no_pairs(tmp_path: Path) -> None:
    spoken = {"asked": "h3", "negotiated": "h3", "quic": "1"}
    plain = record_of(tmp_path / "a.jsonl", None)
    quic = record_of(tmp_path / "b.jsonl", spoken)
    other_quic = record_of(tmp_path / "c.jsonl", {**spoken, "quic": "2"})
    managed = record_of(tmp_path / "d.jsonl", None, aqm="codel")
    cases = [outcome_of(one, Scoring()).case for one in (plain, quic, other_quic, managed)]
    assert cases[1] == cases[2] and len(set(cases)) == 3
    labels = [case.link_label for case in cases if case is not None]
    assert [label.removeprefix("emulated, RTT 80 ms") for label in labels] == [
        ", cubic",
        ", cubic, h3",
        ", cubic, h3",
        ", codel, cubic",
    ]
    assert [session_row(one)["transport"] for one in (plain, quic)] == [None, "h3"]
    assert [session_row(one)["aqm"] for one in (plain, managed)] == [None, "codel"]


def test_a_transport_that_is_no_object_is_no_record(tmp_path: Path) -> None:
    path = write_session(tmp_path / "a.jsonl", player={"transport": {"asked": "h2", "negotiated": "h2"}})
    first, *rest = path.read_text().splitlines()
    broken = json.loads(first)
    broken["player"]["transport"] = "h2"
    path.write_text("\n".join([json.dumps(broken), *rest]) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "analysis", "compare", str(path)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode != 0 and 'player.transport is "h2"; expected an object' in done.stderr
