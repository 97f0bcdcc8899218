"""Make video calls over one replayed trace, several controllers of the rate side by side.

    sudo python3 testbed/call.py --trace 4g --policy gcc,copa,nada

Each policy gets a lane of its own with the identical trace, and a call of its own over it: real UDP, the
media modelled. With `--together` they share one; `--beside video:bba` and `--cross cubic:2` put others onto
each lane. Records, link logs and a summary land in one folder. Exit status: 0 all calls went through
over true links, 1 some did not, 2 bad input or a machine that cannot, 130 or 143 when interrupted.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from traces.handover import hand_over

    hand_over()

    from testbed.calling.command_line import asked

    asked(sys.argv[1:])  # help and mistakes don't wait for the imports that follow

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from rich.text import Text

from player.real.live import silence
from player.real.stdout import kept_for_us
from player.registry import PolicyError
from testbed.calling.calls import CALLS, FORKED
from testbed.calling.command_line import asked
from testbed.calling.plan import CallsPlan, describe, plan_calls
from testbed.calling.summary import as_json
from testbed.cross.options import shares
from testbed.lanes.folder import folder_of
from testbed.lanes.medium import Medium
from testbed.lanes.retrying import streamed
from testbed.lanes.side_by_side import Interrupt, Interrupted
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from testbed.process.launching import launch_ahead
from testbed.process.served_page import page_of
from testbed.together.mixed import MIXED
from testbed.together.plan import with_others
from testbed.together.shown import good, lines, objects, tables
from testbed.together.summary import calls_of
from traces.commands import carried_out, leave, next_step
from traces.files import write_aside

NOT_ALL_GOOD = 1


async def _run(plan: CallsPlan, as_object: bool, out: TextIO) -> int:
    console = person_console(out, as_object)
    interrupt = Interrupt()
    console.print(Text(describe(plan)), soft_wrap=True)
    for note in plan.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
    shared = any(one.beside for one in plan.sessions)
    medium: Medium[Any, Any] = MIXED if shared else CALLS
    try:
        results, retried = await streamed(plan, medium, console, interrupt)
    except Interrupted:
        console.print("interrupted before any call had begun; nothing was recorded")
        return interrupt.status
    report = as_json(calls_of(results), str(plan.out)) | objects(results)
    report["retried"] = [
        {"record": str(one.record), "reasons": list(one.result.verdict.reasons)} for one in retried
    ]
    write_aside(plan.out / "summary.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    console.print()
    for table in tables(results):
        console.print(table)
    for line in lines(results):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(f"records: {plan.out}"), soft_wrap=True)
    again = next_step("testbed/call.py", "--trace", plan.sessions[0].trace_spec, "--start-s", "60")
    console.print(Text(f"another minute: {again}"), soft_wrap=True)
    if as_object:
        print(json.dumps(report, allow_nan=False), file=out, flush=True)
    return interrupt.status or (0 if all(map(good, results)) else NOT_ALL_GOOD)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    args = asked(words)
    launch_ahead(MIXED.forked if shares(args) else FORKED)  # it makes machine code ready while we plan

    def work() -> int:
        with kept_for_us() as out:  # what a policy prints may not mix with our lines
            plan = with_others(plan_calls(args, words), args)
            with folder_of(plan), page_of(plan.out, args.serve_page, person_console(out, args.json)):
                return asyncio.run(_run(plan, args.json, out))

    try:
        return carried_out(
            "call.py",
            work,
            (TestbedError, PolicyError),
            after="; nothing more was recorded",
            interrupted="interrupted; nothing was recorded",  # while planning; `Interrupt` hears later ones
        )
    except BrokenPipeError:  # whoever read the results has left; the records are there
        silence(sys.stdout)
        return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which `hand_over` took away
    leave(main())
