"""Fits the family of heads to recordings: figures of generated videos are brought near to measured ones.

An evolution strategy with one parent (Rechenberg's rule of a fifth for the step's size) over the logarithms
of the model's numbers; all models are judged by the same generated members, which no figure is quoted of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traces.commands import option
from traces.heads.acceptance import (
    MEASURED_AGREEMENT,
    MEASURED_CHANGE,
    MEASURED_KEEPS,
    MEASURED_LINEAR,
    MEASURED_VELOCITY,
)
from traces.heads.figures import CHANGES_S, KEEPS_S, LEAST_S, MotionFigures, figures_of
from traces.heads.generator import member
from traces.heads.head import YAW, HeadError
from traces.heads.model import HeadsModel, model_of
from traces.numbers import count, whole

Floats = NDArray[np.float64]
FIRST_MEMBER = 100_000
"""Members that the fit looks at begin here."""
STATIC = 9.6
"""Degrees that the head that stays is to be off: 2 % under what was measured, well within what is asked."""
FAITH = 0.05
"""A share of a figure that counts as one."""
MOVED, LEAST_SIZE = 0.15, 0.05
"""Share of the numbers that a step moves, and by how much at least, as a logarithm."""
BOUNDED = {
    "second": 0.9, "second_share": 0.5, "follow_low": 1.0, "follow_high": 1.0, "gap_none": 0.95,
    "linger": 0.95, "scan": 0.9, "glance": 1.0, "pursue": 1.0, "tremor_keep": 0.98,
}  # fmt: skip
"""Shares, and the most that each may be."""


@dataclass(frozen=True)
class FitSettings:
    """How it is fitted."""

    steps: int = option(400, count, "models that are tried")
    members: int = option(16, count, "generated videos that each is judged by")
    viewers: int = option(12, count, "of each of those")
    seed: int = option(1, whole, "of the steps")


def aimed(measured: MotionFigures) -> MotionFigures:
    """What is aimed at: the figures of recordings, but those that the family is held to where it is.

    A part of the recordings moves more or less than all do: what is not held to anything is taken in the
    proportion in which axis 2 is.
    """
    held = np.array([MEASURED_CHANGE[at] for at in (1.0, 2.0, 4.0)])
    had = np.array([measured.change[YAW, CHANGES_S.index(at)] for at in (1.0, 2.0, 4.0)])
    less = float((held / had).mean())
    keeps, agreement = measured.keeps.copy(), measured.agreement.copy()
    for at, value in MEASURED_KEEPS.items():
        keeps[YAW, KEEPS_S.index(at)] = value
    agreement[1] = MEASURED_AGREEMENT
    return replace(
        measured,
        change=less * measured.change,
        speed=less * measured.speed,
        keeps=keeps,
        agreement=agreement,
        static=STATIC,
        velocity=MEASURED_VELOCITY,
        linear=MEASURED_LINEAR,
    )


def targets(figures: MotionFigures) -> tuple[Floats, Floats]:
    """(figures,) that are to be met, and how far off each may be."""
    change, keeps = figures.change, figures.keeps
    both = [
        (change[YAW], 0.5 * FAITH * change[YAW]),
        (change[:YAW].ravel(), 2.0 * FAITH * change[:YAW].ravel()),
        (keeps[YAW], np.full(len(keeps[YAW]), 0.02)),
        (keeps[:YAW].ravel(), np.full(keeps[:YAW].size, 0.06)),
        (figures.speed, 4.0 * FAITH * figures.speed),
        (figures.agreement, np.array([0.05, 0.02, 0.04])),
        (figures.towards, np.full(len(figures.towards), 0.03)),
        (
            np.array([figures.quiet, figures.static, figures.velocity, figures.linear]),
            np.array([0.04, FAITH * figures.static, 0.04, 0.04]),
        ),
    ]
    return np.concatenate([value for value, _ in both]), np.concatenate([off for _, off in both])


def cost(figures: MotionFigures, wanted: tuple[Floats, Floats]) -> float:
    """Mean square of what figures are off by; what is far off counts less than its square."""
    off = (targets(figures)[0] - wanted[0]) / wanted[1]
    return float(np.log1p(off * off).mean())


def fit(
    begin: HeadsModel,
    measured: MotionFigures,
    settings: FitSettings,
    better_found: Callable[[int, float, HeadsModel], None] = lambda step, least, model: None,
) -> HeadsModel:
    """A model whose videos are more like the measured ones than those of the model to begin with.

    Args:
        better_found: is told of each that is better than all before: its step, what it is off by, and itself.

    Raises:
        HeadError: the measured figures lack some.
    """
    if measured.unknown:
        raise HeadError(
            f"nothing to fit to: no {', '.join(measured.unknown)} in these recordings; at least one must last"
            f" {LEAST_S:g} s, and its viewer look about"
        )
    random, wanted = np.random.default_rng(settings.seed), targets(aimed(measured))
    best, size = begin, 0.15
    least = cost(_figures(best, settings), wanted)
    for step in range(settings.steps):
        tried = _moved(best, size, random)
        found = cost(_figures(tried, settings), wanted)
        better = found < least
        size = min(max(size * (1.22 if better else 0.955), LEAST_SIZE), 0.4)
        if better:
            best, least = tried, found
            better_found(step + 1, least, best)
    return best


def _figures(model: HeadsModel, settings: FitSettings) -> MotionFigures:
    small = replace(model, viewers=settings.viewers, earlier=0)
    return figures_of([member(FIRST_MEMBER + place, small) for place in range(settings.members)])


def _moved(model: HeadsModel, size: float, random: np.random.Generator) -> HeadsModel:
    """A model some of whose numbers are others."""
    told = model.to_json()
    parts: Sequence[dict[str, Any]] = (told["video"], told["viewer"], *told["axes"])
    for part in parts:
        for name, value in part.items():
            if random.random() < MOVED:
                new = value * float(np.exp(size * random.standard_normal()))
                part[name] = float(f"{min(new, BOUNDED.get(name, new)):.4g}")
    return model_of(told, "the fit's own")
