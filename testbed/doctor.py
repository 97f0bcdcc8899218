"""The command that tells what this machine can emulate, what is missing, and how to get it.

Only the standard library is needed, so that the doctor can be asked before anything is set up.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from traces.handover import hand_over

    hand_over(required=False)

import dataclasses
import json
import os
import platform
import sys

from testbed.lanes.capacity import Capacity, capacity_findings, capacity_of
from testbed.machine.capabilities import probe
from testbed.machine.finding import MISSING, NOTE, OK, UNKNOWN, Report
from testbed.machine.kernel import os_release
from testbed.machine.lateness import look
from testbed.machine.readings import read_machine
from traces.commands import Parser, add_json_option, exit_with

LOOK_S = 2.0
"""Of timers and processors: long enough to meet what a hypervisor does, short enough to be waited for."""

COLOURS = {OK: "32", MISSING: "31", UNKNOWN: "33", NOTE: "2"}


def examine() -> tuple[Report, Capacity]:
    """All that the command tells: what is there, and what the machine holds now, which takes `LOOK_S`."""
    report = probe()
    found = capacity_of(look(LOOK_S), read_machine())
    return Report((*report.findings, *capacity_findings(found))), found


def render(report: Report, colour: bool) -> str:
    """The report as a person reads it."""
    system = os_release().get("PRETTY_NAME", platform.system())
    lines = [f"{system}, Linux {platform.release()}, {platform.machine()}"]
    wide = max(len(finding.name) for finding in report.findings)
    group = ""
    for finding in report.findings:
        if finding.group != group:
            group = finding.group
            lines += ["", group]
        status = f"{finding.status:11}"
        if colour:
            shade = UNKNOWN if finding.status == MISSING and not finding.needed else finding.status
            status = f"\033[{COLOURS[shade]}m{status}\033[0m"
        lines.append(f"  {status}  {finding.name:{wide}}  {finding.detail}")
        if finding.way_out:
            lines.append(f"  {'':11}  {'':{wide}}  -> {finding.way_out}")
    return "\n".join([*lines, "", report.summary()])


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when a session can run here, 1 when it can't."""
    parser = Parser(
        prog="doctor.py",
        description="What this machine can emulate, what is missing, how to get it. Exit status 1 if no "
        "session can run. Asked by root, it can try everything.",
    )
    output = parser.add_argument_group("output")
    add_json_option(output)
    options = parser.parse_args(arguments)
    report, found = examine()
    if options.json:
        print(json.dumps({**report.as_json(), "capacity": dataclasses.asdict(found)}, indent=2))
    else:
        print(render(report, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return 0 if report.can_emulate else 1


if __name__ == "__main__":
    exit_with(main)
