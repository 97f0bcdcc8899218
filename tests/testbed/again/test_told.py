"""Every field of a record that is missing, or holds something else, is one line, and never a traceback."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from player.defaults import CHUNKS
from player.manifest import Manifest
from player.qoe import QoE
from player.real.manifest import player_manifest
from player.real.settings import PlayerSettings
from player.record import EndRow, Record, RecordWriter, read_record
from player.registry import load_policy
from player.video.built_in import load_video
from player.video.mpd import Presentation
from testbed import reproduce, run, simulate
from testbed.link.settings import LinkSettings, Loss
from testbed.session.session_manifest import session_manifest
from testbed.session.session_plan import SessionPlan
from traces.families.catalogue import resolve_many

OTHERS: tuple[Any, ...] = (
    *(None, "x", "", -1, 0, 1, 2.5, 10**400, float("nan"), float("inf"), True, [], ["x"], [[]], {}),
    {"x": {"y": [1]}},
)
"""What a field may hold that it should not."""
DROPPED = object()


def places(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where in an object there is a field, fields of fields among them."""
    if isinstance(value, dict):
        for name, held in value.items():
            yield (*place, name)
            yield from places(held, (*place, name))


def changed(manifest: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy in which one field holds something else, or is not there."""
    whole = copy.deepcopy(manifest)
    section = whole
    for name in place[:-1]:
        section = section[name]
    if value is DROPPED:
        del section[place[-1]]
    else:
        section[place[-1]] = value
    return whole


def again(path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit status and what was said on stderr."""
    capsys.readouterr()
    status = run.main(["--reproduce", str(path), "--out", str(out), "--trust"])
    return status, capsys.readouterr().err


def check_all(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, ...], int]:
    """Reproduce with every field dropped and with every field as something else; statuses of the dropped."""
    first, *others = path.read_text().splitlines()
    manifest = json.loads(first)
    dropped = {}
    for number, place in enumerate(places(manifest)):
        for value in (DROPPED, *OTHERS[number % 3 :: 3]):
            bad = tmp_path / "bad.jsonl"
            bad.write_text("\n".join([json.dumps(changed(manifest, place, value)), *others]) + "\n")
            out = tmp_path / f"out-{number}-{OTHERS.index(value) if value is not DROPPED else 'dropped'}"
            status, said = again(bad, out, capsys)
            what = f"{'.'.join(place)} = {value!r:.40}: {said}"
            assert status in (0, 1, 2) and "Traceback" not in said, what
            assert status != 2 or (said.startswith("run.py: ") and said.count("\n") == 1), what
            assert status != 2 or not out.exists(), what
            if value is DROPPED:
                dropped[place] = status
    return dropped


@pytest.mark.parametrize("link", [("--noise",), ("--link", "tcp")])
def test_every_field_of_a_computed_record(
    link: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--traces", "4g/3", "--policy", "bba", "--chunks", "2", *link, "--jobs", "1", "--out", "made")
    assert simulate.main(list(words)) == 0
    (record,) = Path("made").glob("*.jsonl")
    dropped = check_all(record, tmp_path, capsys)
    for place in (
        "video",
        "video.sizes_bytes",
        "policy.spec",
        "trace.time_s",
        "trace.start_index",
        "link.model",
    ):
        assert dropped[tuple(place.split("."))] == 2, place
    for place in ("told_qoe.mu", "run_seed", "link.rtt_ms", "simulated", "video.name", "video.chunk_s"):
        assert dropped[tuple(place.split("."))] == 2, place
    for place in ("versions", "host", "command_line", "started_at", "video.sha256"):
        assert dropped[tuple(place.split("."))] == 0, place


@pytest.fixture
def emulated(tmp_path: Path) -> Path:
    """An emulated session's record, as the testbed writes its manifest, of two players on a bottleneck."""
    (trace,) = resolve_many("4g/3")
    video, policy = load_video("envivio").first(CHUNKS), load_policy("bba")
    plan = SessionPlan(
        policy="bba",
        trace=trace,
        trace_spec="4g/3",
        start_s=3.0,
        video=video,
        video_spec="envivio",
        settings=LinkSettings(loss=Loss("uniform", 1.0)),
        backend="relay",
        qoe=QoE(),
        seed=0,
        decision_deadline_s=5.0,
        record=tmp_path / "emulated" / "bba.jsonl",
        command_line=("testbed/run.py", "--trace", "4g/3"),
        facts={"shared": {"group": "g", "players": 2, "index": 1, "stagger_s": 3.0, "offset_s": 3.0}},
    )
    urls = tuple(("http://origin/",) * video.levels for _ in range(video.chunks))
    presentation = Presentation(video, urls, (None,) * video.levels)
    told = player_manifest(presentation, policy, PlayerSettings(), url="http://origin/", argv=["player"])
    link = SimpleNamespace(
        shaped=SimpleNamespace(lane=SimpleNamespace(name="sb0")), facts=lambda: {"probe": {}}
    )
    plan.record.parent.mkdir()
    with RecordWriter(plan.record, session_manifest(plan, told.to_json(), cast(Any, link), None)) as writer:
        writer.finish(EndRow("finished", "", 0, 0.0, 0.0, 0.0, 0.0))
    return plan.record


def test_every_field_of_an_emulated_record(
    emulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to where links would be made."""
    streamed: list[Any] = []

    def instead(sessions: Any, folder: Path, console: Any) -> tuple[Record, int]:
        streamed.append(sessions)
        return read_record(emulated), 0

    monkeypatch.setattr(reproduce, "_streamed", instead)
    monkeypatch.setattr(reproduce, "_backend", lambda trace, settings, recorded: recorded)
    monkeypatch.setattr(reproduce, "write_aside", lambda path, text: None)
    status, said = again(emulated, tmp_path / "whole", capsys)
    assert (status, said) == (0, "")
    other, mine = streamed[-1].plans
    assert (mine.settings, mine.start_s, mine.seed) == (LinkSettings(loss=Loss("uniform", 1.0)), 3.0, 0)
    assert (other.start_s, other.seed, other.facts["shared"]["index"]) == (0.0, -1, 0)
    dropped = check_all(emulated, tmp_path, capsys)
    for place in ("seed", "trace.start_s", "player.decision_deadline_s", "link.queue_ms", "link.loss.p"):
        assert dropped[tuple(place.split("."))] == 2, place
    assert dropped["shared", "players"] == dropped["link", "delay_backend"] == 2
    assert dropped["shared",] == 0


def test_a_manifest_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bare.jsonl"
    end = {"line": "end", **vars(EndRow("finished", "", 0, 0.0, 0.0, 0.0, 0.0))}
    bare = {"line": "manifest", "schema": 1, "video": {"ladder_kbps": [1]}, "trace": {}, "link": {}}
    path.write_text(f"{json.dumps(bare)}\n{json.dumps(end)}\n")
    status, said = again(path, tmp_path / "out", capsys)
    assert status == 2 and "trace.time_s is missing" in said
    assert io.StringIO(said).readlines() == [said] and Manifest.of_line(bare).trace is None
