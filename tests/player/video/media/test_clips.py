"""Generated clips are real media: ffmpeg reads and decodes them without a word, filled to any size."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from player.live.parts import part_end
from player.video import __main__ as command
from player.video.built_in import builtin_names, load_video
from player.video.media import clip as clips
from player.video.media.boxes import boxes, sequence_of, time_of, timescale_of
from player.video.media.clip import ClipPlan, clip_of, kept_clip
from player.video.media.encode import MediaError
from player.video.media.pictures import Picture, frames
from player.video.media.prepared import PreparedMedia, kept_media, prepare_media
from player.video.video import Video
from tests.support.ffmpeg import decoded, demuxed, needs_ffmpeg


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def written(media: PreparedMedia, level: int, file: Path) -> Path:
    """A level as a player would have it: initialization segment and all segments."""
    with file.open("wb") as out:
        out.write(media.clips[level].init)
        for chunk in range(media.video.chunks):
            segment = media.segment(level, chunk)
            assert segment.size_bytes == media.video.sizes_bytes[chunk][level]
            begin = out.tell()
            for at, piece in segment.pieces:
                out.seek(begin + at)
                out.write(piece)
            out.seek(begin + segment.size_bytes)  # what fills it doesn't matter
        out.truncate()
    return file


def test_pictures_tell_level_and_chunk() -> None:
    size = Picture(64, 36)
    (one,), (other,) = list(frames(1, 7, 1, size)), list(frames(1, 8, 1, size))
    assert len(one) == 64 * 36 * 3 // 2
    assert one != other and one != next(frames(2, 7, 1, size))
    first, *_, last = frames(0, 0, 10, size)
    assert first != last  # the bar moves


@pytest.mark.parametrize("name", builtin_names())
def test_every_level_of_a_built_in_video_is_read_without_a_warning(name: str, tmp_path: Path) -> None:
    needs_ffmpeg()
    media = prepare_media(load_video(name))
    for level in range(media.video.levels):
        shown, said = demuxed(written(media, level, tmp_path / "level.mp4"))
        assert (shown, said) == (48 * 96, "")


@pytest.mark.parametrize("parts", [2, 7])
def test_a_segment_in_parts_has_a_fragment_in_each_and_nothing_between(parts: int, tmp_path: Path) -> None:
    """A player has a part with its last byte, and not before."""
    needs_ffmpeg()
    video = Video("short", 2.0, (100, 200), ((70_003, 90_000), (60_001, 70_003)))
    media = prepare_media(video, parts)
    for level in range(2):
        for chunk in range(2):
            size = video.sizes_bytes[chunk][level]
            whole = bytearray(size)
            for at, piece in media.segment(level, chunk).pieces:
                whole[at : at + len(piece)] = piece
            places = list(boxes(bytes(whole)))
            assert [place.kind for place in places] == [b"styp", *[b"moof", b"mdat"] * parts]
            ends = [place.end for place in places if place.kind == b"mdat"]
            assert ends == [part_end(size, number, parts) for number in range(1, parts + 1)]
        file = written(media, level, tmp_path / "level.mp4")
        pictures, said = demuxed(file)
        assert said == "" and pictures % (2 * parts) == 0
        assert decoded(file) == ""
    assert kept_media(video, parts) is not None
    with pytest.raises(MediaError, match="describe larger chunks"):
        prepare_media(Video("none", 2.0, (100,), ((600,), (600,))), parts)


def test_media_that_others_read_with_a_word_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The command that reads every level of every built-in video as others do; here of a short one."""
    needs_ffmpeg()
    for level, size in enumerate((9_000, 30_000)):
        (tmp_path / f"video_size_{level}").write_text(f"{size}\n{size + 1}\n")
    (tmp_path / "ladder_kbps").write_text("100\n200\n")
    assert command.main(["check", str(tmp_path)]) == 0
    assert "2 levels of 192 pictures read without a word" in capsys.readouterr().out


def test_a_level_is_decoded_without_a_warning(tmp_path: Path) -> None:
    needs_ffmpeg()
    media = prepare_media(Video("short", 4.0, (100, 200), ((7_000, 90_000), (6_001, 70_003))))
    assert decoded(written(media, 0, tmp_path / "level.mp4")) == ""


@pytest.mark.parametrize("chunk_s", [2.0, 2.002, 1.001, 0.5, 4.004])
def test_fragments_begin_where_their_chunks_do(chunk_s: float, own_cache: None) -> None:
    needs_ffmpeg()
    clip = clip_of(ClipPlan(0, 3, chunk_s, 32, 18))
    scale = timescale_of(clip.init)
    assert [time_of(one) / scale for one in clip.fragments] == pytest.approx([0, chunk_s, 2 * chunk_s])
    assert [sequence_of(one) for one in clip.fragments] == [1, 2, 3]


def test_a_small_size_gets_a_smaller_picture_and_too_small_a_one_a_reason(own_cache: None) -> None:
    needs_ffmpeg()
    large, small, none = (Video("v", 1.0, (100,), ((size,), (size,))) for size in (60_000, 1_500, 300))
    assert len(prepare_media(large).clips[0].fragments[0]) > len(prepare_media(small).clips[0].fragments[0])
    with pytest.raises(
        MediaError, match=r"level 0 of chunk 0 is to have 300 bytes, and the smallest picture"
    ):
        prepare_media(none)
    assert kept_media(none) is None


def test_a_clip_is_kept_and_a_damaged_one_made_again(
    own_cache: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_ffmpeg()
    plan = ClipPlan(1, 2, 1.0, 32, 18)
    assert kept_clip(plan) is None
    made = clip_of(plan)
    plan.file.write_bytes(plan.file.read_bytes()[:-100])
    assert kept_clip(plan) is None
    assert clip_of(plan).fragments == made.fragments
    monkeypatch.setattr(clips, "encoded", None)  # not asked any more
    assert clip_of(plan) == made == kept_clip(plan)


def test_without_an_encoder_one_line_says_so(own_cache: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(
        MediaError, match=r"^no ffmpeg on this machine; testbed/setup.sh players installs it$"
    ):
        prepare_media(load_video("envivio"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"chunk_s": 0.123_456_78}, "round their length to milliseconds"),
        ({"chunks": 5_001}, "5001 chunks; clips are made for 5000 at most"),
        ({"chunks": 5_000, "chunk_s": 3600.0}, "no clip is made for so long a video"),
    ],
)
def test_what_no_clip_is_made_for(changes: dict[str, float], reason: str) -> None:
    needs_ffmpeg()
    with pytest.raises(MediaError, match=reason):
        clip_of(dataclasses.replace(ClipPlan(0, 2, 1.0, 32, 18), **changes))  # type: ignore[arg-type]
