"""`collect --task viewport`: windows of recordings, and where the viewers went.

Nobody plays: what is to be answered after each sample of a window is where the head goes from there. The last
videos of each source are held out, to choose by; of their viewers the windows that are judged are kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from policies.llm.learning import pool
from policies.llm.learning.pool import BY_PLAN, Experience
from policies.llm.tasks.viewport.task import TASK
from policies.llm.tasks.viewport.vectors import targets_of, vectors_of
from policies.viewport.examples import all_windows
from traces.heads.catalogue import watched_videos
from traces.heads.head import HeadError, WatchedVideo
from traces.ownership import make_directory
from traces.progress import say

LEARNED, KEPT = "learned.npz", "kept.npz"


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Collect; what `--json` says.

    Raises:
        HeadError: recordings that are not there, or too few videos.
        OSError: the pool cannot be written.
    """
    learned: list[WatchedVideo] = []
    kept: list[WatchedVideo] = []
    for spec in args.traces:
        videos = watched_videos(spec)
        if len(videos) <= args.hold_out:
            raise HeadError(f"{spec}: {len(videos)} videos, of which --hold-out {args.hold_out} choose")
        learned += videos[: -args.hold_out]
        kept += videos[-args.hold_out :]
    make_directory(args.out)
    (args.out / pool.MANIFEST).unlink(missing_ok=True)
    random = np.random.default_rng(args.seed)
    parts = {
        LEARNED: drawn(windows(learned, args.every), args.sessions, random),
        KEPT: drawn(windows(kept, None), max(args.sessions // 4, 1), random),
    }
    for name, part in parts.items():
        pool.write_part(args.out / name, part)
        say(f"{name}: {len(part)} windows")
    counts = {"learned": len(parts[LEARNED]), "kept": len(parts[KEPT])}
    facts = {"traces": args.traces, "hold_out": args.hold_out, "seed": args.seed, **counts}
    pool.write_manifest(args.out, facts | {"parts": list(parts)}, TASK)
    return {"out": str(args.out), **counts}


def windows(videos: Sequence[WatchedVideo], every: int | None) -> Experience:
    """All windows of all judged viewers, each a session.

    Args:
        every: samples from one to the next, from the recording's beginning to its end; None: those that are
            judged.

    Raises:
        HeadError: recordings too short for any.
    """
    parts = [
        _experience(vectors_of(found.seen), targets_of(found.seen.history, found.future))
        for found in all_windows(videos, every)
    ]
    return Experience.joined(parts)


def drawn(whole: Experience, most: int, random: np.random.Generator) -> Experience:
    """At most so many sessions."""
    if len(whole) <= most:
        return whole
    rows = np.sort(random.choice(len(whole), most, replace=False))
    return Experience(**{each.name: getattr(whole, each.name)[rows] for each in fields(Experience)})


def _experience(vectors: Any, targets: Any) -> Experience:
    sessions, steps = vectors.shape[:2]
    nothing = np.zeros((sessions, steps), np.float32)
    return Experience(vectors, nothing[:, :, None], nothing, targets, np.full(sessions, BY_PLAN, np.int8))
