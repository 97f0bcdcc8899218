"""What each modality and each recent chunk contributes: the session decided again without it.

*Without a modality* is a session in which the model is told the input's training mean in its place at every
step; *without a chunk* one in which that chunk came at the rate of those before it, so that it was no news.
What is withheld contributes the margin of the chosen level over the best other with it less the margin
without it. Each of these sessions has a slot of the engine and a cache of its own that grows with the session
itself: a decision costs one new step for each, and what it says is what computing the whole session anew
without the input says (`agreement.py` measures that).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from player.record import RecordError
from policies.explain.inputs import LEAST_MBPS, LastThroughput
from policies.explain.replayed import TaskSteps
from policies.llm.engine.engine import Engine
from policies.llm.modality import places
from policies.llm.serving.transcript import Transcript
from policies.llm.task import Vectors
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep
from policies.rules.throughput import harmonic_mean_mbps

RECENT = 8
"""Chunks before a decision that are looked at."""
Mask = Callable[[Vectors], Vectors]
"""(steps, width) to the same without something."""


class Telling:
    """Steps told to one slot of an engine, some of them or some of their numbers otherwise.

    Args:
        steps: the session's, with what is put otherwise.
        mask: takes numbers out of every step.
    """

    def __init__(
        self, engine: Engine, session: TaskSteps, steps: tuple[VideoStep, ...], mask: Mask | None = None
    ) -> None:
        self._engine, self._steps, self._mask = engine, steps, mask
        self._transcript = Transcript(TASK, session.context, engine.info.target)
        self.slot = engine.open()

    def until(self, chunk: int) -> tuple[int, Vectors]:
        """What a forward needs for the decision of that chunk: the slot, and the steps not told yet."""
        fresh = self._steps[len(self._transcript.steps) : chunk + 1]
        rows = self._transcript.features(fresh)
        self._transcript.append(fresh)
        return self.slot, self._mask(rows) if self._mask else rows

    def close(self) -> None:
        """Give the slot back."""
        self._engine.close(self.slot)


@dataclass(frozen=True)
class Occluded:
    """One decision with everything, and without each thing."""

    vector: Vectors
    """(width,) what the model was fed."""
    scores: Vectors
    """(options,) -inf for what may not be taken."""
    modalities: dict[str, Vectors]
    """Scores without each."""
    chunks: dict[int, Vectors]
    """Scores without each of the recent chunks that there was something to put in the place of."""

    @property
    def chosen(self) -> int:
        return int(self.scores.argmax())

    @property
    def runner_up(self) -> int:
        """The best other option."""
        others = self.scores.copy()
        others[self.chosen] = -np.inf
        return int(others.argmax())

    def contributions(self) -> tuple[dict[str, float], dict[int, float]]:
        """Of each modality and each recent chunk: the chosen level's margin with it less that without it.
        None at all where nothing but one level may be taken."""
        whole = margin_of(self.scores, self.chosen)
        if whole is None:
            return {}, {}
        return (
            {name: whole - _margin(each, self.chosen) for name, each in self.modalities.items()},
            {chunk: whole - _margin(each, self.chosen) for chunk, each in self.chunks.items()},
        )


def margin_of(scores: Vectors, chosen: int) -> float | None:
    """How far an option is ahead of the best other (negative: behind); None where there is no other."""
    others = np.delete(scores, chosen)
    best = float(others.max(initial=-np.inf))
    return float(scores[chosen]) - best if np.isfinite(best) else None


def _margin(scores: Vectors, chosen: int) -> float:
    found = margin_of(scores, chosen)
    assert found is not None  # the same options may be taken as with everything
    return found


class Occlusion:
    """A session's decisions, one after the other, each with everything and without each thing.

    Args:
        engine: with a free slot for the session, each modality and RECENT chunks.
        first: the first chunk that will be asked about.
    """

    def __init__(self, engine: Engine, session: TaskSteps, first: int = 0) -> None:
        self._engine, self._session, self._first = engine, session, first
        masks = modality_masks(engine)
        self._whole = Telling(engine, session, session.steps)
        self._modalities = {
            name: Telling(engine, session, session.steps, mask) for name, mask in masks.items()
        }
        self._chunks: dict[int, Telling] = {}

    def at(self, chunk: int) -> Occluded:
        """The decision of a chunk; `chunk` may only grow from call to call.

        Raises:
            RecordError: of what the record says nothing finite can be made.
        """
        self._follow(chunk)
        told = {"": self._whole, **self._modalities}
        work = [each.until(chunk) for each in (*told.values(), *self._chunks.values())]
        outputs = self._engine.forward(work)
        vector = work[0][1][-1]
        if not (np.isfinite(vector).all() and np.isfinite(outputs).all()):
            raise RecordError(f"chunk {chunk}: its numbers are beyond what the model can be fed")
        scores = [TASK.scores(output, vector) for output in outputs]
        after = 1 + len(self._modalities)
        return Occluded(
            vector,
            scores[0],
            dict(zip(self._modalities, scores[1:after], strict=True)),
            dict(zip(self._chunks, scores[after:], strict=True)),
        )

    def _follow(self, chunk: int) -> None:
        """Have a session without each of the chunks before this one, and of no others."""
        recent = range(max(chunk - RECENT, 0), chunk)
        for old in [each for each in self._chunks if each not in recent]:
            self._chunks.pop(old).close()
        for new in recent:
            if new not in self._chunks and (steps := without_chunk(self._session, new)) is not None:
                self._chunks[new] = Telling(self._engine, self._session, steps)

    def close(self) -> None:
        """Give all slots back."""
        for each in (self._whole, *self._modalities.values(), *self._chunks.values()):
            each.close()


def without_chunk(session: TaskSteps, chunk: int) -> tuple[VideoStep, ...] | None:
    """The session's steps as if a chunk had come at the mean rate of the five before it, as RobustMPC takes
    it; None for the first, before which nothing came."""
    before = [step.past for step in session.steps[: chunk + 1] if step.past is not None]
    if not before or chunk + 1 >= len(session.steps):
        return None
    usual = max(harmonic_mean_mbps(before), LEAST_MBPS)
    told = LastThroughput().put(session.steps[chunk + 1], usual)
    return (*session.steps[: chunk + 1], told, *session.steps[chunk + 2 :])


def modality_masks(engine: Engine) -> dict[str, Mask]:
    """For each modality what puts its training mean in its place.

    A number that did not vary in training stays: its mean is not known. So does which levels there are,
    without which there is nothing to choose.
    """
    tensors = engine.adapter.tensors()
    mean = np.asarray(tensors["encoder.mean"].float().numpy(), np.float32)
    deviation = np.asarray(tensors["encoder.deviation"].float().numpy(), np.float32)
    varies = (mean != 0.0) | (deviation != 1.0)
    found = {}
    for name, place in places(TASK.modalities).items():
        here = np.zeros(len(mean), bool)
        here[place] = True
        found[name] = _mask(here & varies, mean, place)
    return found


def _mask(taken: np.ndarray, mean: Vectors, place: slice) -> Mask:
    head = TASK.head
    points = places(TASK.modalities)[head.modality] == place

    def masked(rows: Vectors) -> Vectors:
        without = np.where(taken, mean, rows).astype(np.float32)
        if points:
            kept = rows[:, place].reshape(len(rows), head.options, -1)
            options = without[:, place].reshape(kept.shape).copy()
            options[:, :, 0] = kept[:, :, 0]
            options[kept[:, :, 0] <= 0.0] = kept[kept[:, :, 0] <= 0.0]
            without[:, place] = options.reshape(len(rows), -1)
        return without

    return masked
