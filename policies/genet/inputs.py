"""What the network is shown, made of one client's observation or of a batch of sessions.

The vector of `player/simulated/batch/features.py` with the chunk length at its end, and two rows bent so that
slow and fast links, which differ a hundredfold, both stay readable:

    throughput    ln(1 + 10 x Mbit/s) / 2       0 where there was no chunk yet
    download      ln(1 + s)                     0 where there was no chunk yet
    chunks left   at most 1                     (a video may be longer than training's)
    chunk length / 10 s                         after the features' own numbers

Throughputs and sizes are counted in units of the ladder's top, so that a ladder of other bitrates
looks like the one that training used; for that one (4300 kbit/s at the top) nothing changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from player.defaults import CHUNKS
from player.observation import Observation
from player.simulated.batch.feature_units import DOWNLOAD_UNIT_S, MBPS_UNIT
from player.simulated.batch.features import Features
from player.video.video import Video

if TYPE_CHECKING:
    from player.simulated.batch.sessions import Sessions

LEVELS = 6
HISTORY = 8
"""Past chunks in a row, as Pensieve's."""
AHEAD = 5
"""Next chunks whose sizes are shown, as many as RobustMPC plans over (Pensieve shows one)."""
TOP_KBPS = 4300
"""Top of the ladder that training uses."""
DENSE = 4
"""Numbers that are no rows: buffer, chunks left, last level, chunk length."""

FEATURES = Features(LEVELS, CHUNKS, HISTORY, AHEAD)
WIDTH = len(FEATURES) + 1

_CHUNK_UNIT_S = 10.0
_MS_PER_S = 1000.0
_LEFT = len(FEATURES) - 2

Vectors = NDArray[np.float32]


def of_client(observation: Observation, video: Video) -> Vectors:
    """(WIDTH,) of one client."""
    vector = np.empty(WIDTH, np.float32)
    vector[:-1] = FEATURES.of(observation)
    vector[-1] = video.chunk_s / _CHUNK_UNIT_S
    _bend(vector, TOP_KBPS / video.ladder_kbps[-1])
    return vector


def of_sessions(sessions: Sessions) -> Vectors:
    """(sessions, WIDTH) of a batch whose ladders end at `TOP_KBPS`."""
    vectors = np.empty((len(sessions), WIDTH), np.float32)
    vectors[:, :-1] = FEATURES.fill(sessions)
    vectors[:, -1] = sessions.library.packed.chunk_ms[sessions.state.video] / _MS_PER_S / _CHUNK_UNIT_S
    _bend(vectors, 1.0)
    return vectors


def _bend(vectors: Vectors, scale: float) -> None:
    throughput, download = vectors[..., :HISTORY], vectors[..., HISTORY : 2 * HISTORY]
    sizes = vectors[..., 2 * HISTORY : 2 * HISTORY + AHEAD * LEVELS]
    throughput[...] = np.log1p(throughput * np.float32(10.0 * MBPS_UNIT * scale)) / np.float32(2.0)
    download[...] = np.log1p(download * np.float32(DOWNLOAD_UNIT_S))
    sizes *= np.float32(scale)
    vectors[..., _LEFT] = np.minimum(vectors[..., _LEFT], np.float32(1.0))
