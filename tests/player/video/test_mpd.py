"""The MPD: ours comes back identical, stock parsers read it, others' are understood or refused."""

from __future__ import annotations

import gzip
import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpegdash.parser import MPEGDASHParser

from player.video.built_in import builtin_names, load_video
from player.video.mpd import Presentation, read_mpd
from player.video.mpd_ladder import SIZES_SCHEME
from player.video.mpd_segments import MAX_CHUNKS
from player.video.mpd_write import write_mpd
from player.video.mpd_xml import MOST_BYTES, MpdError
from player.video.video import Video

URL = "http://origin.example:8080/some/manifest.mpd"


@st.composite
def videos(draw: st.DrawFn) -> Video:
    """Any video that a user could have."""
    levels, chunks = draw(st.integers(1, 8)), draw(st.integers(1, 60))
    chunk_s = draw(
        st.one_of(
            st.sampled_from([1.0, 2.0, 4.0, 6.0, 10.0]),
            st.fractions(Fraction(1, 10), 30, max_denominator=90_000).map(float),
            st.floats(0.1, 30).map(lambda length_s: round(length_s, 9)),
        )
    )
    ladder = draw(st.lists(st.integers(1, 200_000), min_size=levels, max_size=levels, unique=True))
    row = st.lists(st.integers(1, 10**9), min_size=levels, max_size=levels).map(tuple)
    sizes = draw(st.lists(row, min_size=chunks, max_size=chunks))
    printable = st.text(
        st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\"), min_size=1, max_size=30
    ).filter(lambda name: name.strip("."))
    return Video(draw(printable), chunk_s, tuple(sorted(ladder)), tuple(sizes))


@given(videos())
@settings(max_examples=60, deadline=None)
def test_our_mpd_gives_back_the_identical_video(video: Video) -> None:
    text = write_mpd(video)
    presentation = read_mpd(text, URL)
    assert presentation.video == video
    assert presentation.video.sha256 == video.sha256
    assert presentation.sizes_exact and presentation.notes == ()
    assert read_mpd(text.encode(), URL) == presentation


def test_a_chunk_length_that_no_mpd_can_hold_is_refused() -> None:
    length_s = 0.10000000000000002  # one step of a float from 0.1
    with pytest.raises(MpdError, match=r"no 32-bit timescale expresses chunks of 0.10000000000000002 s"):
        write_mpd(Video("odd", length_s, (300,), ((1,),)))


@given(videos())
@settings(max_examples=30, deadline=None)
def test_min_buffer_time_makes_bandwidth_true(video: Video) -> None:
    """Feed chunks at exactly @bandwidth; after @minBufferTime no start may ever starve."""
    match = re.search(r'minBufferTime="PT([0-9.]+)S"', write_mpd(video))
    assert match
    for level, kbps in enumerate(video.ladder_kbps):
        for start in range(0, video.chunks, 7):
            arrived_s = 0.0
            for index, row in enumerate(video.sizes_bytes[start:]):
                arrived_s += row[level] * 8 / (kbps * 1000)
                assert arrived_s <= float(match[1]) + index * video.chunk_s + 1e-6 * arrived_s


@pytest.mark.parametrize("name", builtin_names())
def test_a_stock_parser_reads_it(name: str) -> None:
    video = load_video(name)
    mpd = MPEGDASHParser.parse(write_mpd(video))
    assert mpd.type == "static"
    assert mpd.media_presentation_duration == "PT192S"
    assert mpd.profiles == "urn:mpeg:dash:profile:isoff-live:2011"
    (video_set,) = mpd.periods[0].adaptation_sets
    assert video_set.mime_type == "video/mp4"
    (template,) = video_set.segment_templates
    assert template.media == "$RepresentationID$/$Number$.m4s"
    assert template.duration / template.timescale == 4 and template.start_number == 0
    assert [r.bandwidth for r in video_set.representations] == [k * 1000 for k in video.ladder_kbps]
    assert len({r.id for r in video_set.representations}) == video.levels
    assert all(r.codecs.startswith("avc1.6400") for r in video_set.representations)


@pytest.mark.parametrize("name", builtin_names())
def test_a_stock_parser_s_rewrite_still_gives_back_the_video(name: str) -> None:
    video = load_video(name)
    rewritten = MPEGDASHParser.get_as_doc(MPEGDASHParser.parse(write_mpd(video))).toxml()
    assert read_mpd(rewritten, URL).video == video


def test_urls_are_beside_the_manifest() -> None:
    presentation = read_mpd(write_mpd(load_video("envivio")), URL)
    assert presentation.url(2, 7) == "http://origin.example:8080/some/2/7.m4s"
    assert presentation.init_urls == (None,) * 6


def test_codecs_follow_the_bitrate() -> None:
    found = re.findall(r'codecs="([^"]*)"', write_mpd(load_video("uhd")))
    assert found[0] == "avc1.64001E" and found[-1] == "avc1.640033"


def test_real_media_have_codecs_of_their_own_and_initialization_segments() -> None:
    video = load_video("envivio")
    text = write_mpd(video, ["avc1.42C00C"] * 6)
    presentation = read_mpd(text, URL)
    assert presentation.video == video
    assert presentation.init_urls[2] == "http://origin.example:8080/some/2/init.mp4"
    assert text.count('codecs="avc1.42C00C"') == 6


@pytest.mark.parametrize("name", ["", " padded", "new\nline", "\x00", "\ud800"])
def test_names_that_xml_cannot_carry_are_refused(name: str) -> None:
    with pytest.raises(MpdError, match="cannot be written into an MPD"):
        write_mpd(Video(name, 4.0, (1,), ((1,),)))


def test_too_many_chunks_are_refused_by_the_writer() -> None:
    with pytest.raises(MpdError, match="are the limit"):
        write_mpd(Video("long", 4.0, (1,), ((1,),) * (MAX_CHUNKS + 1)))


# ---------------------------------------------------------------- others' manifests


def manifest(body: str, attributes: str = 'type="static" mediaPresentationDuration="PT10S"') -> str:
    return f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" {attributes}><Period>{body}</Period></MPD>'


def video_set(inside: str, representations: str = '<Representation id="v" bandwidth="800000"/>') -> str:
    return f'<AdaptationSet contentType="video">{inside}{representations}</AdaptationSet>'


def read(body: str, **options: str) -> Presentation:
    return read_mpd(manifest(body, **options), URL)


def test_number_template_with_width_and_short_last_segment() -> None:
    got = read(
        video_set(
            '<SegmentTemplate timescale="1000" duration="4000" startNumber="5"'
            ' initialization="$RepresentationID$-init.mp4" media="$RepresentationID$-$Number%05d$.m4s"/>'
        )
    )
    base = "http://origin.example:8080/some/"
    assert [row[0] for row in got.urls] == [f"{base}v-0000{n}.m4s" for n in (5, 6, 7)]
    assert got.init_urls == (f"{base}v-init.mp4",)
    assert got.video.chunk_s == 4.0 and got.video.name == "some"
    assert got.video.sizes_bytes == ((400_000,), (400_000,), (200_000,))
    assert not got.sizes_exact and "estimated" in got.notes[-1]


def test_time_template_with_a_timeline() -> None:
    got = read(
        video_set(
            '<SegmentTemplate timescale="10" presentationTimeOffset="100" media="$Bandwidth$/$Time$$$.m4s">'
            '<SegmentTimeline><S t="100" d="20" r="2"/><S d="30"/><S d="5" r="-1"/></SegmentTimeline>'
            "</SegmentTemplate>"
        )
    )
    names = [row[0].rsplit("/", 1)[1] for row in got.urls]
    assert names == [f"{time}$.m4s" for time in (100, 120, 140, 160, 190, 195)]
    assert got.url(0, 0).endswith("/800000/100$.m4s")
    assert any("each counts as their mean" in note for note in got.notes)


def test_a_timeline_run_that_lasts_until_the_next() -> None:
    got = read(
        video_set(
            '<SegmentTemplate media="$Number$"><SegmentTimeline>'
            '<S t="0" d="2" r="-1"/><S t="8" d="2"/></SegmentTimeline></SegmentTemplate>'
        )
    )
    assert [row[0][-1] for row in got.urls] == ["1", "2", "3", "4", "5"]
    assert got.video.duration_s == 10


def test_base_urls_nest() -> None:
    text = (
        '<MPD mediaPresentationDuration="PT4S"><BaseURL>http://cdn.example/a/</BaseURL><Period>'
        '<BaseURL>b/</BaseURL><AdaptationSet mimeType="video/mp4"><BaseURL>c/</BaseURL>'
        '<SegmentTemplate duration="4" media="$Number$"/>'
        '<Representation id="x" bandwidth="1000"><BaseURL>d/</BaseURL></Representation>'
        '<Representation id="y" bandwidth="2000"><BaseURL>/top/</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>"
    )
    assert read_mpd(text, URL).urls == (("http://cdn.example/a/b/c/d/1", "http://cdn.example/top/1"),)


def test_segment_attributes_are_inherited_and_overridden() -> None:
    text = manifest(
        '<SegmentTemplate timescale="2" duration="10" media="period-$Number$"/>'
        + video_set(
            '<SegmentTemplate startNumber="3"/>',
            '<Representation id="a" bandwidth="1000"/>'
            '<Representation id="b" bandwidth="2000"><SegmentTemplate media="own-$Number$"/>'
            "</Representation>",
        )
    )
    got = read_mpd(text, URL)
    assert [[url.rsplit("/", 1)[1] for url in row] for row in got.urls] == [
        ["period-3", "own-3"],
        ["period-4", "own-4"],
    ]


def test_segment_list() -> None:
    got = read(
        video_set(
            '<SegmentList duration="5"><Initialization sourceURL="i.mp4"/>'
            '<SegmentURL media="one.m4s"/><SegmentURL media="two.m4s"/></SegmentList>'
        )
    )
    assert [row[0].rsplit("/", 1)[1] for row in got.urls] == ["one.m4s", "two.m4s"]
    assert got.init_urls[0] == "http://origin.example:8080/some/i.mp4"
    assert got.video.chunk_s == 5.0


def test_audio_trick_mode_and_equal_bandwidths_are_left_out_and_said() -> None:
    template = '<SegmentTemplate duration="5" media="$RepresentationID$-$Number$"/>'
    trick = (
        '<AdaptationSet contentType="video">'
        '<EssentialProperty schemeIdUri="http://dashif.org/guidelines/trickmode" value="1"/>'
        f'{template}<Representation id="t" bandwidth="1000"/></AdaptationSet>'
    )
    audio = (
        f'<AdaptationSet mimeType="audio/mp4">{template}<Representation id="a" bandwidth="64000"/>'
        "</AdaptationSet>"
    )
    got = read(
        trick
        + audio
        + video_set(
            template,
            '<Representation id="hi" bandwidth="900000"/><Representation id="lo" bandwidth="100000"/>'
            '<Representation id="twin" bandwidth="900001"/>',
        )
    )
    assert got.video.ladder_kbps == (100, 900)
    assert [url.rsplit("/", 1)[1] for url in got.urls[0]] == ["lo-1", "hi-1"]
    assert any("2 AdaptationSets that are not video" in note for note in got.notes)
    assert any("1 Representation of the same bandwidth is" in note for note in got.notes)


@pytest.mark.parametrize(
    ("duration", "chunks"),
    [("PT3M12S", 48), ("PT191.9995S", 48), ("PT192.003S", 48), ("P0DT0H3M13S", 49), ("PT0.05H", None)],
)
def test_durations(duration: str, chunks: int | None) -> None:
    text = manifest(
        video_set('<SegmentTemplate duration="4" media="$Number$"/>'),
        f'mediaPresentationDuration="{duration}"',
    )
    if chunks is None:
        with pytest.raises(MpdError, match="expected a duration"):
            read_mpd(text, URL)
    else:
        assert read_mpd(text, URL).video.chunks == chunks


TEMPLATE = '<SegmentTemplate duration="4" media="$Number$"/>'
SIZES = f'<SupplementalProperty schemeIdUri="{SIZES_SCHEME}" value='


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("MPD", "not well-formed"),
        ("# a & b", r"not well-formed XML: invalid token, line 1, column 1"),
        ('{"mpd": 1}', "this is JSON"),
        ("#EXTM3U\n#EXT-X-VERSION:3\n", "this is an HLS playlist"),
        (b"\0\0\0\x18ftypmp42", "this is an MP4 file"),
        (b"<MPD>\xff</MPD>", "byte 5 is not UTF-8"),
        ("<SmoothStreamingMedia/>", "root element is SmoothStreamingMedia"),
        (manifest("", 'type="dynamic"'), "a live stream, which is played with --live"),
        ("<MPD/>", "0 Periods"),
        ('<MPD><Period duration="PT1S"/><Period/></MPD>', "Period 1 of 2: no video"),
        (manifest('<AdaptationSet contentType="audio"/>'), "no video among 1 AdaptationSet:"),
        (manifest(video_set(TEMPLATE, "")), "has no Representation"),
        (manifest(video_set(TEMPLATE, '<Representation id="x"/>')), "Representation x has no @bandwidth"),
        (manifest(video_set(TEMPLATE, '<Representation bandwidth="fast"/>')), "'fast'"),
        (manifest(video_set(TEMPLATE, '<Representation bandwidth="-1"/>')), "'-1'"),
        (manifest(video_set(TEMPLATE, '<Representation bandwidth="0"/>')), "@bandwidth is 0"),
        (manifest(video_set("")), "Representation v: its segments are parts of one file"),
        (manifest(video_set('<SegmentTemplate duration="4"/>')), "no @media"),
        (manifest(video_set('<SegmentTemplate duration="4" media="x"/>')), "neither $Number$ nor $Time$"),
        (manifest(video_set('<SegmentTemplate media="$Number$"/>')), "has no @duration"),
        (manifest(video_set(TEMPLATE), ""), "no @mediaPresentationDuration"),
        (manifest(video_set(TEMPLATE), 'mediaPresentationDuration="PT0S"'), "0 segments"),
        (manifest(video_set(TEMPLATE.replace('"4"', '"0"'))), "@duration is 0"),
        (manifest(video_set(TEMPLATE.replace("/>", ' timescale="0"/>'))), "@timescale is 0"),
        (manifest(video_set(TEMPLATE.replace("$Number$", "$Number%0999d$"))), "width 999"),
        (manifest(video_set(TEMPLATE.replace("$Number$", "$Number$$Nonsense$"))), "$Nonsense$"),
        (
            manifest(
                video_set(TEMPLATE.replace("$N", "$RepresentationID$$N"), '<Representation bandwidth="1"/>')
            ),
            "no @id",
        ),
        (manifest(video_set('<SegmentTemplate media="$Time$"><SegmentTimeline/></SegmentTemplate>')), "no S"),
        (manifest(video_set('<SegmentList duration="4"/>')), "no SegmentURL"),
        (
            manifest(video_set('<SegmentList duration="4"><SegmentURL mediaRange="9-0"/></SegmentList>')),
            "'9-0' is no byte range",
        ),
        (
            manifest(
                video_set(TEMPLATE, f'<Representation bandwidth="1000">{SIZES}"1 2"/></Representation>')
            ),
            "2 chunk sizes for 3 segments",
        ),
        (
            manifest(
                video_set(TEMPLATE, f'<Representation bandwidth="1000">{SIZES}"1 x 3"/></Representation>')
            ),
            "chunk size 'x'",
        ),
        (
            manifest(
                video_set(TEMPLATE, f'<Representation bandwidth="1000">{SIZES}"1 0 3"/></Representation>')
            ),
            "must be positive",
        ),
        (
            manifest(
                video_set(
                    "",
                    f'<Representation bandwidth="1000">{TEMPLATE}</Representation>'
                    f'<Representation bandwidth="2000">{TEMPLATE.replace("4", "5")}</Representation>',
                )
            ),
            "3, 2 segments; they must be aligned",
        ),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(text: str | bytes, said: str) -> None:
    with pytest.raises(MpdError) as caught:
        read_mpd(text, URL)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        manifest(video_set(TEMPLATE), 'mediaPresentationDuration="PT999999999999S"'),
        manifest(video_set(TEMPLATE.replace("/>", ' endNumber="9999999999"/>'))),
        manifest(
            video_set(
                '<SegmentTemplate media="$Number$"><SegmentTimeline><S d="1" r="999999999999"/>'
                "</SegmentTimeline></SegmentTemplate>"
            )
        ),
    ],
)
def test_endless_manifests_are_refused_quickly(text: str) -> None:
    with pytest.raises(MpdError, match="segments"):
        read_mpd(text, URL)


def test_entities_are_never_expanded() -> None:
    for text in (
        '<!DOCTYPE MPD [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><MPD>&b;</MPD>',
        '<!DOCTYPE MPD SYSTEM "file:///etc/passwd"><MPD/>',
    ):
        with pytest.raises(MpdError, match="DOCTYPE"):
            read_mpd(text, URL)


# ---------------------------------------------------------------- what packagers really write


@pytest.mark.parametrize(
    ("duration", "chunks"),
    [("P0Y0M0DT0H0M12.000S", 3), ("P0YT12S", 3), ("P0M0DT0H0M12S", 3), ("P0Y1DT0S", 21_600)],
)
def test_no_years_and_no_months_are_exact(duration: str, chunks: int) -> None:
    text = manifest(video_set(TEMPLATE), f'mediaPresentationDuration="{duration}"')
    assert read_mpd(text, URL).video.chunks == chunks


@pytest.mark.parametrize("duration", ["P1Y", "P0Y2MT3S"])
def test_years_and_months_have_no_length(duration: str) -> None:
    with pytest.raises(MpdError, match="years and months vary in length, write days"):
        read_mpd(manifest(video_set(TEMPLATE), f'mediaPresentationDuration="{duration}"'), URL)


def quality(number: int, kbps: int, attributes: str = "", inside: str = "", runs: str = "") -> str:
    """An AdaptationSet of one level, as ffmpeg writes them."""
    timeline = runs or '<S t="0" d="20" r="4"/>'
    return (
        f'<AdaptationSet id="{number}" contentType="video" {attributes}>{inside}'
        f'<Representation id="{number}" mimeType="video/mp4" codecs="avc1.64001f" bandwidth="{kbps}000">'
        '<SegmentTemplate timescale="10" media="$RepresentationID$-$Number$.m4s"><SegmentTimeline>'
        f"{timeline}</SegmentTimeline></SegmentTemplate></Representation></AdaptationSet>"
    )


def test_sets_that_differ_in_bitrate_alone_are_one_video() -> None:
    got = read(quality(0, 1200) + quality(1, 300) + quality(2, 750))
    assert got.video.ladder_kbps == (300, 750, 1200) and got.video.chunks == 5
    assert [url.rsplit("/", 1)[1] for url in got.urls[0]] == ["1-1.m4s", "2-1.m4s", "0-1.m4s"]
    assert "3 video AdaptationSets with the same segments count as one video of 3 levels" in got.notes


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (quality(1, 750).replace("avc1", "hvc1"), "another codec"),
        (quality(1, 750).replace("video/mp4", "video/webm"), "another container"),
        (quality(1, 750, inside='<Viewpoint schemeIdUri="v" value="left"/>'), "another role or view"),
        (quality(1, 750, inside='<Role schemeIdUri="r" value="sign"/>'), "another role or view"),
        (quality(1, 750, runs='<S t="0" d="25" r="3"/>'), "other segments"),
        (quality(1, 300), "a second one of 300 kbit/s"),
    ],
)
def test_alternatives_are_left_out_and_named(other: str, why: str) -> None:
    got = read(quality(0, 300) + other + quality(2, 1200))
    assert got.video.ladder_kbps == (300, 1200)
    assert f"of 3 video AdaptationSets not streamed: AdaptationSet 1 ({why})" in got.notes


def timeline(runs: str, attributes: str = "") -> str:
    return video_set(
        f'<SegmentTemplate timescale="1" media="$Time$" {attributes}><SegmentTimeline>{runs}'
        "</SegmentTimeline></SegmentTemplate>"
    )


def in_period(body: str, duration: str) -> Presentation:
    return read_mpd(f'<MPD><Period duration="{duration}">{body}</Period></MPD>', URL)


@pytest.mark.parametrize(
    ("body", "times", "note"),
    [
        (
            timeline('<S t="0" d="2" r="9"/>', 'presentationTimeOffset="4"'),
            ["4", "6", "8", "10"],
            "6 of 10 segments are outside the Period of 8 s and left out",
        ),
        (timeline('<S t="0" d="2" r="4"/>'), ["0", "2", "4", "6"], "1 of 5 segments is outside"),
        (
            video_set('<SegmentTemplate duration="2" endNumber="6" media="$Number$"/>'),
            ["1", "2", "3", "4"],
            "2 of 6 segments are outside",
        ),
        (
            video_set(
                '<SegmentList duration="4">'
                + "".join(f'<SegmentURL media="u{number}"/>' for number in range(3))
                + "</SegmentList>"
            ),
            ["u0", "u1"],
            "1 of 3 segments is outside",
        ),
        (timeline('<S t="0" d="2" r="1"/>'), ["0", "2"], "the segments end at 4 s of the Period of 8 s"),
        (timeline('<S t="900" d="2" r="1"/>'), ["900", "902"], "all segments have times outside the Period"),
        (timeline('<S t="0" d="3" r="2"/>'), ["0", "3", "6"], ""),
    ],
)
def test_what_is_played_is_what_lies_within_the_period(body: str, times: list[str], note: str) -> None:
    got = in_period(body, "PT8S")
    assert [row[0].rsplit("/", 1)[1] for row in got.urls] == times
    assert any(each.startswith(note) for each in got.notes) if note else len(got.notes) == 1


@pytest.mark.parametrize(
    ("attributes", "period_s", "chunks", "said"),
    [
        ("", "12.04", 6, True),  # 6 segments of 2.002 s, and 0.028 s
        ("", "12.0125", 6, False),  # rounding
        ("", "12.06", 6, True),
        ("", "12.2", 7, False),
        ('frameRate="10"', "12.1", 6, True),
        ('frameRate="30000/1001"', "12.1", 7, False),
        ("", "0.02", 1, False),
    ],
)
def test_a_rest_of_about_a_frame_is_no_segment(
    attributes: str, period_s: str, chunks: int, said: bool
) -> None:
    template = '<SegmentTemplate timescale="24000" duration="48048" media="$Number$"/>'
    repeated = template.replace(' duration="48048"', "").replace(
        "/>", '><SegmentTimeline><S d="48048" r="-1"/></SegmentTimeline></SegmentTemplate>'
    )
    for body in (template, repeated):
        got = in_period(video_set(body).replace("Set ", f"Set {attributes} ", 1), f"PT{period_s}S")
        assert got.video.chunks == chunks
        assert any("so short a rest counts as none" in note for note in got.notes) is said


XLINK = 'xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href='


@pytest.mark.parametrize(
    "body",
    [
        f'<MPD><Period id="p" {XLINK}"http://far.example/p.xml"/></MPD>',
        f'<MPD><Period><AdaptationSet id="a" {XLINK}"http://far.example/p.xml"/></Period></MPD>',
        manifest(video_set(f'<SegmentList {XLINK}"http://far.example/p.xml"/>')),
    ],
)
def test_what_lies_elsewhere_is_named(body: str) -> None:
    with pytest.raises(MpdError, match=r"lies elsewhere \(xlink:href 'http://far.example/p.xml'\)"):
        read_mpd(body, URL)


def test_an_element_that_resolves_to_nothing_is_not_there() -> None:
    nothing = f'{XLINK}"urn:mpeg:dash:resolve-to-zero:2013"'
    body = manifest(video_set(TEMPLATE)).replace("</MPD>", f"<Period {nothing}/></MPD>")
    assert read_mpd(body, URL).video.chunks == 3


@pytest.mark.parametrize(
    "page",
    [
        "<!DOCTYPE html><html><head></head></html>",
        '<?xml version="1.0"?>\n<!-- a --><!-- b -->\n<!doctype HTML public "x"><html/>',
        "  <html lang='en'>",
        "<!-- a -->" * 2000 + "<html>",
    ],
)
def test_a_web_page_is_named(page: str) -> None:
    with pytest.raises(MpdError, match="this is an HTML page, not an MPD"):
        read_mpd(page, URL)


def test_comments_before_nothing_cost_nothing() -> None:
    with pytest.raises(MpdError, match="not well-formed"):
        read_mpd("<!-- a -->" * 2000, URL)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_encodings_that_xml_allows(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + manifest(
        "<!-- caf\u00e9 -->" + video_set(TEMPLATE)
    )
    assert read_mpd(text.encode(encoding), URL).video.chunks == 3


def test_a_gzipped_mpd_is_unpacked_within_bounds() -> None:
    packed = gzip.compress(write_mpd(load_video("uhd")).encode())
    assert read_mpd(packed, URL).video == load_video("uhd")
    with pytest.raises(MpdError, match="gzipped, and cut off"):
        read_mpd(packed[:-9], URL)
    with pytest.raises(MpdError, match="gzipped, and damaged"):
        read_mpd(packed[:99] + b"x" + packed[100:], URL)
    with pytest.raises(MpdError, match="over 32 MiB when unpacked"):
        read_mpd(gzip.compress(bytes(MOST_BYTES + 1)), URL)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_mpd_is_read_or_refused_but_never_crashes(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(_SEEDS))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 12)))
    junk = data.draw(
        st.sampled_from(["", "0", "-1", "$", '"', "<", "PT", "[", "//[", "99999999999999999999"])
    )
    try:
        presentation = read_mpd(text[:start] + junk + text[end:], URL)
    except MpdError as error:
        assert "\n" not in str(error)
    else:
        assert len(presentation.urls) == presentation.video.chunks


_SEEDS = [
    write_mpd(Video("tiny", 4.0, (1, 2), ((1, 2), (3, 4)))),
    manifest(video_set(TEMPLATE)),
    manifest(
        video_set(
            '<SegmentTemplate media="$Time$"><SegmentTimeline><S t="0" d="2" r="3"/></SegmentTimeline>'
            "</SegmentTemplate>"
        )
    ),
    manifest(video_set('<BaseURL>http://a/</BaseURL><SegmentList><SegmentURL media="x"/></SegmentList>')),
]
