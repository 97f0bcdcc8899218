"""`python -m player.mpds DIR`: of each MPD below a folder whether it would be played, or why not."""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from player.mpds.judged import KINDS, Judged, found_mpds, judge
from player.video.video import VideoError
from traces.commands import Parser, add_json_option, carried_out, exit_with, tell_line
from traces.words import counted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = Parser(prog="python -m player.mpds", description=__doc__)
    parser.add_argument("folder", metavar="DIR", type=Path, help="files *.mpd and *.mpd.gz, at any depth")
    add_json_option(parser.add_argument_group("output"))
    options = parser.parse_args(arguments)

    def work() -> int:
        if not options.folder.is_dir():
            raise VideoError(f"{options.folder}: no such folder")
        found = [judge(path, options.folder) for path in found_mpds(options.folder)]
        if not found:
            raise VideoError(f"{options.folder}: no file *.mpd in it, nor below")
        if options.json:
            print(json.dumps({"mpds": [{**vars(one), "path": str(one.path)} for one in found]}))
            return 0
        for one in found:
            tell_line(line_of(one), sys.stdout)
        for line in table(found):
            print(line)
        return 0

    return carried_out(parser.prog, work, (VideoError,))


def line_of(one: Judged) -> str:
    """One MPD on one line."""
    if one.refused:
        return f"{one.path}: refused: {one.refused}"
    return f"{one.path}: played: {counted(one.levels, 'level')}, {counted(one.chunks, 'chunk')}"


def table(found: Sequence[Judged]) -> list[str]:
    """How many of each kind are played, and how many there are."""
    of, played = Counter(one.kind for one in found), Counter(one.kind for one in found if not one.refused)
    rows = [(kind, played[kind], of[kind]) for kind in KINDS if of[kind]]
    rows.append(("all", sum(played.values()), len(found)))
    lines = [f"{'kind':<24} {'played':>6} {'of':>5}"]
    return lines + [f"{kind:<24} {count:>6} {all_of:>5}" for kind, count, all_of in rows]


if __name__ == "__main__":
    exit_with(main)
