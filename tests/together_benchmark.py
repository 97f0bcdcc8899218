"""How much quicker simulated sessions are side by side than one at a time, and whether they are the same.

    python -m tests.together_benchmark [--policy netllm] [--sessions 100]

Both ways in one process on one core, records written, with what is compiled and loaded only once left out.
Exit status: 0 every record is the same and decisions come ten times as fast or more, else 1.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from testbed.simulate import plan_simulation
from testbed.simulated.jobs import SimulationJob, plan_jobs, run_jobs
from testbed.simulating.command_line import parser
from tests.support.simulating import rows_of
from traces.ownership import make_directory

TIMES = 10.0


@dataclass(frozen=True)
class OneWay:
    """What one way of playing took."""

    decisions: int
    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        return (
            f"{self.decisions / self.wall_s:6.0f} decisions/s ({self.decisions / self.cpu_s:.0f} a second of"
            f" processor; {self.wall_s:.1f} s)"
        )


def play(policy: str, traces: str, out: Path, side_by_side: bool) -> OneWay:
    """Simulate a policy over traces, in this process."""
    words = ["--traces", traces, "--policy", policy, "--jobs", "1", "--out", str(out)]
    plan = plan_simulation(parser().parse_args(words), words)
    make_directory(plan.out)
    jobs, _, _ = plan_jobs(plan.sessions, plan.facts)
    if not side_by_side:
        jobs = [SimulationJob((session,), (False,), plan.facts) for session in plan.sessions]
    begun, begun_cpu = time.perf_counter(), time.process_time()
    for _ in run_jobs(jobs, 1):
        pass
    decisions = sum(session.chunks - 1 for session in plan.sessions)  # the first level is fixed
    return OneWay(decisions, time.perf_counter() - begun, time.process_time() - begun_cpu)


def main() -> int:
    """Play both ways; the exit status."""
    command = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    command.add_argument("--policy", default="netllm:server=none", metavar="NAME")
    command.add_argument("--sessions", type=int, default=100, metavar="N")
    args = command.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="streambed-together-") as folder:
        place, traces = Path(folder), f"4g[0:{args.sessions}]"
        for warm, side_by_side in (("a", True), ("b", False)):
            play(args.policy, "4g[0:2]", place / warm, side_by_side)
        together = play(args.policy, traces, place / "together", True)
        print(f"side by side      {together}", flush=True)
        alone = play(args.policy, traces, place / "alone", False)
        print(f"one at a time     {alone}", flush=True)
        same = rows_of(place / "together") == rows_of(place / "alone")
    times = alone.wall_s / together.wall_s
    print(f"{times:.1f} times the decisions a second ({alone.cpu_s / together.cpu_s:.1f} by processor time)")
    print(f"{args.sessions} sessions: {'every record is the same' if same else 'RECORDS DIFFER'}")
    return 0 if same and times >= TIMES else 1


if __name__ == "__main__":
    raise SystemExit(main())
