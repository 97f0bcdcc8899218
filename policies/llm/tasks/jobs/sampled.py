"""Sessions of clusters to time a model with, or to try a server out."""

from __future__ import annotations

from player.jobs.policy import Assignment
from player.jobs.settings import ClusterSettings
from player.jobs.simulated.episode import Episode
from policies.jobs.rules import Fair
from policies.llm.tasks.jobs.collect import sequences_of
from policies.llm.tasks.jobs.play import Moment, play
from policies.llm.tasks.jobs.task import TASK
from policies.llm.tasks.jobs.wire import JobsContext, JobStep

FAMILY, JOBS, STEPS = "tpch", 8, 48


def sampled(number: int) -> tuple[JobsContext, list[JobStep]]:
    """The first decisions of an episode over the sequence of that number, by fair shares."""
    (sequence,) = sequences_of([f"{FAMILY}[{number}:{number + 1}]"], JOBS)
    cluster, fair, steps = ClusterSettings(), Fair(), []

    def watch(moment: Moment, answer: Assignment) -> None:
        steps.append(moment.step.step)

    play(
        [Episode(sequence, cluster, number)],
        lambda moments: [fair.schedule(moment.seen) for moment in moments],
        watch,
    )
    return TASK.context_of(cluster), steps[:STEPS]
