"""`python -m policies.call.small`: teach the small net of calls, or score it.

    python -m policies.call.small train --seed 1 --out my/small.safetensors
    python -m policies.call.small score --traces '4g-fast[1000:1100]' --scales 1 0.9 --policy copa,nada

Exit status: 0 done, 2 bad input.
"""

from __future__ import annotations

if __name__ == "__main__":
    from traces.handover import hand_over

    hand_over()

    from policies.call.small.command_line import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from player.call.path import CallPath
from player.call.settings import CallSettings
from player.registry import PolicyError, split_policies
from policies.call.small.command_line import PROG, parser
from policies.call.small.net import PARAMETERS, packed
from policies.call.small.policy import Small
from policies.call.small.rules import rules_named
from policies.call.small.score import (
    GCC,
    ORACLE,
    TEACHER,
    HowScored,
    Plays,
    plays_oracle,
    plays_rule,
    plays_teacher,
    score_sets,
)
from policies.call.small.settings import TrainSettings
from traces.commands import carried_out, exit_with
from traces.families.catalogue import resolve_many
from traces.files import write_aside
from traces.ownership import make_directory
from traces.progress import say
from traces.trace import TraceError

REFUSED = (PolicyError, TraceError, ValueError)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    options = parser().parse_args(arguments)
    return carried_out(
        PROG, lambda: _train(options) if options.command == "train" else _score(options), REFUSED
    )


def _train(options: argparse.Namespace) -> int:
    from policies.call.small.train import train

    settings = TrainSettings(**{each.name: getattr(options, each.name) for each in fields(TrainSettings)})
    sets = [resolve_many(spec) for spec in options.traces]
    net, error = train(sets, overs_of(options.over, len(sets)), settings, say)
    told = {name: str(value) for name, value in asdict(settings).items()}
    about = told | {
        "traces": " ".join(options.traces),
        "over": " ".join(f"{over:g}" for over in options.over),
        "parameters": str(PARAMETERS),
        "error": f"{error:.4f}",
    }
    make_directory(options.out.parent)
    write_aside(options.out, packed(net, about))
    print(json.dumps(about) if options.json else f"{options.out}: {PARAMETERS} parameters, error {error:.4f}")
    return 0


def overs_of(given: Sequence[float], sets: int) -> Sequence[float]:
    """One for each set of traces.

    Raises:
        ValueError: neither one nor as many as sets.
    """
    if len(given) not in (1, sets):
        raise ValueError(f"--over has {len(given)} numbers; give one, or one for each of the {sets} --traces")
    return list(given) * (sets if len(given) == 1 else 1)


def _players(options: argparse.Namespace) -> dict[str, Plays]:
    """By what the table calls them; GCC first."""
    players = rules_named(split_policies(",".join(filter(None, (GCC, options.policy)))))
    for weights in options.weights or [""]:
        for scale in options.scales:
            name = Path(weights).stem if weights else "small"
            players[f"{name} x {scale:g}"] = plays_rule(Small(scale, weights).compiled_rule(), False)
    return players | {TEACHER: plays_teacher, ORACLE: plays_oracle}


def _score(options: argparse.Namespace) -> int:
    sets = {spec: resolve_many(spec) for spec in options.traces}
    how = HowScored(CallSettings(), CallPath(), options.threads, options.starts, options.pooled)
    tables = score_sets(sets, _players(options), how, say_nothing if options.json else print)
    if options.json:
        print(json.dumps({"call": asdict(how.call), "path": asdict(how.path), "sets": tables}))
    return 0


def say_nothing(line: str) -> None:
    """What a person would read is in the object."""


if __name__ == "__main__":
    exit_with(main)
