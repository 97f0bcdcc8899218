"""How many decisions a second the cluster takes, on one core, with rules and through observations.

    python -m player.jobs.bench

The public environment (spark-sched-sim, as published with NetLLM) takes about 3 ms a decision. Compiling,
which is kept, is not counted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from player.jobs.policy import Assignment, CompiledJobsRule
from player.jobs.settings import ClusterSettings
from player.jobs.simulated.episode import Episode
from player.jobs.simulated.rule_steps import FAIR
from traces.commands import Parser, add_json_option, carried_out, exit_with
from traces.jobs.catalogue import job_sequences
from traces.trace import TraceError

PROG = "python -m player.jobs.bench"
PUBLIC_MS = 3.0
_RULE = CompiledJobsRule(FAIR)


def measured(spec: str) -> dict[str, float]:
    """Fair over sequences, compiled; and with an observation made for every decision."""
    episodes = [Episode(sequence, ClusterSettings()) for sequence in job_sequences(spec)]
    _observed(Episode(job_sequences("tpch/0", 3)[0], ClusterSettings()))  # compiles
    seen = [episode.copy() for episode in episodes]
    begun = time.perf_counter()
    for episode in episodes:
        episode.play(_RULE)
    compiled_s = time.perf_counter() - begun
    begun = time.perf_counter()
    for episode in seen:
        _observed(episode)
    seen_s = time.perf_counter() - begun
    decisions = sum(episode.decisions for episode in episodes)
    return {
        "episodes": len(episodes),
        "decisions": decisions,
        "compiled_us": round(1e6 * compiled_s / decisions, 2),
        "observed_us": round(1e6 * seen_s / decisions, 2),
        "times_public": round(PUBLIC_MS * 1000.0 / (1e6 * compiled_s / decisions), 1),
    }


def _observed(episode: Episode) -> None:
    """By the first schedulable stage, which an observation names."""
    while not episode.over:
        seen = episode.observation()
        episode.give(Assignment(int(seen.ready.argmax()), 5))
    return


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = Parser(prog=PROG, description="How fast the cluster is simulated.")
    parser.add_argument("--traces", default="tpch[0:12]", metavar="TRACES", help="an episode of each")
    add_json_option(parser)
    args = parser.parse_args(arguments)

    def work() -> int:
        found = measured(args.traces)
        if args.json:
            print(json.dumps(found))
        else:
            print(
                f"{found['episodes']} episodes, {found['decisions']} decisions by fair:"
                f" {found['compiled_us']} us each, {found['times_public']:g} times as fast as 3 ms;"
                f" with an observation made for each {found['observed_us']} us"
            )
        return 0

    return carried_out(PROG, work, (TraceError,))


if __name__ == "__main__":
    exit_with(main)
