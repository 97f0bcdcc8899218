"""What the critic alone is shown, in training only: the bandwidth to come, and the player's settings.

How good a state is depends mostly on what the link will do, which no client knows. A critic that knows
takes that luck out of the advantages (Mao et al., "Variance reduction for reinforcement learning in
input-driven environments", ICLR 2019); the actor never sees it, and the critic is not shipped.
"""

from __future__ import annotations

import numpy as np

from player.compiled.compiled import compiled
from player.simulated.batch.library import PackedLibrary
from player.simulated.batch.sessions import BatchState, Sessions
from policies.genet.inputs import Vectors

WINDOWS = 24
WINDOW_S = 4.0
WIDTH = WINDOWS + 2

_RTT_UNIT_MS = 100.0
_CAP_UNIT_MS = 60_000.0
_BYTES_PER_MBIT = 125_000.0


def of_sessions(sessions: Sessions) -> Vectors:
    """(sessions, WIDTH): ln(1 + 10 x Mbit/s) / 2 of the next windows, then round trip and buffer cap."""
    vectors = np.empty((len(sessions), WIDTH), np.float32)
    _look_ahead(sessions.library.packed, sessions.state, vectors)
    vectors[:, :WINDOWS] = np.log1p(10.0 * vectors[:, :WINDOWS]) / 2.0
    vectors[:, -2] = sessions.state.rtt_ms / _RTT_UNIT_MS
    vectors[:, -1] = sessions.state.cap_ms / _CAP_UNIT_MS
    return vectors


@compiled
def _look_ahead(packed: PackedLibrary, state: BatchState, vectors: Vectors) -> None:
    """Mean Mbit/s of each window, from where the session stands in its trace."""
    for session in range(len(vectors)):
        index, at_s = state.interval[session], state.at_s[session]
        for window in range(WINDOWS):
            left_s, carried = WINDOW_S, 0.0
            while left_s > 0.0:
                stretch_s = min(packed.time_s[index] - at_s, left_s)
                carried += packed.bytes_per_s[index] * stretch_s
                left_s -= stretch_s
                at_s += stretch_s
                if at_s >= packed.time_s[index]:
                    index += 1
                    if index >= state.end[session]:
                        index = state.begin[session] + 1
                        at_s = 0.0
            vectors[session, window] = carried / WINDOW_S / _BYTES_PER_MBIT
