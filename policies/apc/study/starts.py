"""Which sessions a study plays: on members of families, and on measured lines, each line for one purpose.

A line is measured, or it is fitted to, or it chooses; by its name alone, so that no command needs to know
what another did. Lines that training holds out (`policies/hindsight/data.py`) are those that measure; of
the others one in `CHOOSING` chooses thresholds, and schedulers are fitted to the rest. Of generated members
the word itself says which.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from player.defaults import CHUNKS
from player.video.built_in import load_video
from player.video.video import Video
from policies.hindsight.data import HOLD_OUT, generated, held_out, line_of
from policies.llm.tasks.ladder.brought import brought
from policies.llm.tasks.ladder.sets import CHUNK_S, MOST_CHUNKS
from traces.families.catalogue import default_video, resolve_many
from traces.trace import Trace

FIT, CHOOSE, MEASURE, ALL = "fit", "choose", "measure", "all"
CHOOSING = 3


@dataclass(frozen=True)
class StudyStart:
    """What one session streams."""

    trace: Trace
    video: Video
    start_index: int = 1
    seed: int = 0
    line: str = ""
    """What the trace was measured on; empty: it is its own."""
    of: str = ""
    """The word that named it."""


@dataclass(frozen=True)
class StudySetting:
    """What is streamed over the traces."""

    video: str | None = None
    """None: a family's own, `envivio` for what is measured."""
    ladder_kbps: list[int] | None = None
    """The video brought to these rates."""
    chunk_s: float | None = None
    """And to this chunk length."""

    def on(self, family: str) -> Video:
        """The video for a family's traces.

        Raises:
            VideoError: no such video.
            ValueError: rates that do not rise.
        """
        return brought(load_video(self.video or default_video(family)), self.ladder_kbps, self.chunk_s)


def purpose_of(trace: Trace) -> str:
    """What a measured trace's line is for."""
    if held_out(trace):
        return MEASURE
    digest = int(hashlib.sha1(line_of(trace.name).encode()).hexdigest(), 16)
    return CHOOSE if digest // HOLD_OUT % CHOOSING == 0 else FIT


def starts_of(
    specs: Sequence[str], setting: StudySetting | None = None, *, starts: int = 1, purpose: str = ALL
) -> list[StudyStart]:
    """Sessions on every trace, begun at places that are spread over it.

    Args:
        starts: on each trace.
        purpose: which measured lines; `ALL` leaves none out.

    Raises:
        TraceError, VideoError: no such trace or video.
        ValueError: none of a folder's lines is for this purpose.
    """
    found: list[StudyStart] = []
    for spec in specs:
        for trace in _traces(spec, purpose):
            video = (setting or StudySetting()).on(trace.family or "")
            for index in _places(trace, starts):
                found.append(StudyStart(trace, video, index, len(found), line_of(trace.name), spec))
    return found


def chunks_of(starts: Sequence[StudyStart], most: int | None = None) -> int:
    """How many chunks each session streams: as published where chunks are as long as published."""
    videos = {id(start.video): start.video for start in starts}.values()
    usual = [CHUNKS if video.chunk_s == CHUNK_S else MOST_CHUNKS for video in videos]
    return min(*usual, *(video.chunks for video in videos), most or MOST_CHUNKS)


def sets_of(starts: Sequence[StudyStart]) -> dict[str, list[int]]:
    """Places of the sessions by the word that named them, each shortened to its last two parts."""
    found: dict[str, list[int]] = {}
    for place, start in enumerate(starts):
        found.setdefault("/".join(start.of.rstrip("/").split("/")[-2:]), []).append(place)
    return found


def _traces(spec: str, purpose: str) -> Sequence[Trace]:
    traces = resolve_many(spec)
    if purpose == ALL or generated(spec):
        return traces
    kept = [trace for trace in traces if purpose_of(trace) == purpose]
    if not kept:
        raise ValueError(
            f"{spec}: none of the lines of its {len(traces)} traces is one to {purpose} by; name more, or"
            " take all of them with --all-lines"
        )
    return kept


def _places(trace: Trace, starts: int) -> Iterator[int]:
    return (1 + place * (len(trace.time_s) - 2) // starts for place in range(starts))
