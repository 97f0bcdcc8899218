"""How many seconds of calls are simulated in a second, with GCC deciding.

    python -m player.call.bench                          # 100 calls of 60 s over 4g, on one core
    python -m player.call.bench --traces '3g[0:400]' --threads 2

Compiling, which is kept, is not counted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from player.call.checks import CallError
from player.call.compiled_rule import CompiledRule
from player.call.gcc import gcc
from player.call.gcc.state import new_state
from player.call.path import CallPath
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.playing import play_rule
from traces.commands import Parser, add_json_option, carried_out, exit_with
from traces.families.catalogue import resolve_many
from traces.trace import Trace, TraceError

RULE = CompiledRule(new_state, gcc.begin, gcc.step, gcc.take_probe_kbps, gcc.step_all)


def measured(traces: Sequence[Trace], call: CallSettings, threads: int, repeat: int) -> dict[str, Any]:
    """Play all calls at once, so often; the figures of the fastest.

    Raises:
        CallError: no call can be made.
    """
    _play(traces[:1], CallSettings(duration_s=2.0, warm_up_s=0.0), threads)  # compiles
    best = None
    for _ in range(repeat):
        begun = time.perf_counter()
        calls = _play(traces, call, threads)
        took_s = time.perf_counter() - begun
        best = took_s if best is None else min(best, took_s)
    assert best is not None
    packets = int(calls.sender.record["next_seq"].sum())
    return {
        "calls": len(traces),
        "call_s": call.duration_s,
        "threads": threads,
        "took_s": round(best, 3),
        "simulated_s_per_s": round(len(traces) * call.duration_s / best),
        "packets_per_s": round(packets / best),
    }


def _play(traces: Sequence[Trace], call: CallSettings, threads: int) -> SimulatedCalls:
    calls = SimulatedCalls(call, traces, CallPath(), range(len(traces)), threads=threads)
    play_rule(calls, RULE)
    return calls


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = Parser(prog="python -m player.call.bench", description="How fast calls are simulated.")
    parser.add_argument(
        "--traces", nargs="+", default=["4g[0:100]"], metavar="TRACES", help="a call over each"
    )
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="length of a call")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="cores to use (default: 1)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="the fastest of so many counts")
    add_json_option(parser)
    args = parser.parse_args(arguments)

    def work() -> int:
        traces = [trace for spec in args.traces for trace in resolve_many(spec)]
        call = CallSettings(duration_s=args.seconds)
        found = measured(traces, call, max(args.threads, 1), max(args.repeat, 1))
        if args.json:
            print(json.dumps(found))
        else:
            print(
                f"{found['calls']} calls of {found['call_s']:g} s with GCC on {found['threads']} core(s):"
                f" {found['took_s']:.2f} s, {found['simulated_s_per_s']:,} simulated seconds a second,"
                f" {found['packets_per_s'] / 1e6:.2f} million packets a second"
            )
        return 0

    return carried_out("python -m player.call.bench", work, (CallError, TraceError))


if __name__ == "__main__":
    exit_with(main)
