"""The session record: what is written is read back, and what is broken is named."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.record import (
    SCHEMA,
    ChunkRow,
    EndRow,
    RecordError,
    RecordWriter,
    chunk_line,
    end_line,
    make_folder,
    manifest_line,
    read_record,
)
from tests.support.session_records import write_session

MANIFEST = {"video": {"ladder_kbps": [300, 750]}, "policy": {"spec": "bba"}}
END = EndRow("finished", "", 2, 0.5, 0.0, 8.0, 8.5)


def a_row(chunk: int = 0, **changes: Any) -> ChunkRow:
    facts: dict[str, Any] = {
        "chunk": chunk,
        "level": 1,
        "bitrate_kbps": 750,
        "size_bytes": 375_000,
        "request_s": 0.1,
        "ttfb_s": 0.08,
        "download_s": 1.5,
        "throughput_mbps": 2.0,
        "buffer_before_s": 4.0,
        "buffer_after_s": 6.5,
        "wait_s": 0.0,
        "stall_s": 0.0,
        "decision_s": 0.001,
        "by": "policy",
    }
    return ChunkRow(**(facts | changes))


def lines() -> list[dict[str, Any]]:
    """A good record's lines."""
    return [manifest_line(MANIFEST), chunk_line(a_row(0)), chunk_line(a_row(1)), end_line(END)]


def written(path: Path, every: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in every))
    return path


FLOATS = st.floats(0, 1e6, allow_nan=False)
ROWS = st.builds(
    a_row,
    level=st.integers(0, 1),
    size_bytes=st.integers(1, 2**40),
    download_s=FLOATS,
    stall_s=FLOATS,
    by=st.sampled_from(["policy", "llm", "light", "fallback"]),
    reason=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    retries=st.integers(0, 9),
    rtt_ms=st.none() | FLOATS,
    server_retransmits=st.none() | st.integers(0, 99),
)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
WHOLES = st.integers(-(10**15), 10**15)


@given(rows=st.lists(ROWS, max_size=5), reason=TEXTS, link=st.dictionaries(TEXTS, WHOLES))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[ChunkRow], reason: str, link: dict[str, int]
) -> None:
    path = tmp_path_factory.mktemp("record") / "a.jsonl"
    rows = [a_row(**{**vars(row), "chunk": chunk}) for chunk, row in enumerate(rows)]
    end = EndRow("interrupted", reason, len(rows), 1.0, 2.0, 3.0, 6.0, False, link)
    with RecordWriter(path, MANIFEST) as writer:
        for row in rows:
            writer.chunk(row)
        writer.finish(end)
    record = read_record(path)
    assert record.chunks == tuple(rows)
    assert record.end == end
    assert record.manifest == {"line": "manifest", "schema": SCHEMA, **MANIFEST}
    assert record.ladder_kbps == (300, 750)


@given(
    reason=st.text(st.characters()),
    parameters=st.dictionaries(
        st.text(st.characters()) | st.integers(), st.text(st.characters()) | st.integers()
    ),
)
def test_whatever_a_policy_says_its_record_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, reason: str, parameters: dict[Any, Any]
) -> None:
    path = tmp_path_factory.mktemp("record") / "a.jsonl"
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    with RecordWriter(
        path, {**MANIFEST, "policy": {"spec": "p", "parameters": parameters, "deep": deep}}
    ) as writer:
        writer.chunk(a_row(0, reason=reason))
        writer.finish(EndRow("finished", reason, 1, 1.0, 2.0, 3.0, 6.0))
    record = read_record(path)
    assert record.end.reason == record.chunks[0].reason
    assert record.end.reason == reason or "\\" in record.end.reason


def test_a_good_record_reads(tmp_path: Path) -> None:
    assert len(read_record(written(tmp_path / "a", lines())).chunks) == 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda every: every.clear(), ":1: no manifest"),
        (lambda every: every.pop(0), ":1: no manifest"),
        (lambda every: every[0].update(schema=0), r":1: schema 0; this version reads 1"),
        (lambda every: every[0].pop("video"), ":1: the manifest has no video.ladder_kbps"),
        (lambda every: every[0].update(video={"ladder_kbps": [300, "x"]}), ":1: video.ladder_kbps is"),
        *(
            (lambda every, link=link: every[0].update(link=link), f":1: link.{name} is .* no link has that")
            for name, link in (
                ("rtt_ms", {"rtt_ms": 1e14}),
                ("rtt_ms", {"rtt_ms": -1}),
                ("jitter_ms", {"jitter_ms": 10_000.1}),
                ("media_delay_ms", {"media_delay_ms": 1e9}),
                ("media_jitter_ms", {"media_jitter_ms": 1e9}),
                ("grant_ms", {"grant_ms": 1001}),
                ("queue_ms", {"queue_ms": 600_001.0}),
                ("queue_bytes", {"queue_bytes": 2**32}),
            )
        ),
        (lambda every: every[0].update(link={"loss": {"kind": "uniform", "p": 101}}), ":1: link.loss.p is"),
        *(
            (lambda every, trace=trace: every[0].update(trace=trace), f":1: trace{message}")
            for trace, message in (
                ({"rate_mbps": [1.0, 1e12]}, " has 1000000000000.0 .*no link has that"),
                ({"rate_mbps": [1.0, -2.0]}, " has -2"),
                ({"mean_mbps": 1e12}, " has 1000000000000.0"),
                ({"cap_mbps": -1.0}, " has -1"),
                ({"delay_ms": [0.0, 1e6]}, ".delay_ms: delay 1e"),
                ({"loss_pct": [0.0, 100.0]}, ".loss_pct: loss 100 %"),
            )
        ),
        (
            lambda every: every[0].update(video={"ladder_kbps": [300, 750], "chunk_s": 86_401}),
            ":1: video.chunk_s is 86401; a chunk has at most 86400 s",
        ),
        (lambda every: every.pop(), ":3: no end line; the session was cut off"),
        (lambda every: every.__delitem__(slice(1, None)), ":1: no end line"),
        (lambda every: every.pop(1), ":2: chunk 1 where 0 is due"),
        (lambda every: every[1].update(level=2), ":2: level 2; the ladder has 0 to 1"),
        (lambda every: every[1].update(stall_s="0"), ':2: stall_s is "0"; expected float'),
        (lambda every: every[1].update(stall_s=float("nan")), ":2: NaN is no number of JSON"),
        (lambda every: every[1].update(retries=0.5), ":2: retries is 0.5; expected int"),
        (lambda every: every[1].update(level=True), ":2: level is true; expected int"),
        (lambda every: every[1].update(by=None), ":2: by is null; expected str"),
        (lambda every: every[1].update(colour="red"), ":2: .*colour"),
        (lambda every: every[2].pop("level"), ":3: .*level"),
        (lambda every: every.insert(1, end_line(END)), ":2: \"end\" line where 'chunk' is due"),
        (lambda every: every[3].update(valid=1), ":4: valid is 1; expected bool"),
        (lambda every: every[3].update(link=[]), r":4: link is \[\]; expected dict"),
        (lambda every: every[3].update(chunks=3), ":4: the end counts 3 chunks; 2 lines"),
    ],
)
def test_each_fault_is_named_with_its_line(tmp_path: Path, fault: Any, message: str) -> None:
    every = lines()
    fault(every)
    path = written(tmp_path / "a.jsonl", every)
    with pytest.raises(RecordError, match=message) as caught:
        read_record(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"line":"manifest"', ":1: not JSON"),
        (b"[1]\n", r":1: \[1\]; expected an object"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b"\xff\xfe", ":1: UTF-16"),
        (b"\n", ":1: not JSON"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=message):
        read_record(path)


def test_a_record_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", lines()).read_bytes()
    cut = tmp_path / "cut"
    for length in range(0, len(whole) - 1, 7):  # without only the last line's newline it is still whole
        cut.write_bytes(whole[:length])
        with pytest.raises(RecordError):
            read_record(cut)


def test_the_final_name_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with RecordWriter(path, MANIFEST) as writer:
        writer.chunk(a_row())
        assert not path.exists()
        assert len(writer.partial.read_text().splitlines()) == 2, "lines reach the file as they come"
        writer.finish(END)
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


KILLED_WRITER = """
import sys
from pathlib import Path
from player.record import RecordWriter
RecordWriter(Path(sys.argv[1]), {"video": {"ladder_kbps": [300]}})
print("written", flush=True)
sys.stdin.read()
"""


def test_a_killed_writer_leaves_no_final_name(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    command = [sys.executable, "-c", KILLED_WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == b"written\n"
        writer.send_signal(signal.SIGKILL)
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl.partial"]


def test_abandon_leaves_nothing(tmp_path: Path) -> None:
    RecordWriter(tmp_path / "a.jsonl", MANIFEST).abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_surfaces_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("player.record.fresh", lambda path: os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(OSError) as caught:
        RecordWriter(tmp_path / "a.jsonl", MANIFEST)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_surfaces_and_never_gives_the_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = RecordWriter(tmp_path / "a.jsonl", MANIFEST)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        writer.finish(END)
    assert not (tmp_path / "a.jsonl").exists()
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RecordWriter(tmp_path / "no" / "a.jsonl", MANIFEST)


def test_facts_that_json_has_no_word_for_are_refused(tmp_path: Path) -> None:
    with (
        RecordWriter(tmp_path / "a.jsonl", MANIFEST) as writer,
        pytest.raises(ValueError, match="Out of range"),
    ):
        writer.chunk(a_row(stall_s=float("inf")))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_under_sudo_record_and_new_folders_belong_to_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "12346")
    make_folder(tmp_path / "new" / "deep")
    with RecordWriter(tmp_path / "new" / "deep" / "a.jsonl", MANIFEST) as writer:
        writer.finish(EndRow("finished", "", 0, 0, 0, 0, 0))
    owners = [path.stat() for path in (tmp_path / "new", *(tmp_path / "new").rglob("*"))]
    assert [(owner.st_uid, owner.st_gid) for owner in owners] == [(12345, 12346)] * 3
    assert tmp_path.stat().st_uid != 12345


def test_a_key_with_a_new_line_in_it_is_told_in_one_line(tmp_path: Path) -> None:
    path = write_session(tmp_path / "a.jsonl")
    first, second, *others = path.read_text().splitlines()
    path.write_text("\n".join([first, second.replace('"reason"', '"reaso\\n"'), *others]) + "\n")
    with pytest.raises(RecordError) as refused:
        read_record(path)
    assert "\n" not in str(refused.value) and "reaso" in str(refused.value)


def test_a_disk_that_is_full_is_told_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        closed = True

        def write(self, part: memoryview) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None:
            """Nothing is open."""

    with RecordWriter(tmp_path / "r.jsonl", MANIFEST) as writer:
        writer._file.close()
        monkeypatch.setattr(writer, "_file", Full())
        with pytest.raises(OSError, match=re.escape(str(writer.partial))):
            writer.finish(END)
        writer.abandon()
