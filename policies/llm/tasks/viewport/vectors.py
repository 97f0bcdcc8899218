"""What the model is fed of a sample: how the head moved and is held, what others do from then on, a map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from player.viewport.windows import FUTURE, HISTORY, Floats, ViewportObservation
from policies.llm.modality import IMAGE, SCALAR, SERIES, Modality
from policies.viewport.mirroring import signs_of
from policies.viewport.others import AHEAD, CHANNELS, FIELDS, apart, gaze_map, series
from policies.viewport.units import UNIT
from traces.heads.head import AXES, YAW

MAP_AHEAD = (5, 10, 20)
"""Samples ahead at which the map is drawn."""
POSTURE = YAW
"""Axes whose place is told: 0 and 1 go back to the middle, whatever is watched."""
MODALITIES = (
    Modality("head", SCALAR, (AXES + POSTURE,)),
    Modality("others", SERIES, (CHANNELS, len(AHEAD))),
    Modality("map", IMAGE, (len(MAP_AHEAD), *FIELDS)),
)
WIDTH = sum(each.size for each in MODALITIES)
Vectors = NDArray[np.float32]


def vectors_of(seen: ViewportObservation) -> Vectors:
    """(n, HISTORY, WIDTH) of n moments: a vector for each sample that was seen, the newest last."""
    found = np.zeros((len(seen.history), HISTORY, WIDTH), np.float32)
    for sample in range(HISTORY):
        here = seen.history[:, sample]
        others = seen.earlier[:, :, sample : sample + FUTURE + 1]
        before = seen.history[:, max(sample - 1, 0)]
        parts = (
            apart(here, before) / UNIT,
            here[:, :POSTURE] / UNIT,
            series(here, others),
            gaze_map(here, others[:, :, MAP_AHEAD]),
        )
        found[:, sample] = np.concatenate([part.reshape(len(here), -1) for part in parts], axis=1)
    return found


def targets_of(history: Floats, future: Floats) -> Vectors:
    """(n, HISTORY, FUTURE * 3) what is to be answered after each sample: where the head goes from there, in
    `UNIT`s, axis 2 the shorter way."""
    whole = np.concatenate([history, future], axis=1)
    found = np.empty((len(history), HISTORY, FUTURE * AXES), np.float32)
    for sample in range(HISTORY):
        later = whole[:, sample + 1 : sample + 1 + FUTURE]
        found[:, sample] = (apart(later, whole[:, sample, None]) / UNIT).reshape(len(history), -1)
    return found


def mirrored(vectors: Vectors, axis: int) -> Vectors:
    """(…, WIDTH) of viewers whose axis goes the other way, as do all others'."""
    signs = signs_of([axis])
    head, others, chart = np.split(vectors, np.cumsum([each.size for each in MODALITIES])[:-1], axis=-1)
    of_channels = np.concatenate([np.tile(signs, CHANNELS // AXES), np.ones(CHANNELS % AXES)])
    channels = others.reshape(*others.shape[:-1], CHANNELS, -1) * of_channels[:, None]
    fields = chart.reshape(*chart.shape[:-1], len(MAP_AHEAD), *FIELDS)
    if axis == YAW:
        fields = fields[..., ::-1]
    parts = (head * np.concatenate([signs, signs[:POSTURE]]), channels, fields)
    flat = [part.reshape(*vectors.shape[:-1], -1) for part in parts]
    return np.concatenate(flat, axis=-1).astype(np.float32)
