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
from numpy.typing import NDArray

from player.viewport.windows import moments_of
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
    random, learns, chooses = (
        np.random.default_rng(args.seed),
        windows(learned, args.every),
        windows(kept, None),
    )
    rows = drawn(len(learns), args.sessions, random)
    few = drawn(len(chooses), max(args.sessions // 4, 1), random)
    parts = {LEARNED: rows_of(learns, rows), KEPT: rows_of(chooses, few)}
    for name, part in parts.items():
        pool.write_part(args.out / name, part)
        say(f"{name}: {len(part)} windows")
    counts = {"learned": len(parts[LEARNED]), "kept": len(parts[KEPT])}
    facts = {"traces": args.traces, "hold_out": args.hold_out, "seed": args.seed, **counts}
    places = moments(kept)
    facts["kept_moments"] = [list(places[row]) for row in few]
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


def moments(videos: Sequence[WatchedVideo]) -> list[tuple[str, str, int]]:
    """Video, viewer, and the sample that is the first of its future, of each window that is judged."""
    return [
        (video.name, trace.viewer, at)
        for video in videos
        for trace in video.viewers
        for at in moments_of(len(trace))
    ]


def drawn(count: int, most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Which of so many windows are taken, at most so many, in order."""
    return np.arange(count) if count <= most else np.sort(random.choice(count, most, replace=False))


def rows_of(whole: Experience, rows: NDArray[np.int64]) -> Experience:
    """Some sessions."""
    return Experience(**{each.name: getattr(whole, each.name)[rows] for each in fields(Experience)})


def _experience(vectors: Any, targets: Any) -> Experience:
    sessions, steps = vectors.shape[:2]
    nothing = np.zeros((sessions, steps), np.float32)
    return Experience(vectors, nothing[:, :, None], nothing, targets, np.full(sessions, BY_PLAN, np.int8))
