"""From a word to watched videos: `heads/3`, `heads[0:20]`, a folder of recordings, `FOLDER[0:6]`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from traces.families.numbered import numbered
from traces.heads.files import read_videos
from traces.heads.generator import member
from traces.heads.head import HeadError, WatchedVideo

FAMILIES = ("heads",)


def watched_videos(spec: str, earlier: Iterable[str] = ()) -> list[WatchedVideo]:
    """All videos that a word names, in order.

    Args:
        earlier: viewers of a folder's videos who are not judged but known to the others.

    Raises:
        HeadError: it names none; says what there is.
    """
    if Path(spec).is_dir():
        return read_videos(Path(spec), earlier)
    try:
        asked = numbered(spec, "videos", "[0:20]")
    except ValueError as error:
        raise HeadError(str(error)) from None
    if asked is None:
        raise _unknown(spec)
    if asked.base in FAMILIES:
        return [member(index) for index in asked.wanted]
    if not asked.ranged or not Path(asked.base).is_dir():
        raise _unknown(spec)
    found = read_videos(Path(asked.base), earlier)[asked.wanted.start : asked.wanted.stop]
    if not found:
        raise HeadError(f"{spec}: there are fewer videos in {asked.base}")
    return found


def _unknown(spec: str) -> HeadError:
    return HeadError(
        f"no recordings are named by {spec!r}; name heads[0:20], or a folder with videoV/userU.csv in it"
    )
