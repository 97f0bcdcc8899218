"""`collect --task jobs`: simulated episodes, and whom the teacher would give executors at every decision.

The teacher plays itself, astray (a share of its answers is drawn), and watches a rule that is far from it, so
that the model sees what comes of mistakes. A session is a run of consecutive decisions of one episode.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from player.jobs.settings import ClusterSettings
from player.jobs.simulated.episode import Episode
from policies.llm.learning import pool
from policies.llm.learning.pool import Experience
from policies.llm.tasks.jobs.names import TESTED
from policies.llm.tasks.jobs.play import EngineDrives, Watched, play
from policies.llm.tasks.jobs.task import TASK
from policies.llm.tasks.jobs.teacher import PLAYERS, TaughtBy, drives_of
from traces.jobs.catalogue import job_sequences
from traces.jobs.sequence import JobSequence
from traces.ownership import make_directory
from traces.progress import say

A_JOB = 16.0
"""Decisions that a job is worth at least: so many sessions may be counted on."""


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Collect; what `--json` says.

    Raises:
        JobError, ValueError: something is not there, or both learned from and held out.
        OSError: the pool cannot be written.
    """
    learned = sequences_of(args.traces, args.length)
    both = {each.name for each in learned} & {each.name for each in sequences_of(args.held_out, args.length)}
    if both:
        raise ValueError(f"--held-out: {min(both)} is one of --traces, too; name others")
    tested = {each.name for each in learned} & {each.name for each in sequences_of(TESTED, args.length)}
    if tested:
        say(f"note: {min(tested)} is of {' '.join(TESTED)}, by which schedulers are judged on our pages")
    make_directory(args.out)
    (args.out / pool.MANIFEST).unlink(missing_ok=True)
    parts, counts = [], {}
    for number, name in enumerate(PLAYERS):
        wanted = args.sessions * (number + 1) // len(PLAYERS) - args.sessions * number // len(PLAYERS)
        if not wanted:
            continue
        random = np.random.default_rng([args.seed, number])
        part = episodes_of(learned, name, args.teacher, wanted, args.decisions, random)
        parts.append(f"{number}-{name}.npz")
        pool.write_part(args.out / parts[-1], part)
        counts[name] = len(part)
        say(f"{name}: {len(part)} sessions of {args.decisions} decisions")
    facts = {
        "traces": args.traces,
        "held_out": args.held_out,
        "length": args.length,
        "decisions": args.decisions,
        "seed": args.seed,
        "teacher": args.teacher,
        "policies": counts,
        "parts": parts,
    }
    pool.write_manifest(args.out, facts, TASK)
    return {"out": str(args.out), "sessions": sum(counts.values()), "policies": counts}


def sequences_of(specs: Sequence[str], length: int) -> list[JobSequence]:
    """All sequences that some words name.

    Raises:
        JobError: one names none.
    """
    return [sequence for spec in specs for sequence in job_sequences(spec, length)]


def episodes_of(
    sequences: Sequence[JobSequence],
    player: str | EngineDrives,
    teacher: str,
    sessions: int,
    decisions: int,
    random: np.random.Generator,
) -> Experience:
    """So many sessions over these sequences, or as many as there are.

    Args:
        player: one of `PLAYERS`, or an engine with a slot for each sequence.

    Raises:
        ValueError: none is long enough for a session.
    """
    episodes = [Episode(sequence, ClusterSettings(), int(random.integers(1 << 31))) for sequence in sequences]
    teaches = TaughtBy(teacher, episodes)
    drives = player if isinstance(player, EngineDrives) else drives_of(player, teaches, random)
    there = sum(A_JOB * len(sequence) for sequence in sequences) / decisions
    watched = Watched(len(episodes), teaches, decisions, min(1.0, sessions / there), random)
    play(episodes, drives, watched)
    found = watched.sessions(sessions)
    if found is None:
        raise ValueError(f"no episode has {decisions} decisions: take more or longer sequences")
    return found
