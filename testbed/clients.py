"""How true our player is: the same policies through another client, over the same traces.

    sudo python3 testbed/run.py --trace 4g/400 --policy bba,robustmpc --out results/ours
    sudo python3 testbed/run.py --trace 4g/400 --policy bba,robustmpc --player dashjs --out results/theirs
    python testbed/clients.py results/ours results/theirs [--json] [--out FIGURE.png]

Sessions are paired by policy, trace, start, video and link; the figures are the other client's less ours,
with intervals over traces. For each chunk whose levels are more than one apart the policy is asked again
why (`testbed/checks/clients/causes.py`). Exit status: 0 done, 2 bad input.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from traces.handover import hand_over

    hand_over()

    from testbed.checks.clients.command_line import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence

from rich.text import Text

from analysis.clusters import ClusterRule
from analysis.sessions import AnalysisError
from player.record import RecordError
from player.registry import PolicyError
from testbed.again.told import Told
from testbed.again.trust import trusted_files
from testbed.checks.clients.causes import PartedChoice, parted
from testbed.checks.clients.command_line import parser
from testbed.checks.clients.figures import ClientRow, client_rows
from testbed.checks.clients.pairs import FoundPairs, find_pairs
from testbed.checks.clients.plot import draw
from testbed.checks.clients.tables import causes_table, chunks_table, sessions_table
from testbed.checks.fidelity.plot import ENDINGS
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from traces.commands import carried_out, exit_with


def _trusted(found: FoundPairs, trust: bool) -> None:
    """Say which policy files will run.

    Raises:
        TestbedError: there is one, and nobody has said that it may.
    """
    said = [trusted_files(Told(pair.ours.read.record), pair.policy, "", trust) for pair in found.pairs]
    for line in dict.fromkeys(filter(None, said)):
        print(f"note: {line}", file=sys.stderr)


def _causes(found: FoundPairs) -> list[list[PartedChoice]]:
    """Of each pair, the choices that parted."""
    with contextlib.redirect_stdout(sys.stderr):  # a user's policy may print; stdout is for --json
        return [list(parted(pair)) for pair in found.pairs]


def _compare(args: argparse.Namespace) -> int:
    if args.out is not None and (args.out.suffix not in ENDINGS or not args.out.parent.is_dir()):
        raise TestbedError(
            f"--out {args.out}: expected a name that ends in {', '.join(ENDINGS)} in a folder that is there"
        )
    found = find_pairs(args.results)
    _trusted(found, args.trust)
    rows = client_rows(found.pairs, _causes(found), ClusterRule())
    if args.out is not None:
        draw(found.pairs, rows, found.client, args.out)
    if args.json:
        report = {"client": found.client, "version": found.version, "pairs": len(found.pairs)}
        left = {"invalid": found.invalid, "unfinished": found.unfinished, "alone": found.alone}
        told = {**report, **left, "rows": [row.to_json() for row in rows]}
        print(json.dumps(told | {"out": str(args.out) if args.out else None}, allow_nan=False), flush=True)
        return 0
    _show(found, rows, args)
    return 0


def _show(found: FoundPairs, rows: Sequence[ClientRow], args: argparse.Namespace) -> None:
    console = person_console(sys.stdout, as_object=False)
    console.print(Text(str(found)), soft_wrap=True)
    console.print(sessions_table(rows, found.client))
    console.print(Text())
    console.print(chunks_table(rows))
    if any(row.causes for row in rows):
        console.print(Text())
        console.print(causes_table(rows))
    if args.out is not None:
        console.print(Text(f"picture: {args.out}"), soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit status."""
    args = parser().parse_args(argv)
    expected = (TestbedError, AnalysisError, RecordError, PolicyError)
    return carried_out("clients.py", lambda: _compare(args), expected)


if __name__ == "__main__":
    exit_with(main)
