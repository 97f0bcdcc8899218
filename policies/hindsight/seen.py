"""What the critic sees besides what the actor sees, and what both are rewarded with."""

from __future__ import annotations

import numpy as np

from player.simulated.batch.library import Floats
from player.simulated.batch.sessions import Sessions
from policies.hindsight.values import future_mbps
from policies.view import layout
from policies.view.batch import View
from policies.view.layout import GLOBAL, MAX_LEVELS, TOP_MBPS, Vectors, options_of

WINDOWS = 24
WINDOW_S = 4.0
"""The critic is shown the mean rate of the trace's next windows, which tells luck from skill."""
SEEN = GLOBAL + 3 * MAX_LEVELS + WINDOWS
BAD_REWARD = -30.0
"""Below this a chunk's reward in training falls logarithmically: a dark minute would drown all else in
the batch, but a longer stall must stay worse than a shorter one."""
_SHOWN = [layout.QUALITY, layout.RATE, layout.MEAN_AHEAD]


def with_the_future(sessions: Sessions, view: View, vectors: Vectors) -> Vectors:
    """(sessions, SEEN): the session, its ladder, the next chunks' sizes, and the link's future."""
    windows = np.empty((len(sessions), WINDOWS))
    future_mbps(sessions.library.packed, sessions.state, WINDOW_S, windows)
    relative = windows * view.ladders.scale[sessions.state.video, None]
    future = np.log1p(layout.RATE_SCALE * relative).astype(np.float32)
    ladder = options_of(vectors)[:, :, _SHOWN].reshape(len(vectors), -1)
    return np.concatenate((vectors[:, :GLOBAL], ladder, future), axis=1)


def reward_units(view: View) -> Floats:
    """(sessions,) what a session's rewards are multiplied by in training.

    Relative to the ladder, and the less the more a stall costs: what is best in a session does not depend on
    its unit, but a batch in which one session counts a hundred times as much as another teaches one of them.
    """
    return np.asarray(view.units / np.sqrt(np.maximum(view.relative_mu / TOP_MBPS, 1.0)))


def softened(rewards: Floats, worst: float = BAD_REWARD) -> Floats:
    """Rewards as they are down to `worst`, and the same slope there, but flatter and flatter below."""
    below = np.maximum(worst - rewards, 0.0)
    return np.asarray(np.maximum(rewards, worst) + worst * np.log1p(below / -worst))
