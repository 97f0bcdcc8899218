"""What a record's video showed: its pictures, by the record or, of a built-in video, by its recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from player.manifest import VideoSection
from player.video.built_in import builtin_names, load_recipe
from player.video.pictures import Pictures, pictures_of


@dataclass(frozen=True)
class ShownVideo:
    """What is to be known of a video to say what its sessions looked like."""

    name: str
    chunk_s: float
    pictures: tuple[Pictures, ...]
    """[level]; empty where nobody says."""


def shown_video(section: VideoSection | None) -> ShownVideo:
    """The video of a record. Where an older record doesn't say what its pictures are, and it is of a built-in
    video, they are that one's.

    Raises:
        ValueError: there is no video, or its pictures are none.
    """
    if section is None or section.chunk_s is None or section.ladder_kbps is None:
        raise ValueError("the record says of no video")
    name = section.name or ""
    written = section.pictures or _built_in(name, section.ladder_kbps)
    return ShownVideo(name, section.chunk_s, tuple(map(pictures_of, written)))


def _built_in(name: str, ladder_kbps: Sequence[int]) -> tuple[str, ...]:
    """Those of a built-in video of this name and ladder; none where there is no such."""
    if name not in builtin_names() or load_recipe(name).ladder_kbps != tuple(ladder_kbps):
        return ()
    return load_recipe(name).pictures
