"""`collect`: sessions on any ladder and by any weights, and what the teacher would do in each state.

Sessions are drawn as `hindsight` is trained (`policies/hindsight/draws.py`), each played by one of the
policies, with some random levels among their own; lines that are held out are never played on. Where no
measured line is, members of generated families are held out, by the same rule.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from player.registry import split_policies
from player.simulated.batch.library import Ints
from player.simulated.batch.sessions import Sessions
from policies.hindsight import draws
from policies.hindsight.data import read_source, read_videos, with_members_held_out
from policies.hindsight.draws import SessionMix
from policies.hindsight.net import OptionNet
from policies.hindsight.validate import Selects
from policies.llm.learning import pool
from policies.llm.learning.pool import Experience
from policies.llm.tasks.ladder.play import Explore, watch
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.teacher import LadderTeacher, plays, read_teacher
from policies.rules.batch_mpc import BatchMPC
from traces.ownership import make_directory
from traces.progress import say

PLAYERS = ("hindsight", "robustmpc")
"""Policies that play any ladder as a batch."""
AT_ONCE = 512
"""Sessions of one drawn world."""


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Collect; what `--json` says.

    Raises:
        DataError, OptionNetError, TraceError, VideoError, ValueError: something is not there.
        OSError: the pool cannot be written.
    """
    words = {"traces": args.traces, "rescaled": args.rescaled, "video": args.video}
    net, mix, policies = read_teacher(args.teacher), mix_of(words), split_policies(args.policy)
    if unknown := [name for name in policies if name not in PLAYERS]:
        raise ValueError(f"--policy {unknown[0]}: plays no such sessions; there are {', '.join(PLAYERS)}")
    make_directory(args.out)
    (args.out / pool.MANIFEST).unlink(missing_ok=True)
    parts, counts, gained = [], {}, {}
    for number, policy in enumerate(policies):
        mine = args.sessions * (number + 1) // len(policies) - args.sessions * number // len(policies)
        part = _played(mix, net, policy, mine, (args.seed, number), args)
        parts.append(f"{number}-{policy}.npz")
        pool.write_part(args.out / parts[-1], part)
        counts[policy], gained[policy] = len(part), float(part.rewards.sum() / part.vectors.any(-1).sum())
        say(f"{policy}: {len(part)} sessions, relative QoE {gained[policy]:.3f} a chunk")
    facts = words | {
        "seed": args.seed,
        "explore": args.explore,
        "teacher": None if args.teacher is None else str(args.teacher.resolve()),
        "teacher_sha256": net.sha256,
        "policies": counts,
        "qoe": gained,
        "parts": parts,
    }
    pool.write_manifest(args.out, facts, TASK)
    return {"out": str(args.out), "sessions": sum(counts.values()), "policies": counts, "qoe": gained}


def mix_of(words: Mapping[str, Any]) -> SessionMix:
    """From a command line or a manifest: `traces`, `rescaled` and `video`.

    Raises:
        DataError, TraceError, VideoError: something is not there.
    """
    sources = [read_source(word, False) for word in words["traces"]]
    sources += [read_source(word, True) for word in words["rescaled"]]
    if not any(source.validation for source in sources):
        sources = [with_members_held_out(source) for source in sources]
    return SessionMix(tuple(sources), *read_videos(words["video"]))


def drawn(mix: SessionMix, count: int, seed: Sequence[int], threads: int) -> Sessions:
    """So many sessions of one drawn world that have not begun.

    Args:
        seed: decides everything.
    """
    random = np.random.default_rng(list(seed))
    world = draws.draw_world(mix, random)
    setup = draws.draw_setup(world, count, random)
    chunks = int(setup.chunks.max())
    return Sessions(world.library, setup, chunks=chunks, first_level=None, threads=threads)


def _played(
    mix: SessionMix, net: OptionNet, policy: str, count: int, seed: tuple[int, ...], args: argparse.Namespace
) -> Experience:
    """`count` sessions of a policy."""
    parts = []
    for batch, begin in enumerate(range(0, count, AT_ONCE)):
        random = np.random.default_rng([*seed, batch, 1])
        sessions = drawn(mix, min(AT_ONCE, count - begin), (*seed, batch), args.threads)
        selects: Selects = plays(sessions, net) if policy == "hindsight" else BatchMPC(sessions)
        explore = exploring(sessions, random, args.explore)
        parts.append(watch(sessions, selects, LadderTeacher(sessions, net), random, explore))
    return Experience.joined(parts)


def exploring(sessions: Sessions, random: np.random.Generator, often: float) -> Explore:
    """Puts a random level of the session's ladder in the place of such a share of those chosen."""
    ladders = sessions.library.packed.levels[sessions.state.video]

    def explore(levels: Ints) -> Ints:
        astray = random.random(len(levels)) < often
        return np.where(astray, random.integers(ladders), levels)

    return explore
