"""The options of `load`. What takes long to import has no place here."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

from policies.apc.names import BUDGET_MS, TRAINED, WAYS
from traces.commands import add_json_option

SESSIONS = (1, 4, 16, 64, 256, 1024)
TRACES = "4g[400:464]"


def add_load(commands: Any) -> None:
    """The command line of `load`."""
    command = commands.add_parser("load", help="many simulated players in real time against the server")
    what = command.add_argument_group("who comes")
    what.add_argument(
        "--sessions",
        type=_counts,
        default=list(SESSIONS),
        metavar="N,N,…|N..N",
        help="1..256 is 1,4,16,64,256 (default: 1..1024)",
    )
    what.add_argument(
        "--ways", type=_ways, default=list(WAYS), metavar="WAY,…", help="default: llm,apc,light"
    )
    what.add_argument(*("--traces", "--trace"), default=TRACES, metavar="SPEC", help="default: %(default)s")
    what.add_argument("--duration-s", type=float, default=20.0, help="of each load (default: %(default)g)")
    what.add_argument(
        "--ramp-s", type=float, default=4.0, help="within which players arrive (default: %(default)g)"
    )
    what.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    how = command.add_argument_group("who decides")
    how.add_argument(
        "--adapter", type=Path, metavar="DIR", help="what `adapt` made (default: the shipped one)"
    )
    how.add_argument(
        "--layers",
        type=_counts,
        metavar="N,N",
        help="other numbers than the adapter's: random weights, for timing",
    )
    how.add_argument("--threads", type=int, metavar="N", help="of the model on the CPU (default: one a core)")
    how.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: %(default)s")
    how.add_argument("--light", default=TRAINED, metavar="POLICY", help="default: %(default)s")
    how.add_argument("--scheduler", default="rule", help="default: %(default)s")
    how.add_argument("--static", action="store_true", help="leave the thresholds as they are under load")
    how.add_argument("--budget-ms", type=float, default=BUDGET_MS, help="default: %(default)g")
    output = command.add_argument_group("output")
    output.add_argument("--out", type=Path, metavar="DIR", help="load.json and load.png")
    add_json_option(output)


def _counts(text: str) -> list[int]:
    """`1,16,40`, or `1..64` for 1,4,16,64: four times as many each time, and the last."""
    first, dots, last = text.partition("..")
    try:
        found = [int(first), int(last)] if dots else [int(word) for word in text.split(",")]
    except ValueError:
        found = [0]
    if min(found) < 1 or (dots and found[0] > found[1]):
        raise argparse.ArgumentTypeError(
            f"{text}: expected whole numbers, each 1 or more, by commas, or two as FEWEST..MOST"
        )
    if not dots:
        return found
    counts = list(
        itertools.takewhile(lambda count: count < found[1], (found[0] * 4**n for n in itertools.count()))
    )
    return [*counts, found[1]]


def _ways(text: str) -> list[str]:
    found = text.split(",")
    if unknown := set(found) - set(WAYS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: there are {', '.join(WAYS)}")
    return found
