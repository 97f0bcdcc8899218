"""Schedulers from moments: the thresholds of a rule, and a network.

Both want the same: of a given share of the decisions, those whose gains sum to the most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.apc.facts import NAMES
from policies.apc.learned import Floats, GainNet, inputs
from policies.apc.rule import Condition, Thresholds
from policies.apc.study.moments import Moments

QUANTILES = np.linspace(0.05, 0.95, 19)
MOST_CONDITIONS = 3
UNITS = 16
"""Of the network's hidden layer."""
STEPS = 1500
RATE = 0.01
DECAY = 1e-3
GAIN_LIMIT = 4.0
"""A single gain counts as no more, up or down: one long stall is not to be the whole lesson."""
LEAST_GAIN = 0.01
"""Of a difference, where the average shows none: asking is never worth nothing."""
HELD_OUT = 5
"""One session in so many chooses the step at which fitting stops."""
CHECK_EVERY = 50


def captured(gains: Floats, chosen: NDArray[np.bool_]) -> float:
    """Mean gain a decision of asking at those chosen."""
    return float(np.where(chosen, gains, 0.0).mean())


def fit_rule(moments: Moments, share: float) -> Thresholds:
    """Up to three conditions that together ask for at most a share of the decisions and gain the most.

    Chosen one after the other, each the best beside those before, as long as it helps.

    Raises:
        ValueError: no condition asks for so few.
    """
    gains = np.clip(moments.gains, -GAIN_LIMIT, GAIN_LIMIT)
    candidates = list(_candidates(moments))
    chosen: list[Condition] = []
    asked = np.zeros(len(moments), bool)
    best = 0.0
    while len(chosen) < MOST_CONDITIONS:
        scored = []
        for condition, holds in candidates:
            together = asked | holds
            if together.mean() <= share:
                scored.append((captured(gains, together), -together.mean(), condition, together))
        if not scored:
            break
        value, _, condition, together = max(scored, key=lambda each: each[:2])
        if chosen and value <= best:
            break
        best, asked = value, together
        chosen.append(condition)
    return Thresholds(tuple(chosen))


def _candidates(moments: Moments) -> Iterator[tuple[Condition, NDArray[np.bool_]]]:
    for place, name in enumerate(NAMES):
        values = np.abs(moments.facts[:, place])
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
    """A network that predicts gains: logistic regression of "the two differ", Adam (Kingma and Ba, 2015).

    What one decision gains is mostly the noise of what the link did afterwards, and squared error on it found
    little; whether the two would differ has no such noise. The gain is the chance of that, times what a
    difference gained on average. The same for a seed on one machine. Where it is asked for a `share`, its
    threshold is set to it.

    Args:
        llm_ms: what a decision of the model takes.
    """
    random = np.random.default_rng(seed)
    rows = np.array([inputs(moments.row(at)) for at in range(len(moments))])
    gains = np.clip(moments.gains, -GAIN_LIMIT, GAIN_LIMIT)
    held = moments.sessions % HELD_OUT == HELD_OUT - 1
    centre, scale = rows[~held].mean(axis=0), rows[~held].std(axis=0)
    scale = np.where(scale < 1e-6, 1.0, scale)
    differ = (moments.gains != 0.0).astype(np.float64)
    x, y = (rows[~held] - centre) / scale, differ[~held]
    held_x = (rows[held] - centre) / scale
    step, (hidden, hidden_bias, out, out_bias) = _descend(random, x, y, held_x, differ[held])
    differing = gains[(differ > 0.0) & ~held]
    each = max(float(differing.mean()), LEAST_GAIN) if len(differing) else LEAST_GAIN
    net = GainNet(centre, scale, hidden, hidden_bias, out, float(out_bias[0]), each, 1.0, llm_ms)
    predicted = net.gains(rows)
    net = with_share(net, moments, share)
    return Fitted(net, step, _captures(predicted[held], gains[held]))


def _descend(
    random: np.random.Generator, x: Floats, y: Floats, held_x: Floats, held_y: Floats
) -> tuple[int, list[Floats]]:
    """Adam over the log loss of (n, inputs) and (n,): the best step by what is held out."""
    width = x.shape[1]
    weights = [
        random.standard_normal((width, UNITS)) / np.sqrt(width),
        np.zeros(UNITS),
        random.standard_normal(UNITS) / np.sqrt(UNITS) * 0.1,
        np.array([_logit(float(y.mean()))]),
    ]
    means = [np.zeros_like(each) for each in weights]
    squares = [np.zeros_like(each) for each in weights]
    best = (-np.inf, 0, [each.copy() for each in weights])
    for step in range(1, STEPS + 1):
        for place, gradient in enumerate(_gradients(weights, x, y)):
            means[place] = 0.9 * means[place] + 0.1 * gradient
            squares[place] = 0.999 * squares[place] + 0.001 * gradient**2
            move = means[place] / (1 - 0.9**step) / (np.sqrt(squares[place] / (1 - 0.999**step)) + 1e-8)
            weights[place] = weights[place] - RATE * move
        if step % CHECK_EVERY == 0:
            score = -_log_loss(_forward(weights, held_x), held_y) if len(held_y) else step
            if score > best[0]:
                best = (score, step, [each.copy() for each in weights])
    return best[1], best[2]


def with_share(net: GainNet, moments: Moments, share: float) -> GainNet:
    """The same network with the threshold that asks for a share of these decisions."""
    predicted = net.gains(np.array([inputs(moments.row(at)) for at in range(len(moments))]))
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


def _forward(weights: list[Floats], x: Floats) -> Floats:
    hidden, hidden_bias, out, out_bias = weights
    return np.asarray(np.maximum(x @ hidden + hidden_bias, 0.0) @ out + out_bias)


def _logit(share: float) -> float:
    kept = min(max(share, 1e-3), 1.0 - 1e-3)
    return float(np.log(kept / (1.0 - kept)))


def _log_loss(scores: Floats, differ: Floats) -> float:
    return float((np.logaddexp(0.0, scores) - differ * scores).mean())


def _gradients(weights: list[Floats], x: Floats, y: Floats) -> Iterator[Floats]:
    hidden, hidden_bias, out, out_bias = weights
    before = x @ hidden + hidden_bias
    active = np.maximum(before, 0.0)
    error = (1.0 / (1.0 + np.exp(-(active @ out + out_bias))) - y) / len(y)
    back = np.outer(error, out) * (before > 0.0)
    yield x.T @ back + DECAY * hidden
    yield back.sum(axis=0)
    yield active.T @ error + DECAY * out
    yield np.array([error.sum()])
