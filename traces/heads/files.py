"""Recordings in files: `time,axis0,axis1,axis2` in seconds and degrees, a line a sample, one file a viewer.

Folders are laid out as the published ones: somewhere in the path stands `videoV`, and the file's name ends in
`userU.csv` (`video3/user17.csv`, `video3/5Hz/simple_5Hz_user17.csv`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from traces.heads.head import AXES, HeadError, HeadTrace, WatchedVideo, checked
from traces.safe_reading import BadFileError, read_text

_VIDEO = re.compile(r"video_?(\w+)")
_USER = re.compile(r".*user_?(\w+)\.csv")
_HEADER = re.compile(r"\s*[A-Za-z_]")
_MOST_BYTES = 64 << 20


def read_heads(path: Path, video: str = "", viewer: str = "") -> HeadTrace:
    """Read a recording.

    Raises:
        HeadError: a line that is no sample; names it.
    """
    try:
        lines = read_text(path, _MOST_BYTES).splitlines()
    except BadFileError as error:
        raise HeadError(str(error)) from None
    except OSError as error:
        raise HeadError(f"{path}: {error.strerror or error}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or (number == 1 and _HEADER.match(line)):
            continue
        try:
            row = [float(cell) for cell in line.split(",")]
        except ValueError:
            row = []
        if len(row) != 1 + AXES:
            raise HeadError(f"{path}:{number}: {line[:60]!r}; expected time,axis0,axis1,axis2")
        rows.append(row)
    values = np.array(rows, np.float64).reshape(len(rows), 1 + AXES)
    made = HeadTrace(video or path.parent.name, viewer or path.stem, values[:, 0], values[:, 1:].copy())
    return checked(made, str(path))


def write_lines(trace: HeadTrace) -> str:
    """The text of a recording's file."""
    rows = zip(trace.time_s, trace.degrees, strict=True)
    return "".join(f"{at:.6f},{','.join(f'{angle:.6f}' for angle in angles)}\n" for at, angles in rows)


def recordings_in(folder: Path) -> list[tuple[str, str, Path]]:
    """(video, viewer, file) of all files that are laid out so, in order of numbers.

    Raises:
        HeadError: there are none.
    """
    found = []
    for file in folder.rglob("*.csv"):
        user = _USER.fullmatch(file.name)
        parts = [
            match[1]
            for part in file.relative_to(folder.parent).parts[:-1]
            if (match := _VIDEO.fullmatch(part))
        ]
        if user and parts:
            found.append((parts[-1], user[1], file))
    if not found:
        raise HeadError(f"{folder}: no recordings; they are named videoV/userU.csv")
    return sorted(found, key=lambda each: (_number(each[0]), _number(each[1])))


def _number(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdigit() else (1 << 60, text)


def viewers_in(folder: Path) -> frozenset[str]:
    """Who has a recording in a folder.

    Raises:
        HeadError: nobody has.
    """
    return frozenset(viewer for _, viewer, _ in recordings_in(folder))


def read_videos(folder: Path, earlier: Iterable[str] = ()) -> list[WatchedVideo]:
    """All videos of a folder.

    Args:
        earlier: viewers who are not judged, but known to the others.

    Raises:
        HeadError: a file that is no recording, a video that nobody else has watched.
    """
    before = frozenset(earlier)
    videos: dict[str, list[HeadTrace]] = {}
    for video, viewer, path in recordings_in(folder):
        videos.setdefault(video, []).append(read_heads(path, video, viewer))
    found = []
    for video, traces in videos.items():
        judged = tuple(trace for trace in traces if trace.viewer not in before)
        if not judged:
            raise HeadError(
                f"{folder}: video {video}: all its viewers are earlier ones; nobody is left to judge"
            )
        others = tuple(trace for trace in traces if trace.viewer in before)
        found.append(WatchedVideo(f"{folder.name}/{video}", judged, others))
    return found
