"""What people would say of a session: ITU-T P.1203, mode 0, by the person's own `itu_p1203`.

That module is its authors' and free for research that is not commercial only; none of it is here. It is fed
with what a record holds: each chunk's bits, pictures and length, and where it stalled, in media time. There
is no sound; the module then takes the best.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

from player.manifest import VideoSection
from player.perceived.shown import ShownVideo, shown_video
from player.perceived.viewing import KIND, Viewing
from player.qoe import QoE, Scoring
from player.record import ChunkRow, EndRow
from player.video.pictures import H264

MODULE = "itu_p1203"
GET = "pip install git+https://github.com/itu-p1203/itu-p1203"
_SAME_PLACE_S = 1e-3
"""Stalls so near to each other in media time are one, which chunks' rows tell of in parts."""


def model() -> Any:
    """The person's own `itu_p1203`.

    Raises:
        ValueError: it isn't there; how it is had, and its licence.
    """
    try:
        return importlib.import_module(MODULE)
    except ImportError:
        raise ValueError(
            f"--qoe {KIND}: no Python module {MODULE} here; `{GET}` (free for research that is not commercial"
            " only; read its licence)"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class P1203QoE(QoE):
    """A session's MOS, from 1 to 5. No chunk has one, and nothing is left out: startup counts, too."""

    BY_CHUNK: ClassVar[bool] = False

    viewing: Viewing
    video: ShownVideo = field(compare=False)
    kind: str = KIND
    mu: float = 0.0
    smooth: float = 0.0

    def __post_init__(self) -> None:
        """Nothing is weighed."""

    @property
    def called(self) -> str:
        return "ITU-T P.1203 mode 0 (MOS)"

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "mode": 0, "viewing": self.viewing.written}

    def __str__(self) -> str:
        return f"{self.called}, {self.viewing}"

    def in_words(self, ladder_kbps: Sequence[int]) -> str:
        return str(self)

    def is_top_of(self, ladder_kbps: Sequence[int]) -> bool:
        return False

    def quality(self, ladder_kbps: Sequence[int]) -> tuple[float, ...]:
        """Raises ValueError: no level has one by itself."""
        raise ValueError(f"{self.called} is of sessions; levels have none")

    def of_session(self, chunks: Sequence[ChunkRow], end: EndRow, ladder_kbps: Sequence[int]) -> float | None:
        """MOS of a session, its startup and all its stalls included.

        Raises:
            ValueError: nobody says what its pictures are, their codec is not the standard's, or the module
                isn't there or refuses.
        """
        if len(chunks) < 2:
            return None
        asked = report(self.video, chunks, end, self.viewing)
        run = model().P1203Standalone(asked, quiet=True)
        try:
            return float(run.calculate_complete()["O46"])
        except Exception as error:  # of a module of somebody else's
            raise ValueError(f"{MODULE}: {type(error).__name__}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class P1203Scoring(Scoring):
    """Asked for, before a video is known."""

    viewing: Viewing
    kind: str = KIND

    def __post_init__(self) -> None:
        model()

    def on(self, ladder_kbps: Sequence[int]) -> QoE:
        """Raises ValueError: a ladder does not say enough."""
        raise ValueError(f"--qoe {KIND} scores sessions that are over; policies are told another kind")

    def on_video(self, section: VideoSection | None, ladder_kbps: Sequence[int]) -> QoE:
        """What sessions of this video are scored by.

        Raises:
            ValueError: nobody says what its pictures are, or their codec is not the standard's.
        """
        video = shown_video(section)
        check(video)
        return P1203QoE(viewing=self.viewing, video=video)


def check(video: ShownVideo) -> None:
    """Raises ValueError for a video of which mode 0 can't say anything."""
    if not video.pictures:
        raise ValueError(
            f"--qoe {KIND}: nobody says how large the pictures of video {video.name} are, and how many a"
            " second: put a file `pictures` (1280x720@30 h264, a line a level) beside its sizes, or take an"
            " MPD with @width, @height and @frameRate"
        )
    other = next((each.codec for each in video.pictures if each.codec != H264), None)
    if other is not None:
        raise ValueError(f"--qoe {KIND}: video {video.name} is {other}, and P.1203.1 knows {H264} only")


def report(video: ShownVideo, chunks: Sequence[ChunkRow], end: EndRow, viewing: Viewing) -> dict[str, Any]:
    """The module's input: I.GEN, I.13 (segments) and I.23 (stalls) of P.1203.

    A segment's bitrate is that of its bytes.

    Args:
        chunks: those that came, in order.

    Raises:
        ValueError: see `check`.
    """
    check(video)
    segments = []
    for number, row in enumerate(chunks):
        pictures = video.pictures[row.level]
        segments.append(
            {
                "codec": pictures.codec,
                "start": number * video.chunk_s,
                "duration": video.chunk_s,
                "resolution": f"{pictures.width}x{pictures.height}",
                "bitrate": row.size_bytes * 8 / 1000 / video.chunk_s,
                "fps": float(pictures.rate),
                "representation": row.level,
            }
        )
    return {
        "IGen": {
            "displaySize": f"{viewing.width}x{viewing.height}",
            "device": viewing.device,
            "viewingDistance": f"{viewing.distance_cm}cm",
        },
        "O21": [],
        "I13": {"streamId": 0, "segments": segments},
        "I23": {"streamId": 0, "stalling": [list(one) for one in stalls(chunks, end, video.chunk_s)]},
    }


def stalls(chunks: Sequence[ChunkRow], end: EndRow, chunk_s: float) -> list[tuple[float, float]]:
    """(media time, length) of the startup and of each stall, s.

    A stall ends as a chunk comes, and the playhead has stood still till then: what had come less what is
    buffered is where it stands. One that no chunk has ended is at the end of what came.
    """
    found = [(0.0, end.startup_s)]
    for number, row in enumerate(chunks):
        if row.stall_s > 0:
            found.append((max((number + 1) * chunk_s - row.buffer_after_s, 0.0), row.stall_s))
    rest_s = end.stall_s - math.fsum(row.stall_s for row in chunks)
    if rest_s > _SAME_PLACE_S:
        found.append((len(chunks) * chunk_s, rest_s))
    return list(_joined(found))


def _joined(found: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Stalls at one place are one."""
    place_s, length_s = found[0]
    for (before_s, _), (at_s, more_s) in pairwise(found):
        if at_s > _SAME_PLACE_S and at_s - before_s > _SAME_PLACE_S:
            yield place_s, length_s
            place_s, length_s = at_s, 0.0
        length_s += more_s
    yield place_s, length_s
