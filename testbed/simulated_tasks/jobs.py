"""The task of jobs, for `simulate.py`."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.tasks.figures import JOBS_FIGURES
from player.jobs.policy import SchedulesTogether
from player.jobs.record import JOBS_RECORD
from player.jobs.settings import ClusterSettings, JobsError
from player.jobs.simulated.playing import play_jobs, play_together
from player.registry import JOBS
from player.tasks.record import TaskEnd
from testbed.simulated_tasks.task import Playable
from traces.jobs.catalogue import job_sequences


class JobsTask:
    """Schedulers over sequences of jobs."""

    kind = JOBS
    records = JOBS_RECORD
    figures = JOBS_FIGURES
    default_policy = "fair"
    errors: tuple[type[Exception], ...] = (JobsError,)

    def playables(self, args: argparse.Namespace) -> list[Playable]:
        """The sequences.

        Raises:
            JobError: a word that names none.
        """
        return [
            Playable(sequence.name, spec, sequence.family, sequence.sha256, sequence)
            for spec in args.traces
            for sequence in job_sequences(spec, args.length, args.gap_s * 1000.0)
        ]

    def facts(self, args: argparse.Namespace) -> Mapping[str, Any]:
        """The cluster, and how sequences are cut.

        Raises:
            JobsError: figures that make none.
        """
        cluster = ClusterSettings(args.executors, args.moving_ms, args.warm_up_ms, args.mode)
        sequence = {"jobs": args.length, "gap_s": args.gap_s}
        return {"cluster": dataclasses.asdict(cluster), "sequence": sequence}

    def play(
        self, playables: Sequence[Playable], facts: Mapping[str, Any], policy: Any, seed: int
    ) -> Iterator[tuple[Sequence[Any], TaskEnd]]:
        """An episode of each; all side by side where the policy decides them at once."""
        cluster = ClusterSettings(**facts["cluster"])
        sequences = [playable.content for playable in playables]
        if len(sequences) > 1 and isinstance(policy, SchedulesTogether) and policy.together() > 1:
            for played in play_together(sequences, cluster, policy, seed):
                yield played.rows, played.end
            return
        for sequence in sequences:
            played = play_jobs(sequence, cluster, policy, seed)
            yield played.rows, played.end
