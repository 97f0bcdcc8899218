"""The main job: stream one video over one replayed trace, several policies side by side.

    sudo python testbed/run.py --trace 4g

Each policy gets a lane of its own with the identical trace; with `--together` they share one, and `--beside
call:gcc` and `--cross cubic:2` put others onto each lane. Records, link logs, origin logs and a
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

    from testbed.cross.options import shares
    from testbed.session.command_line import asked

    shared = shares(asked(sys.argv[1:]))  # help and mistakes don't wait for the imports that follow

    from testbed.process.launching import launch_ahead

    if not shared:
        launch_ahead()  # nor do players and origins for theirs

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
from player.video.video import VideoError
from testbed.cross.options import shares
from testbed.lanes.folder import folder_of
from testbed.lanes.medium import Medium
from testbed.lanes.retrying import streamed
from testbed.lanes.side_by_side import Interrupt, Interrupted
from testbed.process.console import person_console
from testbed.process.errors import TestbedError
from testbed.process.served_page import page_of
from testbed.session.command_line import asked
from testbed.session.plan import RunPlan, describe, plan_run
from testbed.session.summary import as_json
from testbed.session.videos import VIDEOS
from testbed.together.shown import good, lines, objects, tables
from testbed.together.summary import videos_of
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
    medium: Medium[Any, Any] = VIDEOS
    if any(one.beside for one in plan.sessions):
        from testbed.together.mixed import MIXED  # it knows calls, too

        medium = MIXED
    try:
        results, retried = await streamed(plan, medium, console, interrupt)
    except Interrupted:
        console.print("interrupted before any session had begun; nothing was recorded")
        return interrupt.status
    report = as_json(videos_of(results), plan.scored, str(plan.out)) | objects(results)
    report["retried"] = [
        {"record": str(one.record), "reasons": list(one.result.verdict.reasons)} for one in retried
    ]
    write_aside(plan.out / "summary.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    console.print()
    for table in tables(results):
        console.print(table)
    for line in lines(results):
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
    return 0 if all(map(good, results)) else NOT_ALL_GOOD


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
            if shares(args):
                from testbed.together.plan import with_others

                plan = with_others(plan, args)
            with folder_of(plan), page_of(plan.out, args.serve_page, person_console(out, args.json)):
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
