"""The main job: stream one video over one replayed trace, several policies side by side.

    sudo python testbed/run.py --trace 4g

Each policy gets a lane of its own with the identical trace. Records, link logs, origin logs and a
summary land in one folder. Exit status: 0 all sessions finished over true links, 1 some did not,
2 bad input or a machine that cannot, 130 or 143 when interrupted.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from traces.handover import hand_over

    hand_over()

    from testbed.session.command_line import asked

    asked(sys.argv[1:])  # help and mistakes don't wait for the imports that follow

    from testbed.process.launching import launch_ahead

    launch_ahead()  # nor do players and origins for theirs

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from typing import TextIO

from rich.text import Text

from player.real.live import silence
from player.real.stdout import kept_for_us
from player.registry import PolicyError
from player.video.video import VideoError
from testbed.lanes.folder import folder_of
from testbed.lanes.retrying import streamed
from testbed.lanes.side_by_side import Interrupt, Interrupted
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from testbed.session.command_line import asked
from testbed.session.plan import RunPlan, describe, plan_run
from testbed.session.session_plan import finished
from testbed.session.summary import as_json, remarks, table
from testbed.session.videos import VIDEOS
from traces.commands import carried_out, leave, next_step
from traces.files import write_aside

NOT_ALL_GOOD = 1


async def _run(plan: RunPlan, as_object: bool, out: TextIO) -> int:
    console = person_console(out, as_object)
    interrupt = Interrupt()
    console.print(Text(describe(plan)), soft_wrap=True)
    for note in plan.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
    for why in plan.left_out:
        console.print(Text(f"left out: {why}"), soft_wrap=True)
    try:
        results, retried = await streamed(plan, VIDEOS, console, interrupt)
    except Interrupted:
        console.print("interrupted before any session had begun; nothing was recorded")
        return interrupt.status
    report = as_json(results, plan.qoe, str(plan.out))
    report["retried"] = [
        {"record": str(one.record), "reasons": list(one.result.verdict.reasons)} for one in retried
    ]
    write_aside(plan.out / "summary.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    console.print()
    console.print(table(results, plan.qoe))
    for line in remarks(results):
        console.print(Text(line), soft_wrap=True)
    for one in retried:
        console.print(Text(f"streamed again; the invalid session is {one.record}"), soft_wrap=True)
    console.print(Text(f"records: {plan.out}"), soft_wrap=True)
    words = ["plot", str(plan.out), "--what", "timeline", "--out", "session.png"]
    if not any(result.end.valid for result in results):  # else there is nothing to draw
        words.append("--invalid")
    console.print(Text(next_step("-m", "analysis", *words)), soft_wrap=True)
    if as_object:
        print(json.dumps(report, allow_nan=False), file=out, flush=True)
    if interrupt.status:
        return interrupt.status
    return 0 if all(map(finished, results)) else NOT_ALL_GOOD


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    args = asked(words)

    def work() -> int:
        with kept_for_us() as out:  # what a policy prints may not mix with our lines
            if args is None:
                from testbed.reproduce import reproduce  # it knows sweeps, too

                return reproduce(words, out)
            plan = plan_run(args, words)
            with folder_of(plan):
                return asyncio.run(_run(plan, args.json, out))

    try:
        return carried_out(
            "run.py",
            work,
            (TestbedError, PolicyError, VideoError),
            after="" if args is None else "; nothing more was recorded",
            interrupted="interrupted; nothing was recorded",  # while planning; `Interrupt` hears later ones
        )
    except BrokenPipeError:  # whoever read the results has left; the records are there
        silence(sys.stdout)
        return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which `hand_over` took away
    leave(main())
