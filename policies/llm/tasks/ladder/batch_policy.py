"""Any registered policy as the policy of a batch of simulated sessions: compiled where it can be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from player.playable import refuse_unplayable
from player.registry import load_policy
from player.simulated.batch.library import Ints
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from policies.genet.net import read as read_actor
from policies.genet.policy import UDR, WEIGHTS, Genet
from policies.genet.score import by_actor, by_baseline
from policies.hindsight.policy import BatchHindsight
from policies.hindsight.validate import Selects
from policies.rules.batch_mpc import BatchMPC


class Replays:
    """Takes levels that are known beforehand.

    Args:
        levels: (sessions, chunks).
    """

    def __init__(self, sessions: Sessions, levels: Ints) -> None:
        self._sessions, self._levels = sessions, levels

    def select(self) -> Ints:
        chunk = np.minimum(self._sessions.state.chunk, self._levels.shape[1] - 1)
        return np.asarray(self._levels[np.arange(len(self._levels)), chunk])


def batch_policy(name: str, sessions: Sessions, setup: Setup) -> Selects:
    """A registered policy over a batch.

    Args:
        name: as `player.registry` reads it.
        setup: the one that the sessions were begun with.

    Raises:
        PolicyError: no such policy, or a video that it can't play.
        ValueError: a ladder that no batch can hold.
    """
    if name == "hindsight":
        return BatchHindsight(sessions)
    if name == "robustmpc":
        return BatchMPC(sessions)
    _refuse_unplayable(name, sessions)
    if name in ("genet", "udr"):
        shipped = {"genet": Genet, "udr": UDR}[name].shipped
        return _Chooses(sessions, by_actor(read_actor(WEIGHTS / shipped)))
    if name == "bba":
        return _Chooses(sessions, by_baseline(name))
    return Replays(sessions, _one_by_one(name, sessions, setup))


def _refuse_unplayable(name: str, sessions: Sessions) -> None:
    """Raises PolicyError for a video of the batch that the policy can't play as a client."""
    loaded, videos = load_policy(name), sessions.library.videos
    _, first = np.unique(sessions.state.video, return_index=True)
    for session in first:
        video = videos[sessions.state.video[session]]
        refuse_unplayable(loaded, video, video.name, 0, sessions.qoe_of(int(session)))


class _Chooses:
    def __init__(self, sessions: Sessions, choose: Callable[[Sessions], Ints]) -> None:
        self._sessions, self._choose = sessions, choose

    def select(self) -> Ints:
        if not self._sessions.state.chunk.any():
            return np.zeros(len(self._sessions), np.int64)
        return self._choose(self._sessions)


def _one_by_one(name: str, sessions: Sessions, setup: Setup) -> Ints:
    library, chunks = sessions.library, sessions.chunks
    policy = load_policy(name).policy
    levels = np.zeros((len(setup), chunks), np.int64)
    for at in range(len(setup)):
        rows, _ = simulate(
            library.videos[setup.video[at]],
            library.traces[setup.trace[at]],
            policy,
            seed=int(setup.seed[at]),
            qoe=sessions.qoe_of(at),
            link=PublishedLink(rtt_ms=float(setup.rtt_ms[at])),
            start_index=int(setup.start_index[at]),
            chunks=int(sessions.state.chunks[at]),
            cap_ms=float(setup.cap_ms[at]),
        )
        levels[at, : len(rows)] = [row.level for row in rows]
    return levels
