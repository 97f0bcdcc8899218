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
from collections.abc import Mapping, Sequence
from typing import Any

from player.commands.options import scoring
from player.defaults import CHUNKS
from player.registry import PolicyError, load_policy, split_policies
from player.video.built_in import load_video
from player.video.video import VideoError
from policies.knowable.command_line import BASELINE, PROG, parser
from policies.knowable.informed import INFORMED
from policies.knowable.kept import (
    SCHEMA,
    BoundsFile,
    conditions,
    held_of,
    rows_of,
    without_members,
)
from policies.knowable.share import MemberFigures
from policies.knowable.study import BoundStudy, decided, figures
from policies.knowable.summary import shown, summed_up
from traces.commands import carried_out, exit_with
from traces.families.catalogue import MAX_SLICE, load_family
from traces.progress import say
from traces.trace import TraceError
from traces.versions import code_version


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


def studies(args: argparse.Namespace, kept: BoundsFile) -> list[BoundStudy]:
    """One for each family that is named; to add, for each that the file has.

    Raises:
        TraceError, VideoError, ValueError: something that there is not.
    """
    there: dict[str, Any] = {}
    if args.add:
        there = {str(each.get("family")): each.get("members") for each in kept.entries}
    if not (families := args.family or list(there)):
        raise ValueError("--family is missing: name one with a generator, such as 3g")
    video, named = load_video(args.video), members_of(args.members)
    qoe = scoring(args).on(video.ladder_kbps)
    chunks = min(CHUNKS, video.chunks) if args.chunks is None else args.chunks
    made = []
    for name in dict.fromkeys(families):
        members = tuple(range(*members)) if (members := there.get(name)) else named
        made.append(BoundStudy(load_family(name), members, video, qoe, chunks))
    for study in made:
        study.terms  # noqa: B018 - what can't be played is refused before anything is computed
        if args.add and len((kept.entry_of(study) or {}).get("by_member", ())) < len(study.members):
            raise ValueError(
                f"--add: {args.out} has no whole bound of {study.model.family} under what is asked for;"
                " --policy in its place computes it"
            )
    return made


def bounded(args: argparse.Namespace) -> dict[str, Any]:
    """What `--json` says.

    Raises:
        BoundFileError, PolicyError, TraceError, VideoError, ValueError: something that there is not.
        OSError: `--out` can't be read or written.
    """
    names = dict.fromkeys([BASELINE, *split_policies(args.add or args.policy)])
    weights = {name: None if name == INFORMED else load_policy(name).weights_sha256 for name in names}
    kept, said = BoundsFile(args.out), []
    for study in studies(args, kept):
        said.append(_entry(study, args, kept, weights))
        if not args.json:
            shown(said[-1], print)
    return {"schema": SCHEMA, "bounds": [without_members(each) for each in said]}


def _entry(
    study: BoundStudy, args: argparse.Namespace, kept: BoundsFile, weights: Mapping[str, str | None]
) -> dict[str, Any]:
    """A family's entry, kept member by member."""
    before = kept.entry_of(study)
    held = held_of(before, weights)
    code = code_version()
    about = conditions(study) | {
        "command": " ".join(["python -m policies.knowable", *args.words]),
        "commit": code.commit,
        "changed": code.dirty,
        "decided_by": {**((before or {}).get("decided_by") or {}), **weights},
    }

    def tell(each: MemberFigures) -> None:
        held[each.member] = each
        kept.keep(study, about | {"complete": False, "by_member": rows_of(held.values())})
        say(f"{study.model.family}: member {each.member}, {len(held)} of {len(study.members)}")

    levels = {name: None if name == INFORMED else decided(study, name) for name in weights}
    found = figures(study, levels, tell, held)
    entry = about | summed_up(found, BASELINE) | {"by_member": rows_of(found)}
    kept.keep(study, entry)
    return entry


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    args.words = list(sys.argv[1:] if arguments is None else arguments)
    expected = (PolicyError, TraceError, VideoError, ValueError, ArithmeticError)
    return carried_out(PROG, lambda: _run(args), expected)


def _run(args: argparse.Namespace) -> int:
    report = bounded(args)
    if args.json:
        print(json.dumps(report, indent=1, allow_nan=False))
    return 0


if __name__ == "__main__":
    exit_with(main)
