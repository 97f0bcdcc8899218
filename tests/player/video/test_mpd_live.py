"""Other people's live MPDs: which segments are played, and when they are made."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from player.video.mpd import Presentation, read_mpd
from player.video.mpd_live import LiveRead, time_s
from player.video.mpd_xml import MpdError

BEGINS_S = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
URL = "http://o/a/b.mpd"


def live(template: str, attributes: str = "", periods: str = "<Period>{}</Period>") -> str:
    video = (
        f'<AdaptationSet contentType="video">{template}<Representation id="v" bandwidth="800000"/>'
        "</AdaptationSet>"
    )
    begins = 'type="dynamic" availabilityStartTime="2026-11-27T12:00:00Z"'
    return f"<MPD {begins} {attributes}>{periods.format(video)}</MPD>"


def read(text: str, since_s: float, latency_s: float | None = None, chunks: int = 3) -> Presentation:
    return read_mpd(text, URL, live=LiveRead(BEGINS_S + since_s, chunks, latency_s))


def names(got: Presentation) -> list[str]:
    return [row[0].rsplit("/", 1)[1] for row in got.urls]


NUMBERS = '<SegmentTemplate duration="2" startNumber="5" media="$Number$"/>'


def test_one_joins_three_segments_behind_the_edge() -> None:
    got = read(live(NUMBERS), 100.5)
    assert names(got) == ["52", "53", "54"]  # 94.5 s are in segment 47 of 2 s
    assert got.live is not None and got.live.begins_s == BEGINS_S + 94
    assert got.live.available_s(0, 2.0) == BEGINS_S + 96


def test_or_as_far_as_one_says_or_the_mpd_suggests() -> None:
    assert names(read(live(NUMBERS), 100.5, latency_s=20.0))[0] == "45"
    assert names(read(live(NUMBERS, 'suggestedPresentationDelay="PT30S"'), 100.5))[0] == "40"
    assert names(read(live(NUMBERS), 3.0))[0] == "5"


def test_a_stream_that_began_long_ago_costs_nothing() -> None:
    got = read(live(NUMBERS).replace("2026-11-27T12:00:00Z", "1970-01-01T00:00:00Z"), 0.0)
    assert got.live is not None and BEGINS_S - 8 <= got.live.begins_s <= BEGINS_S - 6


TIMELINE = (
    '<SegmentTemplate timescale="10" presentationTimeOffset="100" media="$Time$"><SegmentTimeline>'
    '<S t="1000" d="20" r="9"/><S d="30" r="1"/></SegmentTimeline></SegmentTemplate>'
)


def test_a_timeline_goes_on_as_its_last_segment() -> None:
    got = read(live(TIMELINE), 500.0, latency_s=8.0, chunks=5)
    assert names(got) == ["1180", "1200", "1230", "1260", "1290"]  # listed to 1260: 8 s before are 1180
    assert got.live is not None and got.live.begins_s == pytest.approx(BEGINS_S + 108)
    assert any("each counts as their mean" in note for note in got.notes)


def test_a_run_without_an_end_lasts_to_the_edge() -> None:
    text = live(TIMELINE.replace('r="1"', 'r="-1"'))
    assert names(read(text, 300.0, latency_s=3.0)) == ["3060", "3090", "3120"]


def test_chunks_may_be_had_early() -> None:
    got = read(live(NUMBERS.replace("/>", ' availabilityTimeOffset="1.5"/>')), 100.0)
    assert got.live is not None and got.live.ahead_s == 1.5
    inf = read(live(NUMBERS.replace("/>", ' availabilityTimeOffset="INF"/>')), 100.0)
    assert inf.live is not None and inf.live.ahead_s == 0.0


def test_of_several_periods_that_is_played_in_which_the_edge_is() -> None:
    periods = '<Period start="PT0S"><AdaptationSet/></Period><Period start="PT60S">{}</Period>'
    got = read(live(NUMBERS, periods=periods), 100.5)
    assert names(got) == ["22", "23", "24"]
    assert got.live is not None and got.live.begins_s == BEGINS_S + 94


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (live(NUMBERS).replace(' availabilityStartTime="2026-11-27T12:00:00Z"', ""), "no @availabilityStart"),
        (live(NUMBERS).replace("2026-11-27T12:00:00Z", "noon"), "'noon' is no time"),
        (live(NUMBERS).replace("2026-11-27T12:00:00Z", "9" * 99), "is no time"),
        (live(NUMBERS, 'mediaPresentationDuration="PT20S"'), "has ended"),
        (live('<SegmentTemplate duration="0" media="$Number$"/>'), "@duration is 0"),
        (live('<SegmentTemplate media="$Time$"><SegmentTimeline/></SegmentTemplate>'), "no S"),
        (live(TIMELINE.replace('d="20"', 'd="0"')), "@d 0"),
        (live(NUMBERS.replace("/>", ' availabilityTimeOffset="-1"/>')), "expected seconds"),
        (live('<SegmentList duration="2"/>'), "a live stream without a SegmentTemplate"),
        (live(NUMBERS, periods=""), "0 Periods"),
    ],
)
def test_what_cannot_be_joined_is_named(text: str, said: str) -> None:
    with pytest.raises(MpdError) as caught:
        read(text, 100.0)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_time_without_a_zone_is_utc() -> None:
    assert time_s("2026-11-27T12:00:00") == time_s("2026-11-27T13:00:00+01:00") == BEGINS_S
