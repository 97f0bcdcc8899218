"""The built-in videos and the readers of a user's own."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from player.sections import recorded_video, video_section
from player.video.__main__ import main
from player.video.built_in import PUBLISHED_LADDER_KBPS, builtin_names, load_recipe, load_video
from player.video.fit import fit
from player.video.generator import generate
from player.video.mpd_write import write_mpd
from player.video.statistics import size_figures
from player.video.video import Video, VideoError, check_name, plain_name

SHA256 = {
    "envivio": "391e47a9dd7f",
    "envivio-hi": "9d46a54c793a",
    "uhd": "3c14b03e8bf9",
}
"""First digits: these must come out on every machine and Python version."""


def test_there_are_three_and_the_largest_is_last() -> None:
    assert builtin_names() == ("envivio", "envivio-hi", "uhd")


@pytest.mark.parametrize("name", list(SHA256))
def test_generated_sizes_are_the_same_everywhere(name: str) -> None:
    assert load_video(name).sha256.startswith(SHA256[name])


@pytest.mark.parametrize("name", list(SHA256))
def test_sample_has_the_figures_of_its_recipe(name: str) -> None:
    recipe, figures = load_recipe(name), size_figures(load_video(name))
    for level in range(6):
        assert figures.mean_bytes[level] == pytest.approx(recipe.mean_bytes[level], rel=1e-5)
        assert figures.spread[level] == pytest.approx(recipe.spread[level], rel=1e-3)
        assert figures.correlation[level] == pytest.approx(recipe.correlation[level], abs=1e-3)


@pytest.mark.parametrize("name", list(SHA256))
def test_every_chunk_is_larger_at_a_higher_level(name: str) -> None:
    for row in load_video(name).sizes_bytes:
        assert list(row) == sorted(set(row))


def test_ladders_and_lengths() -> None:
    envivio, high, uhd = map(load_video, builtin_names())
    assert envivio.ladder_kbps == high.ladder_kbps == PUBLISHED_LADDER_KBPS
    assert uhd.ladder_kbps[-1] == 40_000
    assert {(video.levels, video.chunks, video.chunk_s) for video in (envivio, high, uhd)} == {(6, 48, 4.0)}
    ratios = [
        b / a for a, b in zip(size_figures(envivio).mean_bytes, size_figures(high).mean_bytes, strict=True)
    ]
    assert min(ratios) > 1.15 and max(ratios) < 1.25


def test_another_seed_gives_other_sizes_with_the_same_figures() -> None:
    recipe = dataclasses.replace(load_recipe("envivio"), seed=1)
    other = generate(recipe)
    assert other.sha256 != load_video("envivio").sha256
    assert size_figures(other).spread == pytest.approx(recipe.spread, rel=1e-3)


def test_impossible_recipes_are_refused() -> None:
    recipe = load_recipe("envivio")
    ones = tuple((1.0,) * 6 for _ in range(6))
    with pytest.raises(VideoError, match="not positive definite"):
        generate(dataclasses.replace(recipe, correlation=ones))
    with pytest.raises(VideoError, match="7 chunks cannot fix 6 levels"):
        generate(dataclasses.replace(recipe, chunks=7))
    with pytest.raises(VideoError, match="must be positive"):
        generate(dataclasses.replace(recipe, spread=(0.9,) * 6))


def test_a_fit_gives_back_the_figures_of_what_it_was_fitted_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("player.video.fit.SEEDS", 10)
    measured = generate(dataclasses.replace(load_recipe("envivio-hi"), seed=3))
    figures = size_figures(generate(fit(measured, "again", "")))
    assert figures.mean_bytes == pytest.approx(size_figures(measured).mean_bytes, rel=1e-3)
    assert figures.spread == pytest.approx(size_figures(measured).spread, rel=1e-2)


def _write_sizes(folder: Path, video: Video) -> Path:
    folder.mkdir()
    for level in range(video.levels):
        text = "\n".join(str(row[level]) for row in video.sizes_bytes)
        (folder / f"video_size_{level}").write_text(text + "\n\n")
    return folder


def test_a_directory_of_sizes_is_loaded_as_it_is(tmp_path: Path) -> None:
    envivio = load_video("envivio")
    loaded = load_video(_write_sizes(tmp_path / "mine", envivio))
    assert loaded.name == "mine"
    assert loaded.sha256 == envivio.sha256
    assert load_video(str(tmp_path / "mine")) == loaded


def test_ladder_and_chunk_length_of_a_directory(tmp_path: Path) -> None:
    small = Video("small", 2.0, (100, 400), ((10, 40), (11, 44)))
    folder = _write_sizes(tmp_path / "small", small)
    with pytest.raises(VideoError, match=r"2 levels, .*put them into .*ladder_kbps"):
        load_video(folder)
    assert load_video(folder, ladder_kbps=(100, 400), chunk_s=2.0) == small
    (folder / "ladder_kbps").write_text("100\n400\n")
    assert load_video(folder).chunk_s == 4.0
    (folder / "chunk_s").write_text("2\n")
    assert load_video(folder) == small
    (folder / "chunk_s").write_text("soon\n")
    with pytest.raises(VideoError, match="chunk_s:1: 'soon'"):
        load_video(folder)


@pytest.mark.parametrize("bad", ["-5", "1.5", "0", "many", "1e3", "", "٣"])
def test_a_bad_size_is_named_by_file_and_line(tmp_path: Path, bad: str) -> None:
    folder = _write_sizes(tmp_path / "bad", load_video("envivio"))
    lines = (folder / "video_size_3").read_text().split("\n")
    lines[16] = bad
    (folder / "video_size_3").write_text("\n".join(lines))
    with pytest.raises(VideoError, match=rf"video_size_3:17: '{bad}'"):
        load_video(folder)


def test_missing_levels_and_uneven_files(tmp_path: Path) -> None:
    folder = _write_sizes(tmp_path / "gap", load_video("envivio"))
    (folder / "video_size_5").write_text("1\n2\n")
    with pytest.raises(VideoError, match=r"48, 48, 48, 48, 48, 2 lines"):
        load_video(folder)
    (folder / "video_size_2").unlink()
    with pytest.raises(VideoError, match="video_size_2 is missing"):
        load_video(folder)


def test_an_unknown_name_suggests_the_right_one() -> None:
    with pytest.raises(VideoError, match=r"did you mean envivio\?.*envivio, envivio-hi, uhd"):
        load_video("enviv1o")


def test_a_directory_without_a_video(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no video_size_0, and 0 MPD files"):
        load_video(tmp_path)


def test_our_mpd_from_a_file_or_its_directory(tmp_path: Path) -> None:
    uhd = load_video("uhd")
    (tmp_path / "manifest.mpd").write_text(write_mpd(uhd))
    assert load_video(tmp_path / "manifest.mpd") == uhd
    assert load_video(tmp_path) == uhd


FOREIGN = """<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT4S">
<Period><AdaptationSet mimeType="video/mp4"><BaseURL>the media/</BaseURL>
<SegmentTemplate media="s$RepresentationID$-$Number%03d$.m4s" duration="2"/>
<Representation id="b" bandwidth="900000"/><Representation id="a" bandwidth="100000"/>
</AdaptationSet></Period></MPD>"""


def test_a_foreign_mpd_takes_true_sizes_from_the_media_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "so real"
    (folder / "the media").mkdir(parents=True)
    (folder / "x.mpd").write_text(FOREIGN)
    for name, size in {"sa-001": 7, "sa-002": 8, "sb-001": 70}.items():
        (folder / "the media" / f"{name}.m4s").write_bytes(bytes(size))
    with pytest.raises(VideoError, match=r"sb-002\.m4s is missing"):
        load_video(folder)
    (folder / "the media" / "sb-002.m4s").write_bytes(bytes(80))
    assert load_video(folder) == Video("so real", 2.0, (100, 900), ((7, 70), (8, 80)))


@pytest.mark.parametrize("base", ["http://far.example/", "gone/"])
def test_a_foreign_mpd_without_its_media_has_estimated_sizes(
    tmp_path: Path, base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.mpd").write_text(FOREIGN.replace("the media/", base))
    video = load_video(tmp_path / "x.mpd")
    assert video.sizes_bytes == ((25_000, 225_000),) * 2 and not video.sizes_exact
    assert video.notes == ("chunk sizes are estimated as @bandwidth x duration",)
    assert video.first(1).notes == video.notes
    section = video_section(video)
    assert section.sizes_exact is False and section.notes == video.notes
    assert main(["show", str(tmp_path / "x.mpd"), "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["notes"] == list(video.notes) and "note: " in shown.err


def test_true_sizes_leave_nothing_to_say(tmp_path: Path) -> None:
    (tmp_path / "the media").mkdir()
    (tmp_path / "x.mpd.gz").write_bytes(gzip.compress(FOREIGN.encode()))
    for name in ("sa-001", "sa-002", "sb-001", "sb-002"):
        (tmp_path / "the media" / f"{name}.m4s").write_bytes(b"abc")
    video = load_video(tmp_path)
    assert video.sizes_exact and video.notes == () and video.sizes_bytes == ((3, 3), (3, 3))


def test_a_broken_mpd_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.mpd").write_text("<MPD>")
    with pytest.raises(VideoError, match=r"x\.mpd: not well-formed XML"):
        load_video(tmp_path / "x.mpd")


def test_command_lists_as_text_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "envivio-hi  6 levels, 48 chunks" in capsys.readouterr().out
    assert main(["list", "--json"]) == 0
    videos = json.loads(capsys.readouterr().out)["videos"]
    assert [video["name"] for video in videos] == list(builtin_names())
    assert videos[0]["sha256"] == load_video("envivio").sha256


def test_command_compares_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "envivio", "--against", "envivio-hi", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["built"]["mean_bytes"][0] < answer["measured"]["mean_bytes"][0]
    assert main(["show", "uhd", "--chunks", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["sizes_bytes"]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "nothing"], "no video 'nothing'"),
        (["compare", "uhd"], "needs --against"),
        (["show", "uhd", "--chunks", "49"], "it has 48"),
        (["compare", "uhd", "--against", "uhd", "--chunks", "2"], "at least 3"),
    ],
)
def test_command_refuses_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1


def test_the_fit_command_prints_a_recipe_that_can_be_dropped_in(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("player.video.fit.SEEDS", 2)
    assert main(["fit", "uhd", "--about", "again"]) == 0
    recipe = json.loads(capsys.readouterr().out)
    assert recipe["about"] == "again" and math.isclose(recipe["mean_bytes"][5], 2e7, rel_tol=1e-4)


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "player.video", "--json"],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(json.loads(done.stdout)["videos"]) == 3


@given(st.text(max_size=300))
@example("/some/folder")
@example("../..")
@example(" My / film\n")
def test_any_title_becomes_a_name_that_a_folder_can_have(title: str) -> None:
    name = plain_name(title)
    check_name(name)
    assert plain_name(name) == name


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "/a", "a\\b", "a\n", "\x1b[1m", " a", "é" * 101])
def test_a_name_that_is_no_single_folder_is_refused(name: str) -> None:
    with pytest.raises(VideoError, match="no plain name"):
        check_name(name)


def test_a_chunk_beyond_any_is_refused() -> None:
    with pytest.raises(VideoError, match="at most 86400"):
        Video("v", 1e5, (1,), ((1,),))
    with pytest.raises(VideoError, match="is the unit right"):
        Video("v", 4.0, (1,), ((2**40,),))


def test_a_records_video_is_held_to_what_any_video_is() -> None:
    video = Video("v", 4.0, (1, 2), ((1, 2), (3, 4)))
    section = video_section(video)
    assert recorded_video(section) == video
    for change, words in (
        ({"name": "/etc"}, "no plain name"),
        ({"name": None}, "name is missing"),
        ({"chunks": 3}, "chunks is 3; it has 2"),
        ({"sizes_bytes": ((1, 2),) * 100_001, "chunks": 100_001}, "100000 are the limit"),
        ({"ladder_kbps": (2, 1)}, "must be positive and increase"),
    ):
        with pytest.raises(VideoError, match=words):
            recorded_video(dataclasses.replace(section, **change))
