"""From a word to watched videos: `heads/3`, `heads[0:20]`, a folder of recordings, `FOLDER[0:6]`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from traces.heads.files import read_videos
from traces.heads.generator import member
from traces.heads.head import HeadError, WatchedVideo

FAMILIES = ("heads",)
MOST = 1000
"""Videos at once."""
_SPEC = re.compile(r"(?P<base>.+?)(/(?P<index>\d{1,9})|\[(?P<begin>\d{0,9}):(?P<end>\d{1,9})\])?")


def watched_videos(spec: str, earlier: Iterable[str] = ()) -> list[WatchedVideo]:
    """All videos that a word names, in order.

    Args:
        earlier: viewers of a folder's videos who are not judged but known to the others.

    Raises:
        HeadError: it names none; says what there is.
    """
    if Path(spec).is_dir():
        return read_videos(Path(spec), earlier)
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise _unknown(spec)
    base = match["base"]
    if match["begin"] is None:
        wanted = range(int(match["index"] or 0), int(match["index"] or 0) + 1)
    else:
        wanted = range(int(match["begin"] or 0), int(match["end"]))
    if not 0 < len(wanted) <= MOST:
        raise HeadError(f"{spec}: {len(wanted)} videos; ask for 1 to {MOST}, such as {base}[0:20]")
    if base in FAMILIES:
        return [member(index) for index in wanted]
    if match["begin"] is None or not Path(base).is_dir():
        raise _unknown(spec)
    found = read_videos(Path(base), earlier)[wanted.start : wanted.stop]
    if not found:
        raise HeadError(f"{spec}: there are fewer videos in {base}")
    return found


def _unknown(spec: str) -> HeadError:
    return HeadError(
        f"no recordings are named by {spec!r}; name heads[0:20], or a folder with videoV/userU.csv in it"
    )
