"""Distilled trees, kept: one for each adapter and setting, in the caller's cache directory."""

from __future__ import annotations

import hashlib

from policies.explain.adapters import Decider
from policies.explain.distilled import MOST_CHUNKS, Distilled, distilled, families_for, rtt_ms_of
from policies.explain.named import NAMES
from policies.explain.replayed import PlayedSession
from policies.explain.tree import LEAVES
from policies.llm.tasks.ladder.task import TASK
from traces.files import write_aside
from traces.ownership import caller_cache_dir, give_to_caller, make_directory
from traces.progress import say
from traces.safe_reading import BadFileError, line_of, read_json_object

FOLDER = "trees"


def tree_for(like: PlayedSession, decider: Decider, dtype: str, sessions: int) -> Distilled:
    """The tree of an adapter for a session's video, weights, cap and round trip; made where there is none.

    Raises:
        ValueError: the adapter can't be loaded.
        OSError: it can't be kept.
    """
    path = caller_cache_dir() / FOLDER / f"{_key(like, decider, dtype, sessions)}.json"
    try:
        return Distilled.from_json(read_json_object(path))
    except (OSError, BadFileError, KeyError, TypeError, ValueError):
        pass  # none yet, or a damaged one: it is made anew
    say(f"distilling a tree from {sessions} sessions of the model; it is kept in {path.parent}")
    made = distilled(like, decider.folder, dtype, sessions)
    make_directory(path.parent)
    write_aside(path, line_of(made.to_json()) + "\n")
    give_to_caller(path)
    return made


def _key(like: PlayedSession, decider: Decider, dtype: str, sessions: int) -> str:
    """By all that a tree depends on."""
    said = (
        decider.sha256, dtype, TASK.name, TASK.modalities, like.video.sha256, like.qoe,
        like.cap_s, rtt_ms_of(like), families_for(like), MOST_CHUNKS, sessions, LEAVES, NAMES,
    )  # fmt: skip
    return hashlib.sha256(repr(said).encode()).hexdigest()[:32]
