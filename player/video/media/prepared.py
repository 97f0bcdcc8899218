"""The clips of a video: one a level, its pictures so small that every fragment fits the described size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from player.video.media.clip import Clip, ClipPlan, clip_of, kept_clip
from player.video.media.encode import MediaError
from player.video.media.filled import FilledSegment, filled, least_bytes
from player.video.video import Video

PICTURES = ((320, 180), (128, 72), (32, 18))
"""Width and height; a smaller one where a described size is too small for fragments of a larger one."""


@dataclass(frozen=True)
class PreparedMedia:
    """Media for a described video."""

    video: Video
    clips: tuple[Clip, ...]
    """[level]."""

    def segment(self, level: int, chunk: int) -> FilledSegment:
        """A segment of exactly the described size."""
        return filled(self.clips[level].fragments[chunk], self.video.sizes_bytes[chunk][level])

    @property
    def codecs(self) -> tuple[str, ...]:
        """[level] as an MPD has them."""
        return tuple(clip.codec for clip in self.clips)


def kept_media(video: Video) -> PreparedMedia | None:
    """What was made for a video before; None where any of it isn't there."""
    try:
        clips = [_first(plans, video, kept_clip) for plans in _plans(video)]
    except MediaError:
        return None
    return PreparedMedia(video, tuple(clips))


def prepare_media(video: Video) -> PreparedMedia:
    """Make what is not there yet.

    Raises:
        MediaError: there is no ffmpeg, or a size that no picture fits into.
        OSError: clips can't be kept.
    """
    return PreparedMedia(video, tuple(_first(plans, video, clip_of) for plans in _plans(video)))


def _plans(video: Video) -> Iterator[list[ClipPlan]]:
    """For each level, from the largest picture to the smallest."""
    for level in range(video.levels):
        yield [ClipPlan(level, video.chunks, video.chunk_s, *picture) for picture in PICTURES]


def _first(plans: list[ClipPlan], video: Video, get: Callable[[ClipPlan], Clip | None]) -> Clip:
    """The first of the clips whose fragments fit.

    Raises:
        MediaError: none does, or one isn't there.
    """
    level = plans[0].level
    sizes = [row[level] for row in video.sizes_bytes]
    for plan in plans:
        clip = get(plan)
        if clip is None:
            raise MediaError(f"{video.name}: no clip of level {level} has been made")
        pairs = zip(clip.fragments, sizes, strict=True)
        large = [
            (chunk, least_bytes(one), size)
            for chunk, (one, size) in enumerate(pairs)
            if least_bytes(one) > size
        ]
        if not large:
            return clip
    chunk, least, size = large[0]
    raise MediaError(
        f"{video.name}: level {level} of chunk {chunk} is to have {size} bytes, and the smallest picture"
        f" takes {least}; describe larger chunks"
    )
