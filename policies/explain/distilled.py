"""A small decision tree that says what the model does: learned from its own decisions, on generated sessions.

It answers how many levels up or down from the last one: the same rule then holds on all of a ladder. The
model streams the record's video, by the weights that it was told, over members of families; the tree is grown
on some sessions and held against others, over members that it has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.defaults import RTT_MS
from player.simulated.link_published import PublishedLink
from player.simulated.session import Chooser, Recorded, SessionCourse, session_course
from player.simulated.together import SessionInCompany, play_together
from player.video.video import Video
from policies.bootstrap import percentile_interval
from policies.explain.named import LAST_LEVEL, NAMES, Inputs, named_inputs
from policies.explain.replayed import PlayedSession
from policies.explain.tree import LEAVES, Branch, Tree, grow
from policies.llm.serving.local import TOGETHER
from policies.llm.tasks.ladder.policy import NetLLM
from traces.families.catalogue import DEFAULT_VIDEO, FALLBACK_VIDEO, resolve_many

UNSEEN_FROM = 5_000
"""First member of those."""
MOST_CHUNKS = 64
LONGEST_RTT_MS = 2_000.0
FAST_MBPS = 10.0
"""A ladder with a higher top is played over the families of the faster built-in video."""


@dataclass(frozen=True)
class Distilled:
    """A tree, and how often it says what the model chose."""

    tree: Tree
    fidelity: float
    """On sessions that it was not grown on: the mean of their shares of equal decisions."""
    interval: tuple[float, float]
    """Of 95 %, over sessions."""
    persistence: float
    """The same of saying the last level again: what the tree has to beat."""
    changes: float
    """Of those sessions' decisions for another level than the last, the share that it says right."""
    grown_on: int
    held_against: int
    families: tuple[str, ...]

    def level(self, inputs: Inputs, levels: int) -> int:
        """What the tree says at (inputs,), on a ladder of so many levels."""
        return min(max(int(inputs[LAST_LEVEL]) + self.tree.answer(inputs), 0), levels - 1)

    def to_json(self) -> dict[str, Any]:
        return {
            "fidelity": self.fidelity,
            "fidelity_ci95": list(self.interval),
            "last_level_again": self.persistence,
            "changes_right": self.changes,
            "grown_on": self.grown_on,
            "held_against": self.held_against,
            "families": list(self.families),
            "names": list(self.tree.names),
            "branches": [asdict(each) for each in self.tree.branches],
        }

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Distilled:
        """Raises KeyError, TypeError or ValueError for what is none."""
        low, high = (float(each) for each in held["fidelity_ci95"])
        branches = tuple(Branch(**each) for each in held["branches"])
        return cls(
            Tree(tuple(map(str, held["names"])), branches).checked(),
            float(held["fidelity"]),
            (low, high),
            float(held["last_level_again"]),
            float(held["changes_right"]),
            int(held["grown_on"]),
            int(held["held_against"]),
            tuple(map(str, held["families"])),
        )


@dataclass(frozen=True)
class _Examples:
    """Of one session: (decisions, inputs), and (decisions,) how many levels up from the last was chosen."""

    inputs: Inputs
    steps: NDArray[np.int64]


def distilled(
    like: PlayedSession, adapter: Path, dtype: str, sessions: int, leaves: int = LEAVES
) -> Distilled:
    """A tree of an adapter's decisions on sessions like this one.

    Args:
        like: its video, weights of QoE, buffer cap and round trip are taken.
        sessions: to grow it on.

    Raises:
        ValueError, OSError: the adapter can't be loaded.
    """
    families = families_for(like)
    held = max(sessions // 2, 2)
    grown_on = _played(like, adapter, dtype, _members(families, 0, sessions))
    against = _played(like, adapter, dtype, _members(families, UNSEEN_FROM, held))
    inputs = np.concatenate([each.inputs for each in grown_on])
    steps = np.concatenate([each.steps for each in grown_on])
    tree = grow(NAMES, inputs, steps, leaves)
    said = [np.array([tree.answer(row) for row in each.inputs]) == each.steps for each in against]
    shares = np.array([each.mean() for each in said])
    changed = np.concatenate([each.steps != 0 for each in against])
    return Distilled(
        tree=tree,
        fidelity=float(shares.mean()),
        interval=percentile_interval(shares),
        persistence=float(np.mean([(each.steps == 0).mean() for each in against])),
        changes=float(np.concatenate(said)[changed].mean()) if changed.any() else 1.0,
        grown_on=len(grown_on),
        held_against=len(against),
        families=families,
    )


def families_for(like: PlayedSession) -> tuple[str, ...]:
    """Families whose rates can stress the video's ladder."""
    video = "uhd" if like.video.ladder_kbps[-1] / 1000.0 > FAST_MBPS else FALLBACK_VIDEO
    return tuple(name for name, default in DEFAULT_VIDEO.items() if default == video)


def _members(families: Sequence[str], begin: int, count: int) -> list[str]:
    """So many members, of all families in turn."""
    return [f"{families[place % len(families)]}/{begin + place // len(families)}" for place in range(count)]


def _played(like: PlayedSession, adapter: Path, dtype: str, members: Sequence[str]) -> list[_Examples]:
    """What the model chose in a session over each member, the first chunk left out."""
    policy = NetLLM("none", adapter=str(adapter), dtype=dtype)
    found = []
    for begin in range(0, len(members), TOGETHER):
        kept: dict[int, tuple[list[Inputs], list[int]]] = {}
        company = {}
        for place, member in enumerate(members[begin : begin + TOGETHER]):
            kept[place] = [], []
            chooser = Chooser(policy.another(), None, like.video.levels)
            course = _course(like, member, chooser)
            company[place] = SessionInCompany(_listened(course, like.video, *kept[place]), chooser)
        for _, ended in play_together(company):
            if isinstance(ended, Exception):
                raise ended
        found += [_Examples(np.array(inputs), np.array(steps)) for inputs, steps in kept.values()]
    return found


def _course(like: PlayedSession, member: str, chooser: Chooser) -> SessionCourse:
    (trace,) = resolve_many(member)
    return session_course(
        like.video,
        trace,
        chooser,
        seed=0,
        qoe=like.qoe,
        link=PublishedLink(rtt_ms=rtt_ms_of(like)),
        chunks=min(like.video.chunks, MOST_CHUNKS),
        cap_ms=1000.0 * like.cap_s,
    )


def rtt_ms_of(like: PlayedSession) -> float:
    """The round trip that a record was asked for; the usual one where it doesn't say."""
    link = like.record.told.link
    asked = link.rtt_ms if link else None
    return asked if asked is not None and 0.0 <= asked <= LONGEST_RTT_MS else RTT_MS


def _listened(course: SessionCourse, video: Video, inputs: list[Inputs], steps: list[int]) -> SessionCourse:
    """A session whose questions and answers are kept."""
    try:
        seen = next(course)
        while True:
            decision = yield seen
            inputs.append(named_inputs(seen, video))
            steps.append(decision.level - int(inputs[-1][LAST_LEVEL]))
            seen = course.send(decision)
    except StopIteration as end:
        recorded: Recorded = end.value
        return recorded
