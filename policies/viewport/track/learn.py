"""Learning of TRACK: the wrapped absolute error, or, as published, squares of degrees without wrap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from player.viewport.errors import errors_of
from player.viewport.windows import FUTURE, Floats
from policies.viewport.examples import all_windows
from policies.viewport.features import residual
from policies.viewport.mirroring import TURNS, signs_of
from policies.viewport.others import FIELDS
from policies.viewport.track.model import SCALE, TrackModel, wrapped_l1
from policies.viewport.track.net import SIZES, seen_samples
from policies.viewport.units import UNIT
from traces.heads.angles import off
from traces.heads.head import AXES, YAW, HeadError, WatchedVideo

EVERY = 10
"""Samples from window to window, of training."""
CLIP = 1.0
Rows = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class TrackSettings:
    """How it is learned."""

    epochs: int = 8
    published: bool = False
    batch: int = 256
    rate: float = 2e-3
    decay: float = 1e-2


@dataclass(frozen=True)
class TrackExamples:
    """n windows."""

    samples: Floats
    """(n, HISTORY, 6) as `seen_samples` has them."""
    maps: Floats
    """(n, HISTORY + FUTURE, map) half precision."""
    targets: Floats
    """(n, FUTURE, 3) the way from the newest sample, `UNIT`s."""
    history: Floats
    """(n, HISTORY, 3) degrees."""
    future: Floats
    """(n, FUTURE, 3) degrees."""


def examples_of(videos: Sequence[WatchedVideo], closely: bool) -> TrackExamples:
    """All windows of all judged viewers.

    Args:
        closely: for training, from beginning to end; else those that are judged.

    Raises:
        HeadError: recordings too short for any.
    """
    parts = []
    for found in all_windows(videos, EVERY if closely else None):
        samples, maps = seen_samples(found.seen)
        targets = residual(found.seen, found.future).reshape(-1, FUTURE, AXES)
        parts.append((samples, maps.astype(np.float16), targets, found.seen.history, found.future))
    return TrackExamples(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def learn(
    train: TrackExamples,
    valid: TrackExamples,
    seed: int,
    settings: TrackSettings,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[TrackModel, dict[str, Floats], float]:
    """The net of the epoch that is best on the validation, its weights, and its error there in degrees."""
    torch.manual_seed(seed)
    model = TrackModel(settings.published)
    optimizer = torch.optim.AdamW(model.parameters(), settings.rate, weight_decay=settings.decay)
    batches = -(-len(train.targets) // settings.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs * batches)
    best, kept = float("inf"), {name: value.clone() for name, value in model.state_dict().items()}
    for epoch in range(settings.epochs):
        for rows in torch.randperm(len(train.targets)).split(settings.batch):
            loss = _loss(model, train, rows.numpy(), TURNS[int(torch.randint(len(TURNS), (1,)))])
            optimizer.zero_grad()
            loss.backward()
            if not settings.published:  # squares of degrees are far over it
                torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            schedule.step()
        error = scored(model, valid)["mae"]
        if error < best:
            best, kept = error, {name: value.clone() for name, value in model.state_dict().items()}
        tell(f"epoch {epoch + 1}: {error:.3f} degrees on the validation, best {best:.3f}")
    if best == float("inf"):
        raise HeadError("the net's errors are no numbers: its training has diverged; take another seed")
    model.load_state_dict(kept)
    return model, weights_of(model), best


def weights_of(model: TrackModel) -> dict[str, Floats]:
    """As the file has them."""
    held = {"out.weight": model.out.weight, "out.bias": model.out.bias}
    for name in SIZES:
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            held[f"{name}.{part}"] = getattr(model.parts[name], part)
    return {name: value.detach().numpy().astype(np.float64) for name, value in held.items()}


def scored(model: TrackModel, examples: TrackExamples) -> dict[str, float]:
    """The published measure over all windows, and 0.2, 1, 2 and 4 s ahead."""
    with torch.no_grad():
        parts = np.array_split(np.arange(len(examples.targets)), max(len(examples.targets) // 512, 1))
        answers = np.concatenate([_places(model, examples, rows).numpy() for rows in parts])
    predicted = answers if model.published else examples.history[:, -1:] + UNIT * answers
    found = errors_of(predicted.astype(np.float64), examples.future)
    first = off(predicted[:, 0].astype(np.float64), examples.future[:, 0])
    values = {"mae": found.mae, "at_0.2s": first, "at_1s": found.at_1s}
    values |= {"at_2s": found.at_2s, "at_4s": found.at_4s}
    return {name: round(float(value.mean()), 4) for name, value in values.items()}


def _places(model: TrackModel, examples: TrackExamples, rows: Rows) -> torch.Tensor:
    maps = _tensor(examples.maps[rows])
    if not model.published:
        return model(_tensor(examples.samples[rows]), maps)
    seen, first = examples.history[rows] / SCALE, examples.future[rows, 0] / SCALE
    return model(_tensor(np.concatenate([seen, seen], axis=2)), maps, _tensor(first))


def _loss(model: TrackModel, examples: TrackExamples, rows: Rows, axes: Sequence[int]) -> torch.Tensor:
    """Of some windows; of the mended net's with these axes turned round."""
    if model.published:
        return (_places(model, examples, rows) - _tensor(examples.future[rows])).square().mean()
    samples, maps, targets = mirrored(
        examples.samples[rows], examples.maps[rows], examples.targets[rows], axes
    )
    return wrapped_l1(model(_tensor(samples), _tensor(maps)), _tensor(targets)).mean()


def mirrored(
    samples: Floats, maps: Floats, targets: Floats, axes: Sequence[int]
) -> tuple[Floats, Floats, Floats]:
    """Samples, maps and targets of viewers whose axes go the other way, as do all others'."""
    signs = signs_of(axes)
    if YAW in axes:
        maps = maps.reshape(*maps.shape[:2], *FIELDS)[..., ::-1].reshape(maps.shape)
    return samples * np.tile(signs, 2), maps, targets * signs


def _tensor(values: Floats) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))
