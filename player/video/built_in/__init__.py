"""Videos: built-in ones, and whatever a user brings as files.

`load_video` is the one way in. A built-in is a recipe (`NAME.json` beside this file) from which
`generator.py` makes the chunk sizes; README.md shows how close they come to the measured ones.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

from player.video.generator import Recipe, generate
from player.video.local_mpd import local_video
from player.video.pictures import Pictures, pictures_of
from player.video.video import Video, VideoError
from traces.safe_reading import BadFileError, read_text
from traces.words import nearest

PUBLISHED_LADDER_KBPS = (300, 750, 1200, 1850, 2850, 4300)
"""The ladder of the published `video_size_N` files (Mao et al., SIGCOMM 2017)."""
PUBLISHED_CHUNK_S = 4.0

_FOLDER = Path(__file__).parent
_SIZE_FILE = re.compile(r"video_size_([0-9]+)", re.ASCII)


def builtin_names() -> tuple[str, ...]:
    """Names of the built-in videos, smallest first."""
    return tuple(sorted((path.stem for path in _FOLDER.glob("*.json")), key=_top_bytes))


def _top_bytes(name: str) -> float:
    return load_recipe(name).mean_bytes[-1]


@functools.cache
def load_recipe(name: str) -> Recipe:
    """The recipe of a built-in video."""
    values = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    lists = {key: _tuple(value) for key, value in values.items() if isinstance(value, list)}
    return Recipe(**{**values, "name": name, **lists})


def _tuple(value: object) -> object:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


@functools.cache
def _builtin(name: str) -> Video:
    return generate(load_recipe(name))


def load_video(
    spec: str | Path, ladder_kbps: Sequence[int] | None = None, chunk_s: float | None = None
) -> Video:
    """A video by name or from files.

    Args:
        spec: the name of a built-in video; a directory of files `video_size_0`, `video_size_1`, …
            (one size in bytes per line, a file for each level, lowest first; a file `pictures` may say
            what is shown, a line a level); an MPD file, or a
            directory with one MPD in it. Sizes that an MPD doesn't say are those of the media beside it, or
            else estimated (`Video.sizes_exact`).
        ladder_kbps: nominal bitrates of a directory of sizes. Without it a file `ladder_kbps` in
            the directory says them, and without that six levels are the published 300 to 4300.
        chunk_s: seconds per chunk of a directory of sizes; else its file `chunk_s`, else 4.

    Raises:
        VideoError: an unknown name, or files that make no video.
    """
    if isinstance(spec, str) and spec in builtin_names():
        return _builtin(spec)
    path = Path(spec)
    try:
        if path.is_dir():
            return _from_directory(path, ladder_kbps, chunk_s)
        if path.exists():
            return local_video(path)
    except OSError as error:
        raise VideoError(f"{error.filename or path}: {error.strerror}") from None
    except BadFileError as error:
        raise VideoError(str(error)) from None
    near = nearest(spec, builtin_names())
    hint = f"did you mean {near}? " if near else ""
    raise VideoError(
        f"no video {str(spec)!r}: {hint}there are {', '.join(builtin_names())},"
        " or give a directory of video_size_N files or an MPD file"
    )


def _from_directory(path: Path, ladder_kbps: Sequence[int] | None, chunk_s: float | None) -> Video:
    found = {int(match[1]) for file in path.iterdir() if (match := _SIZE_FILE.fullmatch(file.name))}
    if not found:
        manifests = sorted([*path.glob("*.mpd"), *path.glob("*.mpd.gz")])
        if len(manifests) == 1:
            return local_video(manifests[0])
        raise VideoError(f"{path}: no video_size_0, and {len(manifests)} MPD files where one is needed")
    missing = set(range(max(found) + 1)) - found
    if missing:
        raise VideoError(f"{path}: video_size_{min(missing)} is missing, video_size_{max(found)} is there")
    columns = [_integers(path / f"video_size_{level}") for level in range(len(found))]
    lengths = [len(column) for column in columns]
    if len(set(lengths)) != 1:
        raise VideoError(f"{path}: the files have {', '.join(map(str, lengths))} lines; one for each chunk")
    return Video(
        path.resolve().name,
        _chunk_length_s(path / "chunk_s") if chunk_s is None else chunk_s,
        tuple(ladder_kbps) if ladder_kbps is not None else _ladder_kbps(path, len(found)),
        tuple(zip(*columns, strict=True)),
        pictures=_pictures(path / "pictures"),
    )


def _pictures(path: Path) -> tuple[Pictures, ...]:
    """What is shown, a line a level; none where there is no such file."""
    if not path.exists():
        return ()
    found = []
    for number, line in enumerate(read_text(path).rstrip().splitlines(), start=1):
        try:
            found.append(pictures_of(line))
        except ValueError as error:
            raise VideoError(f"{path}:{number}: {error}") from None
    return tuple(found)


def _integers(path: Path) -> list[int]:
    """Positive whole numbers, one a line; blank lines at the end do not count."""
    values = []
    for number, line in enumerate(read_text(path).rstrip().splitlines(), start=1):
        if not re.fullmatch(r"\s*[0-9]{1,18}\s*", line, re.ASCII) or int(line) == 0:
            raise VideoError(f"{path}:{number}: {line.strip()[:40]!r}; expected a whole number above 0")
        values.append(int(line))
    return values


def _ladder_kbps(path: Path, levels: int) -> tuple[int, ...]:
    if (path / "ladder_kbps").exists():
        return tuple(_integers(path / "ladder_kbps"))
    if levels != len(PUBLISHED_LADDER_KBPS):
        raise VideoError(
            f"{path}: {levels} levels, whose bitrates nobody knows; put them into {path / 'ladder_kbps'},"
            " one a line in kbit/s"
        )
    return PUBLISHED_LADDER_KBPS


def _chunk_length_s(path: Path) -> float:
    if not path.exists():
        return PUBLISHED_CHUNK_S
    text = read_text(path).strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise VideoError(f"{path}:1: {text[:40]!r}; expected seconds above 0")
    return seconds
