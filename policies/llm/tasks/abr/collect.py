"""`collect`: experience that existing policies make, and what a teacher would do in their place (RL_Collect).

Sessions are drawn as in `draw.py`, each played by one of the policies, with some random levels among
their own; lines that are held out are never played on. What is drawn ladders' the policies play too.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from player.registry import split_policies
from player.simulated.batch.library import Ints
from policies.hindsight.net import OptionNet
from policies.hindsight.policy import BatchHindsight
from policies.llm.learning import pool
from policies.llm.learning.pool import Experience
from policies.llm.tasks.abr import features as abr
from policies.llm.tasks.abr.draw import DrawnSessions, VideoMix, draw
from policies.llm.tasks.abr.play import Explore, batch_policy, watch
from policies.llm.tasks.abr.task import TASK
from policies.llm.tasks.abr.teacher import Teacher
from traces.ownership import make_directory
from traces.progress import say


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Collect; what `--json` says.

    Raises:
        DataError, PolicyError, PoolError, TraceError, VideoError, ValueError: something is not there.
        OSError: the pool cannot be written.
    """
    words = {"traces": args.traces, "rescaled": args.rescaled, "video": args.video, "ladders": args.ladders}
    net = OptionNet.read(args.teacher) if args.teacher else None
    mix, policies = VideoMix.of(words), split_policies(args.policy)
    make_directory(args.out)
    (args.out / pool.MANIFEST).unlink(missing_ok=True)
    parts, counts, gained = [], dict.fromkeys(policies, 0), dict.fromkeys(policies, 0.0)
    for number, policy in enumerate(policies):
        mine = args.sessions * (number + 1) // len(policies) - args.sessions * number // len(policies)
        random = np.random.default_rng([args.seed, number, 1])
        found = [
            play(drawn, policy, args.threads, exploring(random, args.explore), net)
            for drawn in draw(mix, mine, (args.seed, number))
        ]
        part = Experience.joined(found)
        name = f"{number}-{policy.replace(':', '_').replace('/', '_')}.npz"
        pool.write_part(args.out / name, part)
        parts.append(name)
        counts[policy] += len(part)
        gained[policy] = float(part.rewards[:, 1:].mean())
        say(f"{policy}: {len(part)} sessions, relative QoE {gained[policy]:.3f} a chunk")
    facts = words | {
        "seed": args.seed,
        "explore": args.explore,
        "teacher": None if args.teacher is None else str(args.teacher.resolve()),
        "policies": counts,
        "qoe": gained,
        "parts": parts,
    }
    pool.write_manifest(args.out, facts, TASK)
    return {"out": str(args.out), "sessions": sum(counts.values()), "policies": counts, "qoe": gained}


def play(
    drawn: DrawnSessions, policy: str, threads: int, explore: Explore | None, net: OptionNet | None = None
) -> Experience:
    """One batch of drawn sessions, played by a policy.

    Args:
        net: the teacher's; None for the shipped one. `hindsight` plays with it, too.
    """
    sessions = drawn.sessions(threads)
    if policy == "hindsight":
        return watch(sessions, BatchHindsight(sessions, net), Teacher(sessions, net), explore)
    return watch(sessions, batch_policy(policy, sessions, drawn.setup), Teacher(sessions, net), explore)


def exploring(random: np.random.Generator, often: float) -> Explore:
    """Puts a random level in the place of such a share of those chosen."""

    def explore(levels: Ints) -> Ints:
        astray = random.random(len(levels)) < often
        return np.where(astray, random.integers(abr.LEVELS, size=len(levels)), levels)

    return explore
