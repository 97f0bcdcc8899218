"""The fit finds the figures that sizes were made with, and the defaults are what was fitted."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from player.call.encoder_fit.fitting import after_key, key_ratio, lag_frames, payback_share, size_cv
from player.call.media.encoder import encode
from player.call.media.sender_state import new_senders
from player.call.settings import CallSettings

FIGURES = Path(__file__).resolve().parents[3] / "player" / "call" / "encoder_fit" / "x264.json"
KEYS = (0, 250, 500, 750)


def sizes_of(call: CallSettings, frames: int, change: tuple[int, float] | None = None) -> np.ndarray:
    """Sizes that the model makes."""
    s, made = new_senders(call, [11]).record[0], []
    for frame in range(frames):
        if change is not None and frame == change[0]:
            s["target_kbps"] = change[1]
        made.append(float(encode(s, frame / call.fps)[0]))
    return np.array(made)


def test_the_models_own_figures_are_found() -> None:
    call = CallSettings(start_kbps=1000.0, size_cv=0.1, key_ratio=4.0, key_payback=0.25)
    sizes = sizes_of(call, 1000)
    assert sizes.mean() * 8 * 25 / 1000 == pytest.approx(1000.0, rel=0.02)
    assert size_cv(sizes, KEYS) == pytest.approx(0.1, abs=0.012)
    assert key_ratio(sizes, KEYS) == pytest.approx(4.0, rel=0.1)
    assert payback_share(after_key(sizes, KEYS), 4.0) == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize(("before", "after"), [(1500.0, 500.0), (500.0, 1500.0)])
def test_the_models_lag_is_found(before: float, after: float) -> None:
    call = CallSettings(
        start_kbps=before, size_cv=0.0, key_every_s=0.0, lag_down_frames=6.0, lag_up_frames=6.0
    )
    sizes = sizes_of(call, 200, (100, after))
    a_frame = 1000 / 8 / 25
    assert lag_frames(sizes, 100, before * a_frame, after * a_frame) == pytest.approx(6.0, abs=0.2)
    first = after + (before - after) * math.exp(-1 / 6)
    assert sizes[100] == pytest.approx(first * a_frame, abs=1.0)


@pytest.mark.parametrize("name", ["size_cv", "key_ratio", "key_payback", "lag_down_frames", "lag_up_frames"])
def test_the_defaults_are_what_was_fitted(name: str) -> None:
    fitted = json.loads(FIGURES.read_text())["figures"][name]
    assert getattr(CallSettings(), name) == pytest.approx(fitted, rel=0.06)
