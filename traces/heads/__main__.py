"""The command line of `python -m traces.heads`: check recordings, say how heads move in them, fit the family.

python -m traces.heads lint FOLDER
python -m traces.heads figures 'heads[0:40]' --beside FOLDER
python -m traces.heads fit FOLDER --out heads.json
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from traces.commands import Parser, add_json_option, add_options, carried_out, exit_with, tell_line
from traces.files import write_aside
from traces.heads.acceptance import Asked, acceptance
from traces.heads.catalogue import watched_videos
from traces.heads.figures import LEAST_S, figures_of, too_short
from traces.heads.files import read_heads, recordings_in
from traces.heads.fit import FitSettings, fit
from traces.heads.head import HeadError, warnings_of
from traces.heads.model import HeadsModel, heads_model, model_of
from traces.safe_reading import BadFileError, read_json_object
from traces.words import counted

PROG = "python -m traces.heads"
NAMED = 3
"""Of recordings that are too short, so many are named."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, 1 when something is not as it should be, 2 when it could not be carried out."""
    args = _parser().parse_args(arguments)
    return carried_out(PROG, lambda: int(args.run(args)), (HeadError, BadFileError))


def _parser() -> Parser:
    parser = Parser(prog=PROG, description="Recordings of heads: check, describe, fit.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    lint = commands.add_parser("lint", help="faults of recordings; exit 1 if there are any")
    lint.add_argument("folder", type=Path, help="with videoV/userU.csv in it")
    lint.set_defaults(run=_lint)
    figures = commands.add_parser(
        "figures", help="how heads move, beside what the family is held to; exit 1 where that is not met"
    )
    figures.add_argument("spec", help="heads[0:40], or a folder of recordings")
    figures.add_argument("--beside", metavar="SPEC", help="others, in a column of their own; not judged")
    figures.set_defaults(run=_figures)
    fitted = commands.add_parser("fit", help="fit the family's model to recordings")
    fitted.add_argument("folder", type=Path, help="with videoV/userU.csv in it")
    fitted.add_argument("--out", type=Path, required=True, metavar="FILE", help="the model's file")
    fitted.add_argument("--begin", type=Path, metavar="FILE", help="a model (default: the shipped one)")
    add_options(fitted, FitSettings)
    fitted.set_defaults(run=_fit)
    for command in (lint, figures, fitted):
        add_json_option(command)
    return parser


def _lint(args: argparse.Namespace) -> int:
    faults, notes, found = [], [], recordings_in(args.folder)
    for video, viewer, path in found:
        try:
            notes += [f"{path}: warning: {each}" for each in warnings_of(read_heads(path, video, viewer))]
        except HeadError as error:
            faults.append(str(error))
    if args.json:
        print(json.dumps({"recordings": len(found), "faults": faults, "warnings": notes}))
    else:
        for line in (*faults, *notes):
            tell_line(line)
        tell_line(f"{counted(len(found), 'recording')}, {counted(len(faults), 'fault')}")
    return int(bool(faults))


def _figures(args: argparse.Namespace) -> int:
    videos = watched_videos(args.spec)
    others = watched_videos(args.beside) if args.beside else []
    asked, beside = acceptance(figures_of(videos)), acceptance(figures_of(others)) if others else []
    short = too_short([*videos, *others])
    if args.json:
        values = {each["name"]: each["value"] for each in (one.to_json() for one in beside)}
        found = {"figures": [one.to_json() for one in asked], "beside": values or None}
        print(json.dumps(found | {"too_short": short}))
    else:
        _show(args, asked, beside)
        if short:
            named = ", ".join(short[:NAMED]) + (", …" if len(short) > NAMED else "")
            said = f"{counted(len(short), 'recording')} under {LEAST_S:g} s, without a window: {named}"
            tell_line(f"warning: {said}", sys.stderr)
    return int(not all(one.met for one in asked))


def _show(args: argparse.Namespace, asked: Sequence[Asked], beside: Sequence[Asked]) -> None:
    name = f"{args.beside[-24:]:>26}" if beside else ""
    print(f"{'':<34}{'asked':>18}{args.spec[-24:]:>26}{name}")
    for place, one in enumerate(asked):
        other = f"{_shown(beside[place]):>26}" if beside else ""
        missed = "" if one.met else "  missed"
        print(f"{one.name:<34}{one.low:>8.3f} to {one.high:>6.3f}{_shown(one):>26}{other}{missed}")


def _shown(one: Asked) -> str:
    return "-" if math.isnan(one.value) else f"{one.value:.3f}"


def _fit(args: argparse.Namespace) -> int:
    settings = FitSettings(**{each.name: getattr(args, each.name) for each in fields(FitSettings)})
    measured = figures_of(watched_videos(str(args.folder)))
    begin = heads_model()
    if args.begin:
        begin = model_of(read_json_object(args.begin), str(args.begin))

    def keep(step: int, least: float, model: HeadsModel) -> None:
        write_aside(args.out, json.dumps(model.to_json()) + "\n")
        tell_line(f"step {step}: off by {least:.4f}", sys.stderr)

    write_aside(args.out, json.dumps(fit(begin, measured, settings, keep).to_json()) + "\n")
    tell_line(json.dumps({"out": str(args.out)}) if args.json else f"model: {args.out}")
    return 0


if __name__ == "__main__":
    exit_with(main)
