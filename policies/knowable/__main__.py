"""`python -m policies.knowable`: how much any causal controller could have, and what of it policies have."""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

    from policies.knowable.command_line import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from player.options import scoring
from player.registry import PolicyError
from player.simulated.session import CHUNKS
from player.video.built_in import load_video
from player.video.video import VideoError
from policies.knowable.command_line import BASELINE, PROG, parser
from policies.knowable.study import BoundStudy, MemberFigures, decided, figures
from policies.knowable.summary import shown, summed_up
from traces.commands import carried_out, exit_with
from traces.families.catalogue import MAX_SLICE, load_family
from traces.files import write_aside
from traces.trace import TraceError

SCHEMA = 1


def members_of(text: str) -> tuple[int, ...]:
    """The members that `A:B` names.

    Raises:
        ValueError: it names none, or too many.
    """
    found = re.fullmatch(r"(\d{1,9}):(\d{1,9})", text, re.ASCII)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 0 < last - first <= MAX_SLICE:
        raise ValueError(f"--members {text}: write A:B, such as 400:500, with 1 to {MAX_SLICE:,} members")
    return tuple(range(first, last))


def studies(args: argparse.Namespace) -> list[BoundStudy]:
    """One for each family that is named.

    Raises:
        TraceError, VideoError, ValueError: something that there is not.
    """
    video, members = load_video(args.video), members_of(args.members)
    qoe = scoring(args).on(video.ladder_kbps)
    chunks = min(CHUNKS, video.chunks) if args.chunks is None else args.chunks
    made = [BoundStudy(load_family(name), members, video, qoe, chunks) for name in args.family]
    for study in made:
        study.terms  # noqa: B018 - what can't be played is refused before anything is computed
    return made


def bounded(args: argparse.Namespace) -> dict[str, Any]:
    """What `--json` says.

    Raises:
        PolicyError, TraceError, VideoError, ValueError: something that there is not.
    """
    names = list(dict.fromkeys([BASELINE, *(name for name in args.policy.split(",") if name)]))
    said: list[dict[str, Any]] = []
    for study in studies(args):
        levels = {name: decided(study, name) for name in names}
        found = figures(study, levels, _progress(study))
        said.append(summed_up(study, found, BASELINE))
        if not args.json:
            shown(said[-1], print)
    command = " ".join(["python -m policies.knowable", *args.words])
    return {"schema": SCHEMA, "command": command, "bounds": said}


def _progress(study: BoundStudy) -> Any:
    done: list[MemberFigures] = []

    def tell(figures: MemberFigures) -> None:
        done.append(figures)
        if sys.stderr.isatty():
            print(f"\r{study.model.family}: {len(done)} of {len(study.members)} ", end="", file=sys.stderr)

    return tell


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    args.words = list(sys.argv[1:] if arguments is None else arguments)
    expected = (PolicyError, TraceError, VideoError, ValueError, ArithmeticError)
    return carried_out(PROG, lambda: _run(args), expected)


def _run(args: argparse.Namespace) -> int:
    report = bounded(args)
    text = json.dumps(report, indent=1, allow_nan=False) + "\n"
    if args.out is not None:
        write_aside(args.out, text)
    if args.json:
        print(text, end="")
    return 0


if __name__ == "__main__":
    exit_with(main)
