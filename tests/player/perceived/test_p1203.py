"""P.1203: what its module is fed, from a record's rows, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from analysis import __main__ as analysis
from player.manifest import VideoSection
from player.perceived.p1203 import MODULE, P1203QoE, P1203Scoring, report, stalls
from player.perceived.shown import ShownVideo, shown_video
from player.perceived.viewing import Viewing, viewing_of
from player.qoe import summarise
from player.record import ChunkRow, EndRow
from player.sections import video_section
from player.video.built_in import load_video
from player.video.mpd import read_mpd
from player.video.mpd_write import write_mpd
from player.video.pictures import Pictures, codec_named, pictures_of
from player.video.video import VideoError
from tests.support.session_records import write_session

ENVIVIO = load_video("envivio")
SHOWN = ShownVideo("envivio", 4.0, ENVIVIO.pictures)


def row(chunk: int, level: int = 0, stall_s: float = 0.0, after_s: float = 8.0) -> ChunkRow:
    size, kbps = ENVIVIO.sizes_bytes[chunk][level], ENVIVIO.ladder_kbps[level]
    return ChunkRow(chunk, level, kbps, size, 0.0, 0.1, 1.0, 1.0, 8.0, after_s, 0.0, stall_s, 0.0, "policy")


def end(stall_s: float = 0.0, startup_s: float = 1.5) -> EndRow:
    return EndRow("finished", "", 3, startup_s, stall_s, 12.0, 14.0)


class Standalone:
    """The module's interface, with a score of its own: a point less for a second of stall."""

    asked: dict[str, Any]

    def __init__(self, input_report: dict[str, Any], quiet: bool = False) -> None:
        Standalone.asked = input_report

    def calculate_complete(self) -> dict[str, float]:
        lengths = [length for _, length in self.asked["I23"]["stalling"]]
        return {"O46": 5.0 - sum(lengths)}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made = ModuleType(MODULE)
    made.P1203Standalone = Standalone  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE, made)
    yield


def test_a_record_becomes_the_module_s_input(module: None) -> None:
    rows = [row(0, 0), row(1, 5, stall_s=0.5, after_s=4.0), row(2, 5)]
    asked = report(SHOWN, rows, end(0.5), viewing_of("handheld,1280x720,30"))
    assert asked["IGen"] == {"displaySize": "1280x720", "device": "handheld", "viewingDistance": "30cm"}
    first, second, _ = asked["I13"]["segments"]
    assert (first["resolution"], first["start"], first["duration"]) == ("320x180", 0.0, 4.0)
    assert (second["resolution"], second["start"], second["representation"]) == ("1920x1080", 4.0, 5)
    assert second["bitrate"] == pytest.approx(ENVIVIO.sizes_bytes[1][5] * 8 / 4 / 1000)
    assert second["fps"] == pytest.approx(30 / 1.001)
    assert asked["I23"]["stalling"] == [[0.0, 1.5], [4.0, 0.5]]


def test_stalls_stand_where_the_playhead_stood() -> None:
    """A stall that two rows tell of (with `resume_s`) is one; one that no chunk ended is at the end."""
    rows = [row(0), row(1, stall_s=1.0, after_s=4.0), row(2, stall_s=2.0, after_s=8.0)]
    assert stalls(rows, end(3.0), 4.0) == [(0.0, 1.5), (4.0, 3.0)]
    assert stalls(rows, end(3.75), 4.0)[-1] == (12.0, 0.75)
    assert stalls([row(0)], end(), 4.0) == [(0.0, 1.5)]


def test_a_session_has_the_module_s_score_and_no_chunk_has_one(module: None) -> None:
    scored = P1203QoE(viewing=Viewing(), video=SHOWN)
    rows = [row(0), row(1, stall_s=0.5, after_s=4.0), row(2)]
    found = summarise(rows, end(0.5), ENVIVIO.ladder_kbps, scored)
    assert found.qoe == pytest.approx(5.0 - 1.5 - 0.5)
    assert "P.1203" in found.weights_words and "1920x1080" in found.weights_words
    assert summarise(rows[:1], end(), ENVIVIO.ladder_kbps, scored).qoe is None
    with pytest.raises(ValueError, match="levels have none"):
        scored.quality(ENVIVIO.ladder_kbps)


def test_what_pictures_are_is_not_made_up(module: None) -> None:
    scoring = P1203Scoring(viewing=Viewing())
    ladder = ENVIVIO.ladder_kbps
    own = VideoSection(name="mine", chunk_s=4.0, ladder_kbps=ladder)
    with pytest.raises(ValueError, match="nobody says how large the pictures of video mine are"):
        scoring.on_video(own, ladder)
    other = replace(own, pictures=("1280x720@30 vp09",) * 6)
    with pytest.raises(ValueError, match=r"video mine is vp09, and .* knows h264 only"):
        scoring.on_video(other, ladder)
    with pytest.raises(ValueError, match="policies are told another kind"):
        scoring.on(ladder)


def test_records_say_their_pictures_and_older_ones_of_built_in_videos_have_theirs() -> None:
    section = video_section(ENVIVIO)
    assert section.pictures is not None and section.pictures[0] == "320x180@30000/1001 h264"
    assert shown_video(section) == shown_video(replace(section, pictures=None)) == SHOWN
    assert shown_video(replace(section, pictures=None, ladder_kbps=(1, 2))).pictures == ()
    assert shown_video(replace(section, pictures=None, name="../envivio")).pictures == ()


def test_without_the_module_a_line_says_how_it_is_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULE, None)
    with pytest.raises(ValueError, match=r"no Python module itu_p1203 here; `pip install .*not commercial"):
        P1203Scoring(viewing=Viewing())


def test_compare_takes_records_of_today(
    module: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for policy in ("bba", "robustmpc"):
        path = write_session(tmp_path / f"{policy}.jsonl", policy=policy)
        head, *rest = path.read_text().splitlines()
        told = json.loads(head)
        told["video"]["pictures"] = ["1280x720@25 h264"] * len(told["video"]["ladder_kbps"])
        path.write_text("\n".join([json.dumps(told), *rest]) + "\n")
    words = ["compare", str(tmp_path), "--baseline", "bba"]
    assert analysis.main([*words, "--qoe", "p1203", "--viewing", "pc,3840x2160"]) == 0
    assert "ITU-T P.1203 mode 0 (MOS), pc, 3840x2160, 150 cm away" in " ".join(
        capsys.readouterr().out.split()
    )
    assert analysis.main([*words, "--qoe", "p1203", "--mu", "3"]) == 2
    assert analysis.main([*words, "--viewing", "pc"]) == 2
    assert "goes with --qoe p1203" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec(MODULE) is None, reason=f"no {MODULE} here")
def test_the_real_module_likes_more_bits_and_no_stalls() -> None:
    scored = P1203QoE(viewing=Viewing(), video=SHOWN)

    def mos(level: int, stall_s: float = 0.0) -> float:
        rows = [row(k, level, stall_s if k == 5 else 0.0, 4.0) for k in range(15)]
        found = scored.of_session(rows, end(stall_s), ENVIVIO.ladder_kbps)
        assert found is not None and 1 <= found <= 5
        return found

    assert mos(0) < mos(3) < mos(5)
    assert mos(5, stall_s=8.0) < mos(5)


@pytest.mark.parametrize(
    "text", ["", "1280x720", "1280x720@0", "1280x720@30/0", "0x720@30", "1280x720@30 h 264"]
)
def test_what_are_no_pictures(text: str) -> None:
    with pytest.raises(ValueError):
        pictures_of(text)


def test_pictures_are_written_and_read() -> None:
    shown = Pictures(1280, 720, Fraction(30000, 1001))
    assert pictures_of(str(shown)) == shown
    assert pictures_of("640x360@29.97").codec == "h264"
    assert (codec_named("avc1.64001F"), codec_named("hvc1.1.6"), codec_named("")) == (
        "h264",
        "hvc1",
        "unknown",
    )
    for wrong in ("tv", "pc,1920", "pc,1920x1080,far"):
        with pytest.raises(ValueError):
            viewing_of(wrong)


def test_an_mpd_says_its_pictures() -> None:
    text = write_mpd(ENVIVIO, ["avc1.640028"] * 6, ENVIVIO.pictures)
    assert read_mpd(text).video.pictures == ENVIVIO.pictures
    assert read_mpd(write_mpd(ENVIVIO)).video.pictures == ()


def test_a_directory_of_sizes_says_its_pictures(tmp_path: Path) -> None:
    for level in range(2):
        (tmp_path / f"video_size_{level}").write_text("1000\n2000\n")
    (tmp_path / "ladder_kbps").write_text("300\n600\n")
    (tmp_path / "pictures").write_text("320x180@25\n640x360@25\n")
    assert [one.height for one in load_video(str(tmp_path)).pictures] == [180, 360]
    (tmp_path / "pictures").write_text("320x180@25\n")
    with pytest.raises(VideoError, match="pictures of 1 levels; it has 2"):
        load_video(str(tmp_path))
    (tmp_path / "pictures").write_text("320x180@25\nlarge\n")
    with pytest.raises(VideoError, match=r"pictures:2: "):
        load_video(str(tmp_path))
