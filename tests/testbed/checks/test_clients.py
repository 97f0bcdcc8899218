"""`testbed/clients.py`, on sessions whose buffers, speeds and round trips are made up, chunk by chunk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from player.observation import Observation
from player.policy import Policy
from player.qoe import QoE
from player.record import FINISHED, ChunkRow, EndRow, RecordWriter
from player.video.video import Video
from policies.explain.replayed import past_chunk
from testbed import clients
from testbed.checks.clients import causes
from testbed.checks.clients.causes import parted
from testbed.checks.clients.figures import slower_by
from testbed.checks.clients.pairs import ClientPair, find_pairs
from testbed.process.errors import TestbedError

CHUNKS = 4
VIDEO = Video("v", 4.0, (300, 750, 1200, 2400), ((150_000, 375_000, 600_000, 1_200_000),) * CHUNKS)
BUFFERS_S = (0.0, 12.0, 14.0, 16.0)
SPEEDS = (2.0, 2.0, 2.0, 2.0)
RATES = {"time_s": [0.0, 10.0], "rate_mbps": [2.0, 2.0]}
ROUND_TRIPS_MS = (80.0, 80.0, 80.0, 80.0)


class Made:
    """A policy that a test makes up: the top level where `high` says so, else the lowest."""

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self.asked = 0

    def select(self, observation: Observation) -> int:
        self.asked += 1
        return 3 if self.high(observation) else 0

    def high(self, seen: Observation) -> bool:
        raise AssertionError("made up by each test")


class ByBuffer(Made):
    def high(self, seen: Observation) -> bool:
        return seen.buffer_s >= 10


class BySpeed(Made):
    def high(self, seen: Observation) -> bool:
        return bool(seen.history) and seen.history[-1].throughput_mbps >= 1.5


class ByRoundTrip(Made):
    def high(self, seen: Observation) -> bool:
        return bool(seen.history) and seen.history[-1].rtt_ms < 100


class ByBoth(Made):
    def high(self, seen: Observation) -> bool:
        return seen.buffer_s >= 10 and bool(seen.history) and seen.history[-1].throughput_mbps >= 1.5


class Remembers(Made):
    """By what it was shown first after it had begun, whatever it is shown now."""

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        super().reset(video, seed, qoe)
        self.first_mbps: float | None = None

    def high(self, seen: Observation) -> bool:
        if self.first_mbps is None and seen.history:
            self.first_mbps = seen.history[0].throughput_mbps
        return (self.first_mbps or 0.0) >= 1.5 and seen.chunk > 1


def played(
    path: Path,
    policy: Policy,
    *,
    client: str | None = None,
    buffers_s: Sequence[float] = BUFFERS_S,
    speeds: Sequence[float] = SPEEDS,
    round_trips_ms: Sequence[float] = ROUND_TRIPS_MS,
    by: str = "policy",
    spec: str = "bba",
    valid: bool = True,
    outcome: str = FINISHED,
    transport: str | None = None,
    aqm: str | None = None,
) -> Path:
    """The record of a session in which a policy met these."""
    rows: list[ChunkRow] = []
    for chunk in range(CHUNKS):
        # The level is chosen by what the record will say was known, as `replayed` rebuilds it.
        level = _chosen(policy, rows, buffers_s[chunk])
        size = VIDEO.sizes_bytes[chunk][level]
        took_s = 8e-6 * size / speeds[chunk]
        rows.append(
            ChunkRow(
                chunk=chunk, level=level, bitrate_kbps=VIDEO.ladder_kbps[level], size_bytes=size,
                request_s=4.0 * chunk, ttfb_s=0.08, download_s=took_s, throughput_mbps=speeds[chunk],
                buffer_before_s=buffers_s[chunk], buffer_after_s=buffers_s[chunk] + 4.0 - took_s, wait_s=0.0,
                stall_s=0.0, decision_s=0.0, by=by, rtt_ms=round_trips_ms[chunk],
            )
        )  # fmt: skip
    player: dict[str, object] = {
        "buffer_cap_s": 60.0,
        **({"client": client, "client_version": "5.2.1"} if client else {}),
    }
    if transport is not None:
        player["transport"] = {"asked": transport, "negotiated": transport}
    manifest = {
        "simulated": False,
        "seed": 0,
        "video": {
            "name": "v",
            "chunk_s": 4.0,
            "ladder_kbps": list(VIDEO.ladder_kbps),
            "chunks": CHUNKS,
            "sizes_bytes": [list(row) for row in VIDEO.sizes_bytes],
            "sha256": VIDEO.sha256,
        },
        "policy": {"spec": spec, "name": spec},
        "told_qoe": {"kind": "linear", "mu": 4.3, "smooth": 1.0},
        "player": player,
        "trace": {"name": "4g/1", "family": "4g", "sha256": "a" * 64, "start_s": 0.0, **RATES},
        "link": {"rtt_ms": 80.0, "aqm": aqm},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with RecordWriter(path, manifest) as writer:
        for row in rows:
            writer.chunk(row)
        writer.finish(EndRow(outcome, "", CHUNKS, 0.5, 0.0, 16.0, 17.0, valid))
    return path


def _chosen(policy: Policy, rows: Sequence[ChunkRow], buffer_s: float) -> int:
    history = tuple(past_chunk(row, Path("made")) for row in rows)
    policy.reset(VIDEO, 0, QoE())
    answer: object = 0
    for chunk in range(len(rows) + 1):
        answer = policy.select(
            Observation(
                chunk, history[:chunk], rows[chunk].buffer_before_s if chunk < len(rows) else buffer_s,
                VIDEO.sizes_bytes[chunk:], CHUNKS - chunk, 4.0 * chunk,
            )
        )  # fmt: skip
    assert isinstance(answer, int)
    return answer


def pair_of(folder: Path, policy: Policy, **theirs: object) -> ClientPair:
    played(folder / "ours.jsonl", policy)
    played(folder / "theirs.jsonl", policy, client="dashjs", **theirs)  # type: ignore[arg-type]
    (pair,) = find_pairs([folder]).pairs
    return pair


@pytest.mark.parametrize(
    ("policy", "theirs", "cause"),
    [
        (ByBuffer(), {"buffers_s": (0.0, 12.0, 5.0, 16.0)}, causes.BUFFER),
        (BySpeed(), {"speeds": (2.0, 1.0, 2.0, 2.0)}, causes.SPEED),
        (ByRoundTrip(), {"round_trips_ms": (80.0, 150.0, 80.0, 80.0)}, causes.ROUND_TRIPS),
        (ByBoth(), {"buffers_s": (0.0, 12.0, 5.0, 16.0), "speeds": (2.0, 1.0, 2.0, 2.0)}, causes.SEVERAL),
        (ByBuffer(), {"buffers_s": (0.0, 12.0, 5.0, 16.0), "by": "fallback"}, causes.ANOTHER),
    ],
)
def test_the_part_that_would_have_changed_the_choice_is_its_cause(
    tmp_path: Path, policy: Policy, theirs: dict[str, object], cause: str
) -> None:
    found = list(parted(pair_of(tmp_path, policy, **theirs), policy))
    assert [(one.chunk, one.ours, one.theirs, one.cause) for one in found] == [(2, 3, 0, cause)]


def test_a_choice_by_what_is_remembered_is_told_from_one_by_what_is_seen(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, Remembers(), speeds=(1.0, 2.0, 2.0, 2.0))
    assert {one.cause for one in parted(pair, Remembers())} == {causes.MEMORY}


def test_an_answer_that_is_another_when_asked_again_is_said_to_be(tmp_path: Path) -> None:
    pair = pair_of(tmp_path, ByBuffer(), buffers_s=(0.0, 12.0, 5.0, 16.0))
    assert [one.cause for one in parted(pair, ByRoundTrip())] == [causes.AGAIN]


def test_download_times_are_held_against_each_other_where_bytes_and_moment_are_the_same(
    tmp_path: Path,
) -> None:
    pair = pair_of(tmp_path, ByBuffer(), speeds=(1.0, 2.0, 2.0, 2.0))
    (ours, theirs), later = pair.ours.read.chunks[:2], pair.theirs.read.chunks
    assert slower_by(ours, later[0]) == pytest.approx(1.0)
    assert slower_by(ours, theirs) is None  # another moment, another level


def test_the_command_says_who_was_compared_and_why_choices_parted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for trace in ("a", "b"):
        played(tmp_path / trace / "ours.jsonl", ByBuffer())
        played(tmp_path / trace / "theirs.jsonl", ByBuffer(), client="dashjs")
        for path in (tmp_path / trace).iterdir():
            path.write_text(
                path.read_text().replace('"a' + "a" * 63 + '"', f'"{trace * 64}"').replace("4g/1", trace)
            )
    picture = tmp_path / "f.png"
    assert clients.main([str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(picture), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (row,) = report["rows"]
    assert (report["client"], report["version"], report["pairs"], row["parted"]) == ("dashjs", "5.2.1", 2, 0)
    assert row["differences"]["qoe"] == {"mean": 0.0, "ci95": [0.0, 0.0]}
    assert row["levels_apart"] == {"0": 2 * CHUNKS} and row["download_time"]["median"] == 0.0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert clients.main([str(tmp_path / "a")]) == 0
    assert "1 pair of sessions over 1 trace, our player's and dashjs 5.2.1's" in capsys.readouterr().out


def test_what_makes_no_pairs_is_refused_with_the_way_out(tmp_path: Path) -> None:
    played(tmp_path / "ours.jsonl", ByBuffer())
    with pytest.raises(TestbedError, match="--player dashjs"):
        find_pairs([tmp_path])
    played(tmp_path / "theirs.jsonl", ByBuffer(), client="dashjs", spec="bola")
    with pytest.raises(TestbedError, match="no session of our player has its like"):
        find_pairs([tmp_path])
    played(tmp_path / "again.jsonl", ByBuffer(), speeds=(2.0, 2.0, 2.0, 1.0))
    with pytest.raises(TestbedError, match="played twice"):
        find_pairs([tmp_path])


def test_sessions_over_untrue_links_and_broken_off_ones_are_counted_and_left_out(tmp_path: Path) -> None:
    pair_of(tmp_path, ByBuffer())
    played(tmp_path / "x.jsonl", ByBuffer(), client="dashjs", spec="bola", valid=False)
    played(tmp_path / "y.jsonl", ByBuffer(), spec="bola", outcome="interrupted")
    found = find_pairs([tmp_path])
    assert (len(found.pairs), found.invalid, found.unfinished, found.alone) == (1, 1, 1, 0)


@pytest.mark.parametrize("other", [{"transport": "h3"}, {"aqm": "codel"}])
def test_another_protocol_or_queue_makes_no_pair(tmp_path: Path, other: dict[str, str]) -> None:
    played(tmp_path / "ours.jsonl", ByBuffer())
    played(tmp_path / "theirs.jsonl", ByBuffer(), client="dashjs", **other)  # type: ignore[arg-type]
    with pytest.raises(TestbedError, match="no session of our player has its like"):
        find_pairs([tmp_path])
