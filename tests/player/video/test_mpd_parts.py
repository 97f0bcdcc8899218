"""MPDs whose segments are parts of files, and those of several Periods."""

from __future__ import annotations

from pathlib import Path

import pytest

import player.video.mpd_periods
from player.video.built_in import load_video
from player.video.byte_range import ByteRange
from player.video.mpd import Presentation, read_mpd
from player.video.mpd_indexed import NeedsIndexError
from player.video.mpd_xml import MpdError
from player.video.video import VideoError
from tests.support.one_file import a_file, sidx, write_one_file_video

URL = "http://origin.example/a/b.mpd"


def one_file(inside: str, period: str = 'duration="PT4S"') -> str:
    level = f'<Representation id="v" bandwidth="800000"><BaseURL>v.mp4</BaseURL>{inside}</Representation>'
    video = f'<AdaptationSet mimeType="video/mp4">{level}</AdaptationSet>'
    return f"<MPD><Period {period}>{video}</Period></MPD>"


def read(text: str, data: bytes = b"") -> Presentation:
    return read_mpd(text, URL, lambda url, part: data[part.first : part.last + 1])


def refused(text: str, data: bytes = b"") -> str:
    with pytest.raises(MpdError) as caught:
        read(text, data)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


# ---------------------------------------------------------------- one file with an index


@pytest.mark.parametrize("named", [True, False])
def test_an_index_says_where_segments_lie_and_how_large_they_are(named: bool) -> None:
    data, index = a_file([50, 70])
    got = read(one_file(f'<SegmentBase indexRange="{index}"/>' if named else ""), data)
    assert got.video.sizes_bytes == ((50,), (70,)) and got.sizes_exact and got.notes == ()
    assert got.video.chunk_s == 2.0
    assert got.url(0, 1) == "http://origin.example/a/v.mp4"
    assert got.part(0, 0) == ByteRange(index.last + 1, index.last + 50)
    assert got.part(0, 1) == ByteRange(index.last + 51, index.last + 120)


def test_segments_before_the_period_are_not_its() -> None:
    data, index = a_file([50, 70, 90])
    text = one_file(f'<SegmentBase indexRange="{index}" timescale="4" presentationTimeOffset="8"/>')
    got = read(text, data)
    assert got.video.sizes_bytes == ((70,), (90,))
    assert "1 of 3 segments is outside the Period of 4 s and left out" in got.notes


def test_without_somebody_who_reads_it_the_index_is_missed() -> None:
    with pytest.raises(NeedsIndexError, match="Representation v: its segments are parts of one file"):
        read_mpd(one_file(""), URL)


@pytest.mark.parametrize(
    ("inside", "data", "said"),
    [
        ('<SegmentBase indexRange="9-1"/>', b"", "@indexRange '9-1' is no byte range"),
        ('<SegmentBase indexRange="0-99999999999"/>', b"", "an index has at most"),
        ('<SegmentBase indexRange="0-99"/>', b"abc", "beyond the end of the file, which has 3"),
        ('<SegmentBase timescale="0"/>', a_file([5])[0], "@timescale is 0"),
        ('<SegmentBase><RepresentationIndex sourceURL="i.sidx"/></SegmentBase>', b"", "a file of its own"),
        ("", sidx([(0, 2**31 - 1, 1)] * 9, offset=2**48, version=1), "no file is as long"),
    ],
)
def test_an_index_that_is_none_is_refused(inside: str, data: bytes, said: str) -> None:
    assert said in refused(one_file(inside), data)


def test_only_mp4_has_such_an_index() -> None:
    assert "only MP4's (sidx)" in refused(one_file("").replace("video/mp4", "video/webm"))


def test_of_files_with_other_indexes_and_mp4_the_latter_is_taken() -> None:
    data, _ = a_file([50, 70])
    level = '<Representation id="{0}" bandwidth="{1}"><BaseURL>{0}</BaseURL></Representation>'
    sets = [
        f'<AdaptationSet mimeType="video/{kind}">{level.format(kind, 800_000)}</AdaptationSet>'
        for kind in ("webm", "mp4")
    ]
    got = read(f'<MPD><Period duration="PT4S">{"".join(sets)}</Period></MPD>', data)
    assert got.url(0, 0).endswith("/mp4") and any("another container" in note for note in got.notes)


def test_a_size_beyond_any_is_refused() -> None:
    text = one_file('<SegmentList duration="4"><SegmentURL mediaRange="0-999999999999999"/></SegmentList>')
    assert "over 17179869184 bytes" in refused(text)


# ---------------------------------------------------------------- lists of parts


def listed(*parts: str) -> str:
    urls = "".join(f'<SegmentURL mediaRange="{part}"/>' for part in parts)
    return one_file(f'<SegmentList duration="2"><Initialization range="0-9"/>{urls}</SegmentList>')


def test_listed_parts_have_their_own_sizes() -> None:
    got = read(listed("10-59", "60-159"))
    assert got.video.sizes_bytes == ((50,), (100,)) and got.sizes_exact
    assert got.part(0, 1) == ByteRange(60, 159) and got.url(0, 0).endswith("/a/v.mp4")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("10-59", "59-100"), "bytes 10-59 and 59-100 of one file overlap"),
        (("10-59", "10-59"), "overlap"),
        (("59-10", "60-70"), "SegmentURL 1: @mediaRange '59-10' is no byte range"),
        (("1" * 40 + "-" + "2" * 40, "60-70"), "is no byte range"),
    ],
)
def test_parts_that_cannot_be_are_refused(parts: tuple[str, ...], said: str) -> None:
    assert said in refused(listed(*parts))


def test_a_segment_that_is_nowhere() -> None:
    text = one_file('<SegmentList duration="2"><SegmentURL/></SegmentList>')
    assert "SegmentURL 1 has neither @media nor @mediaRange" in refused(text)


# ---------------------------------------------------------------- where URLs lead


@pytest.mark.parametrize("base", ["file:///etc/passwd", "data:text/plain,x", "ftp://x/y"])
def test_what_came_over_a_network_leads_to_no_other_place(base: str) -> None:
    assert "leads away from http" in refused(one_file("").replace("v.mp4", base))


def test_going_up_ends_at_the_root() -> None:
    got = read(listed("10-59", "60-159").replace("v.mp4", "../../../../etc/passwd"))
    assert got.url(0, 0) == "http://origin.example/etc/passwd"


# ---------------------------------------------------------------- files on this machine


def test_a_video_of_one_file_a_level_has_its_true_sizes(tmp_path: Path) -> None:
    path = write_one_file_video(tmp_path, [[500, 700], [1500, 1700]])
    video = load_video(path)
    assert video.sizes_bytes == ((500, 1500), (700, 1700)) and video.sizes_exact
    assert video.ladder_kbps == (100, 200) and video.chunk_s == 2.0


def test_a_file_that_ends_too_early_or_is_not_there_is_named(tmp_path: Path) -> None:
    path = write_one_file_video(tmp_path, [[500, 700]])
    data = (tmp_path / "v0.mp4").read_bytes()
    (tmp_path / "v0.mp4").write_bytes(data[:-1])
    with pytest.raises(VideoError, match=rf"v0.mp4 has {len(data) - 1} bytes, and a segment ends at"):
        load_video(path)
    (tmp_path / "v0.mp4").unlink()
    with pytest.raises(VideoError, match=r"v0.mp4 is not there, and the index of its segments is in it"):
        load_video(path)


# ---------------------------------------------------------------- several Periods


def period(attributes: str, *kbps: int, name: str = "p", seconds: int = 2) -> str:
    levels = "".join(f'<Representation id="{one}" bandwidth="{one}000"/>' for one in kbps)
    return (
        f'<Period id="{name}" {attributes}><AdaptationSet contentType="video">'
        f'<SegmentTemplate duration="{seconds}" media="{name}-$RepresentationID$-$Number$"/>{levels}'
        "</AdaptationSet></Period>"
    )


def several(*found: str, length: str = 'mediaPresentationDuration="PT10S"') -> str:
    return f"<MPD {length}>{''.join(found)}</MPD>"


def names(got: Presentation, level: int) -> list[str]:
    return [row[level].rsplit("/", 1)[1] for row in got.urls]


def test_periods_are_played_one_after_the_other() -> None:
    got = read(
        several(period('start="PT0S"', 100, 200, name="a"), period('start="PT4S"', 100, 200, name="b"))
    )
    assert names(got, 1) == ["a-200-1", "a-200-2", "b-200-1", "b-200-2", "b-200-3"]
    assert got.video.chunk_s == 2.0 and got.parts is None
    assert "2 Periods are played one after the other" in got.notes


def test_a_period_begins_where_the_one_before_ends() -> None:
    got = read(several(period('duration="PT2S"', 100, name="a"), period("", 100, name="b")))
    assert names(got, 0) == ["a-100-1", *(f"b-100-{number}" for number in range(1, 5))]


def test_another_ladder_is_mapped_by_bitrate() -> None:
    first, long = (
        period('start="PT0S"', 150, 900, name="ad"),
        period('start="PT2S"', 100, 500, 1000, name="b"),
    )
    got = read(several(first, long))
    assert got.video.ladder_kbps == (100, 500, 1000)
    assert [url.rsplit("/", 1)[1] for url in got.urls[0]] == ["ad-150-1", "ad-150-1", "ad-900-1"]
    assert got.video.sizes_bytes[0] == (37_500, 37_500, 225_000)  # of what is really fetched
    assert any("the ladder is that of Period b; in Period ad a level is" in note for note in got.notes)


def test_a_period_of_no_length_is_left_out() -> None:
    empty = period('start="PT4S" duration="PT0S"', 100, name="e")
    got = read(several(period('start="PT0S"', 100, name="a"), empty, period('start="PT4S"', 100, name="b")))
    assert len(got.urls) == 5 and "Period e lasts 0 s and is left out" in got.notes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (several(), "0 Periods"),
        (
            several(period('start="PT4S"', 1, name="a"), period('start="PT1S"', 1, name="b")),
            "Period a of 2 ends 3 s before it begins",
        ),
        (several(period("", 1), period('start="PT20S"', 1)), "Period p of 2 ends 10 s before it begins"),
        (several(period('start="-PT1S"', 1), period("", 1)), "expected a duration"),
        (several(period('duration="PT2S"', 1), '<Period id="x"/>'), "Period x of 2: no video"),
        (
            several(period('start="PT0S"', 1), period('start="PT20S"', 1), length=""),
            "no @mediaPresentationDuration",
        ),
    ],
)
def test_periods_that_cannot_be_played_are_named(text: str, said: str) -> None:
    assert said in refused(text)


def test_periods_of_too_many_segments_in_all_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player.video.mpd_periods, "MAX_CHUNKS", 4)
    text = several(period('start="PT0S"', 1, name="a"), period('start="PT4S"', 1, name="b"))
    assert "the Periods have 5 segments in all; 4 are the limit" in refused(text)
