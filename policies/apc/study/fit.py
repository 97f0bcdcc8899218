"""Schedulers from moments: the thresholds of a rule, and a network.

Both want the same: of a given share of the decisions, those whose gains sum to the most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.apc.learned import Floats, GainNet, inputs
from policies.apc.rule import Condition, Thresholds, counted
from policies.apc.study.moments import Moments

QUANTILES = np.linspace(0.05, 0.95, 19)
UNITS = 16
"""Of the network's hidden layer."""
STEPS = 600
RATE = 0.01
DECAY = 1e-3
GAIN_LIMIT = 20.0
"""A single gain counts as no more, up or down: one endless stall is not to be the whole lesson."""
GAIN_WEIGHT = 0.02
"""Of the squared error of gains beside the log loss: they are some units large, and mostly noise."""
HELD_OUT = 5
"""One line in so many chooses the step at which fitting stops."""
CHECK_EVERY = 50


def captured(gains: Floats, chosen: NDArray[np.bool_]) -> float:
    """Mean gain a decision of asking at those chosen."""
    return float(np.where(chosen, gains, 0.0).mean())


def fit_rule(moments: Moments, share: float, expected: Floats | None = None) -> Thresholds:
    """Up to three conditions that together ask for at most a share of the decisions and gain the most.

    The best pair of all, or the best one alone; then the one that is best beside them, if it helps.

    Args:
        expected: (decisions,) what a network holds them to gain, with the luck taken out; None takes
            what each gained.

    Raises:
        ValueError: no condition asks for so few.
    """
    gains = expected if expected is not None else np.clip(moments.gains, -GAIN_LIMIT, GAIN_LIMIT)
    candidates = list(_candidates(moments))
    holds = np.array([each for _, each in candidates], np.float32)  # (candidates, decisions)
    share_of, gain_of = _unions(holds, np.ones(len(gains))), _unions(holds, gains)
    worth = np.where(share_of <= share, gain_of, -np.inf)
    first, second = np.unravel_index(int(worth.argmax()), worth.shape)
    if not np.isfinite(worth[first, second]):
        raise ValueError(f"no condition asks for so few decisions as {share:g}; give a larger share")
    chosen = list(dict.fromkeys((int(first), int(second))))
    if len(chosen) == 2:
        asked = np.maximum(holds[first], holds[second])
        together = np.maximum(holds, asked)
        more = np.where(together.mean(axis=1) <= share, together @ gains / len(gains), -np.inf)
        if more.max() > worth[first, second] + 1e-9:
            chosen.append(int(more.argmax()))
    return Thresholds(tuple(candidates[at][0] for at in chosen))


def _unions(holds: NDArray[np.float32], values: Floats) -> Floats:
    """(candidates, candidates) mean of a value over all decisions, where one of two conditions holds."""
    weighted = holds * values.astype(np.float32)
    alone = weighted.sum(axis=1)
    return np.asarray((alone[:, None] + alone[None, :] - weighted @ holds.T) / len(values), np.float64)


def _candidates(moments: Moments) -> Iterator[tuple[Condition, NDArray[np.bool_]]]:
    for place, name in enumerate(moments.names):
        values = counted(name, moments.facts[:, place])
        for threshold in np.unique(np.quantile(values, QUANTILES).round(3)):
            if threshold > 0.0:
                yield Condition(name, above=float(threshold)), values >= threshold
                yield Condition(name, below=float(threshold)), values <= threshold


@dataclass(frozen=True)
class Fitted:
    """A network, and what it captures on sessions that it was not fitted to."""

    net: GainNet
    step: int
    held_out: dict[str, float]
    """Mean gain a decision when 25, 50 and 75 % are asked; of `best`, which knows the gains, and `random`."""


def fit_net(moments: Moments, llm_ms: float, share: float = 0.5, seed: int = 0) -> Fitted:
    """A network that predicts gains: how likely the two differ, times what a difference gains there.

    One hidden layer with two ends, Adam (Kingma and Ba, 2015). That the two differ has no noise, and is
    learned by logistic regression from all decisions; what a difference gains is mostly what the link did
    afterwards, and is learned by least squares from those at which they do. The same for a seed on one
    machine. Where it is asked for a `share`, its threshold is set to it.

    Args:
        llm_ms: what a decision of the model takes.
    """
    random = np.random.default_rng(seed)
    rows = input_rows(moments)
    gains = np.clip(moments.gains, -GAIN_LIMIT, GAIN_LIMIT)
    held = moments.lines % HELD_OUT == HELD_OUT - 1
    centre, scale = rows[~held].mean(axis=0), rows[~held].std(axis=0)
    scale = np.where(scale < 1e-6, 1.0, scale)
    lessons = [
        _Lesson((rows[which] - centre) / scale, moments.differ[which].astype(np.float64), gains[which])
        for which in (~held, held)
    ]
    step, (hidden, hidden_bias, out, out_bias) = _descend(random, *lessons)
    net = GainNet(centre, scale, hidden, hidden_bias, out, out_bias, 1.0, llm_ms)
    captures = _captures(net.gains(rows)[held], gains[held])
    return Fitted(with_share(net, moments, share), step, captures)


@dataclass(frozen=True)
class _Lesson:
    """What is learned from, or looked at."""

    x: Floats
    """(n, inputs)"""
    differ: Floats
    """(n,) 0 or 1."""
    gains: Floats
    """(n,)"""

    def loss(self, weights: list[Floats]) -> float:
        _, both = _forward(weights, self.x)
        logit, gain = both[:, 0], both[:, 1]
        apart = np.logaddexp(0.0, logit) - self.differ * logit
        return float((apart + GAIN_WEIGHT * self.differ * (gain - self.gains) ** 2).mean())

    def gradients(self, weights: list[Floats]) -> Iterator[Floats]:
        hidden, _, out, _ = weights
        active, both = _forward(weights, self.x)
        error = np.empty_like(both)
        error[:, 0] = 1.0 / (1.0 + np.exp(-both[:, 0])) - self.differ
        error[:, 1] = 2.0 * GAIN_WEIGHT * self.differ * (both[:, 1] - self.gains)
        error /= len(error)
        back = error @ out.T * (active > 0.0)
        yield self.x.T @ back + DECAY * hidden
        yield back.sum(axis=0)
        yield active.T @ error + DECAY * out
        yield error.sum(axis=0)


def _descend(random: np.random.Generator, fitted: _Lesson, held: _Lesson) -> tuple[int, list[Floats]]:
    """Adam: the best step by what is held out, the last where nothing is."""
    width = fitted.x.shape[1]
    differing = fitted.gains[fitted.differ > 0.0]
    weights = [
        random.standard_normal((width, UNITS)) / np.sqrt(width),
        np.zeros(UNITS),
        random.standard_normal((UNITS, 2)) / np.sqrt(UNITS) * 0.1,
        np.array([_logit(float(fitted.differ.mean())), differing.mean() if len(differing) else 0.0]),
    ]
    means = [np.zeros_like(each) for each in weights]
    squares = [np.zeros_like(each) for each in weights]
    best = (-np.inf, 0, [each.copy() for each in weights])
    for step in range(1, STEPS + 1):
        for place, gradient in enumerate(fitted.gradients(weights)):
            means[place] = 0.9 * means[place] + 0.1 * gradient
            squares[place] = 0.999 * squares[place] + 0.001 * gradient**2
            move = means[place] / (1 - 0.9**step) / (np.sqrt(squares[place] / (1 - 0.999**step)) + 1e-8)
            weights[place] = weights[place] - RATE * move
        if step % CHECK_EVERY == 0:
            score = -held.loss(weights) if len(held.x) else step
            if score > best[0]:
                best = (score, step, [each.copy() for each in weights])
    return best[1], best[2]


def input_rows(moments: Moments) -> Floats:
    """(decisions, inputs) what a network sees of them."""
    return np.array([inputs(moments.row(at)) for at in range(len(moments))])


def with_share(net: GainNet, moments: Moments, share: float) -> GainNet:
    """The same network with the threshold that asks for a share of these decisions."""
    predicted = net.gains(input_rows(moments))
    worth = max(float(np.quantile(predicted, 1.0 - share)), 1e-4) / net.llm_ms
    return GainNet(**(vars(net) | {"worth_per_ms": worth}))


def _captures(predicted: Floats, gains: Floats) -> dict[str, float]:
    if not len(gains):
        return {}
    found = {}
    for share in (0.25, 0.5, 0.75):
        name = f"{100 * share:.0f}"
        found[f"net_{name}"] = captured(gains, predicted >= np.quantile(predicted, 1.0 - share))
        found[f"best_{name}"] = captured(gains, gains >= max(np.quantile(gains, 1.0 - share), 1e-12))
        found[f"random_{name}"] = share * float(gains.mean())
    return found


def _forward(weights: list[Floats], x: Floats) -> tuple[Floats, Floats]:
    """(n, units) of the hidden layer, and (n, 2) of the ends."""
    hidden, hidden_bias, out, out_bias = weights
    active = np.maximum(x @ hidden + hidden_bias, 0.0)
    return active, np.asarray(active @ out + out_bias)


def _logit(share: float) -> float:
    kept = min(max(share, 1e-3), 1.0 - 1e-3)
    return float(np.log(kept / (1.0 - kept)))
