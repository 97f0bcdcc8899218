"""A generated clip of one level: pictures that say level and chunk, encoded once and kept.

The clip is a fragmented MP4 (H.264) with a fragment a chunk, cut here into an initialization segment and the
fragments. It depends on level, number and length of chunks and the picture's size alone: videos share clips.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from player.video.media.boxes import BoxError, boxes, codec_of, sequence_of, time_of, timescale_of
from player.video.media.encode import MediaError, encoded
from traces.files import write_aside
from traces.ownership import caller_cache_dir, make_directory

VERSION = 1
"""Raised whenever other pictures or another encoding are made: older files are then not looked at."""
FRAME_RATES = (24, 12, 6, 2, 1)
"""The first of them that keeps a clip under MOST_FRAMES."""
MOST_FRAMES = 20_000
MOST_CHUNKS = 5_000
_LARGEST_TIMESCALE = 2**31 - 1
_TICKS = 1_000
"""The largest denominator of a chunk's length in seconds."""


@dataclass(frozen=True)
class ClipPlan:
    """What a clip is to be.

    Raises:
        MediaError: too many chunks, or a length that no clip has.
    """

    level: int
    chunks: int
    chunk_s: float
    width: int
    height: int
    parts: int = 1
    """Fragments a chunk."""

    @property
    def length_s(self) -> Fraction:
        """A chunk's length.

        Raises:
            MediaError: it has no whole number of milliseconds, more or less.
        """
        length = Fraction(self.chunk_s).limit_denominator(_TICKS)
        if length <= 0 or abs(float(length) - self.chunk_s) > 1e-9:
            raise MediaError(f"no clip has chunks of {self.chunk_s!r} s; round their length to milliseconds")
        return length

    @property
    def frames(self) -> int:
        """Pictures a chunk.

        Raises:
            MediaError: too many in all.
        """
        if self.chunks > MOST_CHUNKS:
            raise MediaError(f"{self.chunks} chunks; clips are made for {MOST_CHUNKS} at most")
        counts = [max(round(self.chunk_s * rate / self.parts), 1) * self.parts for rate in FRAME_RATES]
        fits = next((count for count in counts if count * self.chunks <= MOST_FRAMES), None)
        if fits is None:
            raise MediaError(
                f"{self.chunks} chunks of {self.chunk_s:g} s; no clip is made for so long a video"
            )
        return fits

    @property
    def timescale(self) -> int:
        """Units a second, of which a picture and a chunk last whole numbers."""
        scale = self.length_s.denominator * self.frames
        if scale > _LARGEST_TIMESCALE:
            raise MediaError(f"no clip has chunks of {self.chunk_s!r} s; round their length to milliseconds")
        return scale

    @property
    def file(self) -> Path:
        """Where it is kept."""
        length = f"{self.length_s.numerator}-{self.length_s.denominator}"
        in_parts = f"_in{self.parts}" if self.parts > 1 else ""
        name = f"{self.level}_{self.chunks}x{length}_{self.width}x{self.height}{in_parts}_v{VERSION}.mp4"
        return caller_cache_dir() / "clips" / name


@dataclass(frozen=True)
class Clip:
    """A clip, cut."""

    init: bytes
    """The initialization segment."""
    fragments: tuple[bytes, ...]
    """(chunks x parts,) `moof` and `mdat` of each."""

    @property
    def codec(self) -> str:
        """As an MPD's `@codecs` has it."""
        return codec_of(self.init)

    @classmethod
    def cut(cls, data: bytes, plan: ClipPlan) -> Clip:
        """Cut a fragmented MP4 into its parts, and look whether they are as planned.

        Raises:
            BoxError: they aren't.
        """
        init, fragments = b"", []
        places = list(boxes(data))
        for place, after in itertools.zip_longest(places, places[1:]):
            if place.kind in (b"ftyp", b"moov"):
                init += data[place.start : place.end]
            elif place.kind == b"moof" and after is not None and after.kind == b"mdat":
                fragments.append(data[place.start : after.end])
        length = plan.length_s / plan.parts * timescale_of(init)
        for number, fragment in enumerate(fragments):
            if (sequence_of(fragment), time_of(fragment)) != (number + 1, number * length):
                raise BoxError(f"fragment {number} begins at {time_of(fragment)}, not at {number * length}")
        if len(fragments) != plan.chunks * plan.parts:
            raise BoxError(f"{len(fragments)} fragments for {plan.chunks} chunks of {plan.parts}")
        return cls(init, tuple(fragments))


def kept_clip(plan: ClipPlan) -> Clip | None:
    """The clip that was made earlier; None where there is none."""
    try:
        return Clip.cut(plan.file.read_bytes(), plan)
    except (OSError, BoxError):
        return None


def clip_of(plan: ClipPlan) -> Clip:
    """The clip, made now unless it was before, and kept.

    Raises:
        MediaError: it can't be made.
        OSError: it can't be kept.
    """
    kept = kept_clip(plan)
    if kept is not None:
        return kept
    data = encoded(_pictures(plan), _raw(plan), _h264(plan))
    try:
        clip = Clip.cut(data, plan)
    except BoxError as error:
        raise MediaError(f"ffmpeg made another file than was asked for: {error}") from None
    make_directory(plan.file.parent)
    write_aside(plan.file, data)
    return clip


def _pictures(plan: ClipPlan) -> Iterator[bytes]:
    from player.video.media.pictures import Picture, frames  # numpy: not for whoever reads a kept clip

    for chunk in range(plan.chunks):
        yield from frames(plan.level, chunk, plan.frames, Picture(plan.width, plan.height))


def _raw(plan: ClipPlan) -> list[str]:
    rate = plan.frames / plan.length_s
    size = f"{plan.width}x{plan.height}"
    return ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", size, "-framerate", str(rate)]


def _h264(plan: ClipPlan) -> list[str]:
    """A closed group of pictures a chunk, no B-frames (so that no picture is shown before it is decoded). A
    fragment ends where it has lasted as long as a part, or half a picture less, at the next picture."""
    group = str(plan.frames)
    pictures = plan.frames // plan.parts
    part_us = round(1e6 * plan.chunk_s / plan.parts * (1 - 0.5 / pictures))
    in_parts = ("-frag_duration", str(part_us)) if plan.parts > 1 else ()
    return [
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "30", "-threads", "1"),
        *("-g", group, "-keyint_min", group, "-sc_threshold", "0", "-bf", "0", "-flags:v", "+cgop"),
        *("-fflags", "+bitexact", "-map_metadata", "-1", "-video_track_timescale", str(plan.timescale)),
        *("-movflags", "empty_moov+default_base_moof+frag_keyframe", *in_parts, "-f", "mp4"),
    ]
