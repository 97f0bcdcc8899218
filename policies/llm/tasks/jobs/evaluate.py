"""`test --task jobs`: an adapter beside other schedulers, over the same sequences of jobs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from player.jobs.policy import SchedulesTogether
from player.jobs.settings import ClusterSettings
from player.jobs.simulated.playing import Played, play_jobs, play_together
from player.registry import JOBS, load_policy, split_policies
from policies.bootstrap import mean_interval
from policies.jobs.rules import Fair
from policies.llm.model.adapter import read
from policies.llm.tasks.jobs.collect import sequences_of
from policies.llm.tasks.jobs.policy import NetLLM
from policies.llm.tasks.jobs.task import TASK
from traces.jobs.sequence import JobSequence

BASELINE, NAME = "fair", "netllm"
SEED = 0


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Test; what `--json` says. Without it the table is printed.

    Raises:
        AdapterError, BaseError, PolicyError, JobError, ValueError: something is not there.
    """
    sequences = sequences_of(args.traces, args.length)
    names = [name for name in dict.fromkeys(split_policies(args.policy)) if name != BASELINE]
    policies: dict[str, Any] = {name: load_policy(name, kind=JOBS, seed=SEED).policy for name in names}
    adapter = "" if args.adapter is None else str(args.adapter)
    netllm = NetLLM("none", adapter=adapter, device=args.device, dtype=args.dtype)
    netllm.ready_together()  # what can't be loaded is said before anything is played
    policies[NAME] = netllm
    rows = scored(sequences, policies)
    if not args.json:
        for line in table(rows):
            print(line)
    shape = read(args.adapter, TASK).shape
    return {
        "adapter_sha256": netllm.weights_sha256,
        "base": shape.base,
        "layers": shape.layers,
        "traces": list(args.traces),
        "length": args.length,
        "policies": rows,
    }


def scored(sequences: Sequence[JobSequence], policies: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each scheduler's mean job time, `fair`'s first, and how much less it is than that, with intervals over
    sequences.

    Raises:
        ValueError: jobs were never done.
    """
    times: dict[str, Any] = {}
    rows = []
    for name, policy in {BASELINE: Fair(), **policies}.items():
        played = _played(sequences, policy)
        times[name] = np.array([one.episode.job_times_s.mean() for one in played])
        if not np.isfinite(times[name]).all():
            place = int(np.flatnonzero(~np.isfinite(times[name]))[0])
            raise ValueError(f"{name} over {sequences[place].name}: {played[place].end.reason}")
        less = times[name] - times[BASELINE]
        rows.append(
            {
                "policy": name,
                "sequences": len(sequences),
                "job_s": float(times[name].mean()),
                "less": mean_interval(less, list(range(len(less)))),
                "decisions": sum(one.end.decisions for one in played),
                "each_s": [round(float(each), 3) for each in times[name]],
            }
        )
    return rows


def _played(sequences: Sequence[JobSequence], policy: Any) -> list[Played]:
    if len(sequences) > 1 and isinstance(policy, SchedulesTogether) and policy.together() > 1:
        return play_together(sequences, ClusterSettings(), policy, SEED)
    return [play_jobs(sequence, ClusterSettings(), policy, SEED) for sequence in sequences]


def less_in_words(less: Sequence[float]) -> str:
    """A difference with its interval."""
    mean, low, high = less
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each scheduler, as Markdown."""
    lines = [
        f"| scheduler | job time over {rows[0]['sequences']} sequences, s | less {BASELINE}, s | decisions |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        less = "" if row["policy"] == BASELINE else less_in_words(row["less"])
        lines.append(f"| {row['policy']} | {row['job_s']:.2f} | {less} | {row['decisions']} |")
    return lines
