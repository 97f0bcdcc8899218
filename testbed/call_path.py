"""What does a call's path do to its packets, on this machine? A line a run, exit status 1 if out of bounds.

    sudo python testbed/call_path.py [--repeat 5] [--media-delay-ms 20 --grant-ms 10]

Datagrams of 1200 bytes go down a lane at even times, first at half of a constant link's rate, then, for six
seconds, 13.9 % faster than it carries them. The kernel stamps each as it arrives, by the clock that stamped
its sending. An idle path should add nothing but what was asked; a full one should space frames as its rate
says and let the delay grow by what is sent too much. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from traces.handover import hand_over

    hand_over()

    from testbed.checks.call_path.options import parser

    parser().parse_args()  # help and mistakes don't wait for the imports that follow

import argparse
import asyncio
import dataclasses
import json
import sys
from collections.abc import Sequence

from testbed.checks.call_path.facts import CallPathFacts
from testbed.checks.call_path.measure import measure
from testbed.checks.call_path.options import asked_of, parser
from testbed.link.settings import LinkSettings
from testbed.process.errors import TestbedError
from traces.commands import carried_out, exit_with
from traces.temporary import temporary_folder
from traces.trace import TraceError

HEADER = (
    f"{'run':>3}  {'idle delay ms: sd / p50 / p95 / p99 / max':<44}{'spacing ms (due)':<20}{'sd':<8}"
    f"{'slope (due)':<20}{'off':<9}{'sender late p99 / max'}"
)


def _line(number: int, facts: CallPathFacts) -> str:
    idle, over = facts.idle, facts.overload
    figures = (idle.deviation_ms, idle.p50_ms, idle.p95_ms, idle.p99_ms, idle.max_ms)
    noise = " / ".join(f"{value:.3f}" for value in figures)
    spacing = f"{over.spacing_ms:.3f} ({over.spacing_due_ms:.3f})"
    slope = f"{over.slope:.5f} ({over.slope_due:.5f})"
    off = f"{100 * (over.slope / over.slope_due - 1):+.2f} %"
    late = f"{idle.sender_late_p99_ms:.2f} / {idle.sender_late_max_ms:.2f} ms"
    return f"{number:>3}  {noise:<44}{spacing:<20}{over.spacing_deviation_ms:<8.3f}{slope:<20}{off:<9}{late}"


def _judged(facts: CallPathFacts, settings: LinkSettings) -> list[str]:
    even = not settings.media_jitter_ms and not settings.grant_ms
    return facts.faults(settings.media_delay_ms, even)


async def _run(args: argparse.Namespace) -> int:
    settings, backend = asked_of(args)
    out = sys.stderr if args.json else sys.stdout
    print(f"a call's path at {args.rate_mbps:g} Mbit/s, delay stage: {backend}", file=out)
    print(HEADER, file=out)
    runs = []
    with temporary_folder() as folder:
        for number in range(1, args.repeat + 1):
            facts = await measure(settings, backend, args.rate_mbps, args.seconds, folder)
            faults = _judged(facts, settings)
            runs.append({"run": number, **dataclasses.asdict(facts), "faults": faults})
            print("; ".join([_line(number, facts), *(f"OUT: {fault}" for fault in faults)]), file=out)
    within = sum(not run["faults"] for run in runs)
    print(f"{within} of {len(runs)} within bounds", file=out)
    if args.json:
        link = dataclasses.asdict(settings)
        print(json.dumps({"delay_backend": backend, "link": link, "runs": runs}, allow_nan=False), flush=True)
    return 0 if within == len(runs) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return carried_out("call_path.py", lambda: asyncio.run(_run(args)), (TestbedError, TraceError))


if __name__ == "__main__":
    exit_with(main)
