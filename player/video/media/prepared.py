"""The clips of a video: one a level, its pictures so small that every fragment fits the described size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from player.video.media.clip import Clip, ClipPlan, clip_of, kept_clip
from player.video.media.encode import MediaError
from player.video.media.filled import FilledSegment, TooSmall, filled, filled_in_parts, least_bytes
from player.video.video import Video

PICTURES = ((320, 180), (128, 72), (32, 18))
"""Width and height; a smaller one where a described size is too small for fragments of a larger one."""


@dataclass(frozen=True)
class PreparedMedia:
    """Media for a described video."""

    video: Video
    clips: tuple[Clip, ...]
    """[level]."""
    parts: int = 1
    """Of each segment, in which it can be sent as it is made."""

    def segment(self, level: int, chunk: int) -> FilledSegment:
        """A segment of exactly the described size."""
        return _filled(self.clips[level], chunk, self.parts, self.video.sizes_bytes[chunk][level])

    @property
    def codecs(self) -> tuple[str, ...]:
        """[level] as an MPD has them."""
        return tuple(clip.codec for clip in self.clips)


def _filled(clip: Clip, chunk: int, parts: int, size_bytes: int) -> FilledSegment:
    """Raises TooSmall where its fragments don't fit."""
    fragments = clip.fragments[chunk * parts : (chunk + 1) * parts]
    return filled(fragments[0], size_bytes) if parts == 1 else filled_in_parts(fragments, size_bytes)


def kept_media(video: Video, parts: int = 1) -> PreparedMedia | None:
    """What was made for a video before; None where any of it isn't there."""
    try:
        clips = [_first(plans, video, kept_clip) for plans in _plans(video, parts)]
    except MediaError:
        return None
    return PreparedMedia(video, tuple(clips), parts)


def prepare_media(video: Video, parts: int = 1) -> PreparedMedia:
    """Make what is not there yet.

    Args:
        parts: of each segment, in which it is sent as it is made.

    Raises:
        MediaError: there is no ffmpeg, or a size that no picture fits into.
        OSError: clips can't be kept.
    """
    clips = tuple(_first(plans, video, clip_of) for plans in _plans(video, parts))
    return PreparedMedia(video, clips, parts)


def _plans(video: Video, parts: int) -> Iterator[list[ClipPlan]]:
    """For each level, from the largest picture to the smallest."""
    for level in range(video.levels):
        yield [ClipPlan(level, video.chunks, video.chunk_s, *picture, parts) for picture in PICTURES]


def _first(plans: list[ClipPlan], video: Video, get: Callable[[ClipPlan], Clip | None]) -> Clip:
    """The first of the clips whose fragments fit.

    Raises:
        MediaError: none does, or one isn't there.
    """
    level = plans[0].level
    fault = (0, 0)
    for plan in plans:
        clip = get(plan)
        if clip is None:
            raise MediaError(f"{video.name}: no clip of level {level} has been made")
        found = _too_small(clip, plan, [row[level] for row in video.sizes_bytes])
        if found is None:
            return clip
        fault = found
    chunk, least = fault
    raise MediaError(
        f"{video.name}: level {level} of chunk {chunk} is to have {video.sizes_bytes[chunk][level]} bytes,"
        f" and the smallest picture takes {least}; describe larger chunks"
    )


def _too_small(clip: Clip, plan: ClipPlan, sizes: Sequence[int]) -> tuple[int, int] | None:
    """The first chunk whose size its fragments don't fit into, and how much they take; None: all fit."""
    for chunk, size in enumerate(sizes):
        try:
            _filled(clip, chunk, plan.parts, size)
        except TooSmall:
            mine = clip.fragments[chunk * plan.parts : (chunk + 1) * plan.parts]
            return chunk, plan.parts * max(map(least_bytes, mine))
    return None
