"""`python -m player.video`: list the built-in videos, show one, fit a recipe, compare; make real media."""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

import argparse
import dataclasses
import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from player.video.built_in import (
    PUBLISHED_CHUNK_S,
    PUBLISHED_LADDER_KBPS,
    builtin_names,
    load_recipe,
    load_video,
)
from player.video.fit import fit
from player.video.media.check import check_media
from player.video.media.encode import MediaError
from player.video.media.measure import METRICS, write_qualities
from player.video.media.package import package
from player.video.media.prepared import prepare_media
from player.video.statistics import SizeFigures, size_figures
from player.video.video import Video, VideoError
from traces.commands import Parser, add_json_option, carried_out, exit_with, tell_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)

    def work() -> int:
        answer, text = _COMMANDS[options.command](options)
        print(json.dumps(answer) if options.json else text)
        return 0

    return carried_out(parser.prog, work, (VideoError, MediaError))


def _parser() -> Parser:
    parser = Parser(prog="python -m player.video", description=__doc__)
    parser.add_argument("command", nargs="?", choices=list(_COMMANDS), default="list")
    parser.add_argument("video", nargs="?", help="a built-in name, a directory of video_size_N files, an MPD")
    parser.add_argument("file", nargs="*", type=Path, help="make: a file to encode, or encodes, lowest first")
    other = parser.add_argument_group("fit and compare")
    other.add_argument("--against", metavar="VIDEO", help="compare: the measured video")
    other.add_argument("--name", default="mine", help="fit: name of the new recipe (default: %(default)s)")
    other.add_argument("--about", default="", help="fit: a line that says what it is")
    other.add_argument("--chunks", type=int, help="use the first CHUNKS chunks only (published tests: 48)")
    made = parser.add_argument_group("make", "VIDEO is the new folder.")
    made.add_argument(
        "--ladder",
        metavar="KBPS,…",
        default=",".join(map(str, PUBLISHED_LADDER_KBPS)),
        help="bitrates to encode a file at (default: %(default)s)",
    )
    made.add_argument(
        "--chunk-s", type=float, default=PUBLISHED_CHUNK_S, metavar="S", help="default: %(default)g"
    )
    made.add_argument(
        "--quality",
        choices=METRICS,
        help="of a file that is encoded: write quality.csv, of each chunk and level (vmaf: if ffmpeg has it)",
    )
    output = parser.add_argument_group("output")
    add_json_option(output)
    return parser


def _given(options: argparse.Namespace, spec: str | None, option: str = "VIDEO") -> Video:
    if spec is None:
        raise VideoError(f"{options.command} needs {option}; --help shows how")
    video = load_video(spec)
    for note in video.notes:
        tell_line(f"note: {video.name}: {note}", sys.stderr)
    return video if options.chunks is None else video.first(options.chunks)


def _facts(video: Video) -> dict[str, Any]:
    columns = zip(*video.sizes_bytes, strict=True)
    return {
        "name": video.name,
        "levels": video.levels,
        "chunks": video.chunks,
        "chunk_s": video.chunk_s,
        "ladder_kbps": video.ladder_kbps,
        "mean_kbps": [round(math.fsum(sizes) * 8 / 1000 / video.duration_s, 1) for sizes in columns],
        "sha256": video.sha256,
        "sizes_exact": video.sizes_exact,
        "notes": list(video.notes),
    }


def _list(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    videos = [{**_facts(load_video(name)), "about": load_recipe(name).about} for name in builtin_names()]
    lines = []
    for video in videos:
        lines.append(
            f"{video['name']:<11} {video['levels']} levels, {video['chunks']} chunks of"
            f" {video['chunk_s']:g} s, sha256 {video['sha256'][:12]}"
        )
        lines.append(f"{'':<11} ladder {' '.join(f'{kbps:>7}' for kbps in video['ladder_kbps'])} kbit/s")
        lines.append(f"{'':<11} mean   {' '.join(f'{kbps:>7.0f}' for kbps in video['mean_kbps'])} kbit/s")
        lines.append(f"{'':<11} {video['about']}")
    return {"videos": videos}, "\n".join(lines)


def _show(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    video = _given(options, options.video)
    answer = {**_facts(video), "sizes_bytes": video.sizes_bytes}
    lines = ["chunk " + "".join(f"{kbps:>11}" for kbps in video.ladder_kbps) + "  kbit/s, sizes in bytes"]
    for chunk, row in enumerate(video.sizes_bytes):
        lines.append(f"{chunk:>5} " + "".join(f"{size:>11}" for size in row))
    return answer, "\n".join(lines)


def _fit(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    recipe = dataclasses.asdict(fit(_given(options, options.video), options.name, options.about))
    del recipe["name"]  # the file's name says it
    if not recipe["pictures"]:  # which sizes don't tell
        del recipe["pictures"]
    fields = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in recipe.items())
    return recipe, "{\n" + ",\n".join(fields) + "\n}"


def _compare(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    built = size_figures(_given(options, options.video))
    measured = size_figures(_given(options, options.against, "--against VIDEO"))
    if len(built.mean_bytes) != len(measured.mean_bytes):
        raise VideoError(
            f"{len(built.mean_bytes)} levels against {len(measured.mean_bytes)}; nothing to compare"
        )
    answer = {"built": dataclasses.asdict(built), "measured": dataclasses.asdict(measured)}
    return answer, comparison_table(built, measured)


def comparison_table(built: SizeFigures, measured: SizeFigures) -> str:
    """Markdown: a line for each figure, `built / measured` for each level."""
    levels = range(len(built.mean_bytes))
    lines = [
        "| built / measured |" + "".join(f" level {level} |" for level in levels),
        "| --- |" + " --- |" * len(levels),
    ]

    def row(title: str, a: Sequence[float], b: Sequence[float], form: str) -> None:
        pairs = (f" {x:{form}} / {y:{form}} |" for x, y in zip(a, b, strict=True))
        lines.append(f"| {title} |" + "".join(pairs))

    row("mean, bytes", built.mean_bytes, measured.mean_bytes, ".0f")
    row("spread (deviation / mean)", built.spread, measured.spread, ".4f")
    row("smallest / mean", built.smallest, measured.smallest, ".2f")
    row("largest / mean", built.largest, measured.largest, ".2f")
    row("autocorrelation, lag 1", built.lag1, measured.lag1, ".2f")
    row("autocorrelation, lag 2", built.lag2, measured.lag2, ".2f")
    for level in levels:
        title = f"correlation with level {level}"
        row(title, built.correlation[level], measured.correlation[level], ".3f")
    return "\n".join(lines)


def _prepare(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Make the clips of which an origin makes real media: of all built-in videos, or of the named one."""
    specs = builtin_names() if options.video is None else (options.video,)
    made = {spec: prepare_media(_given(options, spec)).codecs for spec in specs}
    lines = [f"{spec:<11} real media for {len(codecs)} levels, {codecs[0]}" for spec, codecs in made.items()]
    return {"media": made}, "\n".join(lines)


def _check(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Whether other people's players read each level without a word, of all built-in videos or the named one.

    Raises:
        MediaError: one says something.
    """
    specs = builtin_names() if options.video is None else (options.video,)
    answer: dict[str, Any] = {}
    lines: list[str] = []
    for spec in specs:
        video = _given(options, spec)
        answer[spec] = [dataclasses.asdict(one) for one in check_media(prepare_media(video))]
        faults = [f"{spec}, level {one['level']}: {line}" for one in answer[spec] for line in one["said"]]
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise MediaError(f"{faults[0]}{more}")
        counts = sorted({one["pictures"] for one in answer[spec]})
        by = "ffprobe, ffplay" if all(one["played"] for one in answer[spec]) else "ffprobe (no ffplay here)"
        read = f"{video.levels} levels of {'/'.join(map(str, counts))} pictures"
        lines.append(f"{spec:<11} {read} read without a word: {by}")
    return {"checked": answer}, "\n".join(lines)


def _make(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Package a file, or encodes of it, into a new folder."""
    if options.video is None or not options.file:
        raise VideoError("make needs a new folder and a file, or encodes; --help shows how")
    if not 0 < options.chunk_s < math.inf:
        raise VideoError(f"--chunk-s {options.chunk_s}: must be positive")
    video = package(
        Path(options.video),
        options.file,
        _ladder(options.ladder),
        options.chunk_s,
        lambda line: tell_line(line, sys.stderr),
    )
    if options.quality is not None:
        if len(options.file) != 1:
            raise VideoError("--quality compares with the file that is encoded; give one")
        write_qualities(Path(options.video), options.file[0], video, options.quality)
    facts = _facts(video)
    mean = ", ".join(f"{kbps:.0f}" for kbps in facts["mean_kbps"])
    return facts, f"{options.video}: {video.levels} levels, {video.chunks} chunks; mean {mean} kbit/s"


def _ladder(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(re.fullmatch(r"[1-9][0-9]{0,6}", word, re.ASCII) for word in words):
        raise VideoError(
            f"--ladder {text}: expected bitrates in kbit/s with commas between, such as 300,750,1200"
        )
    return tuple(map(int, words))


_COMMANDS = {
    "list": _list,
    "show": _show,
    "fit": _fit,
    "compare": _compare,
    "prepare": _prepare,
    "check": _check,
    "make": _make,
}

if __name__ == "__main__":
    exit_with(main)
