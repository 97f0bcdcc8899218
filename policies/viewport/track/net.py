"""`track`: the net computed with numpy, sample by sample; its weights are `weights/track.safetensors`."""

from __future__ import annotations

import numpy as np

from player.viewport.windows import FUTURE, HISTORY, Floats, ViewportObservation
from policies.viewport.features import from_residual
from policies.viewport.net import weights_of, weights_sha256
from policies.viewport.others import FIELDS, apart, gaze_map
from policies.viewport.units import UNIT
from traces.heads.head import AXES

HIDDEN = 64
HEAD, OTHERS, BOTH = "head", "others", "both"
"""The three recurrent nets."""
MAP_SIZE = FIELDS[0] * FIELDS[1]
SIZES = {HEAD: 2 * AXES, OTHERS: MAP_SIZE, BOTH: 2 * HIDDEN}
"""What each is fed."""
State = tuple[Floats, Floats]


def seen_samples(seen: ViewportObservation) -> tuple[Floats, Floats]:
    """What the net is fed: (n, HISTORY, 6) the head's moves and where it was, from the newest sample, in
    `UNIT`s; (n, HISTORY + FUTURE, MAP_SIZE) where others look, from the newest sample, too."""
    here = seen.history[:, -1]
    moved = apart(seen.history[:, 1:], seen.history[:, :-1])
    moved = np.concatenate([np.zeros_like(moved[:, :1]), moved], axis=1)
    back = np.cumsum(moved[:, ::-1], axis=1)[:, ::-1]
    places = -np.concatenate([back[:, 1:], np.zeros_like(back[:, :1])], axis=1)
    maps = gaze_map(here, seen.earlier).reshape(len(here), HISTORY + FUTURE, MAP_SIZE)
    return np.concatenate([moved, places], axis=2) / UNIT, maps


class Track:
    """TRACK, mended, with the map of earlier viewers in place of saliency."""

    def __init__(self) -> None:
        self._weights = weights_of("track")
        self.weights_sha256 = weights_sha256("track")

    def reset(self, seed: int) -> None:
        """Nothing is kept."""

    def predict(self, seen: ViewportObservation) -> Floats:
        """(n, FUTURE, 3) degrees."""
        return from_residual(seen, answer_of(self._weights, *seen_samples(seen)))


def answer_of(weights: dict[str, Floats], samples: Floats, maps: Floats) -> Floats:
    """(n, FUTURE * 3) the way from the newest sample, in `UNIT`s."""
    nothing = np.zeros((len(samples), HIDDEN))
    head = others = both = (nothing, nothing)
    for sample in range(HISTORY):
        head = _step(weights, HEAD, samples[:, sample], head)
        others = _step(weights, OTHERS, maps[:, sample], others)
        both = _step(weights, BOTH, np.concatenate([head[0], others[0]], axis=1), both)
    moved, place, found = samples[:, -1, :AXES], np.zeros((len(samples), AXES)), []
    for ahead in range(FUTURE):
        head = _step(weights, HEAD, np.concatenate([moved, place], axis=1), head)
        others = _step(weights, OTHERS, maps[:, HISTORY + ahead], others)
        both = _step(weights, BOTH, np.concatenate([head[0], others[0]], axis=1), both)
        moved = both[0] @ weights["out.weight"].T + weights["out.bias"]
        place = place + moved
        found.append(place)
    return np.concatenate(found, axis=1)


def _step(weights: dict[str, Floats], name: str, fed: Floats, state: State) -> State:
    """One step of an LSTM, gates in the order of torch: in, forget, cell, out."""
    hidden, cell = state
    gates = fed @ weights[f"{name}.weight_ih"].T + weights[f"{name}.bias_ih"]
    gates = gates + hidden @ weights[f"{name}.weight_hh"].T + weights[f"{name}.bias_hh"]
    take, forget, new, out = np.split(gates, 4, axis=1)
    cell = _sigmoid(forget) * cell + _sigmoid(take) * np.tanh(new)
    return _sigmoid(out) * np.tanh(cell), cell


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))
