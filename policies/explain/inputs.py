"""Inputs of a decision that a person can picture, each of which may be put otherwise by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from policies.llm.tasks.ladder.wire import SHORTEST_DOWNLOAD_S, VideoStep

TRIED = 8
"""Values to each side of an input's own, the furthest its limit."""
TIMES = 20.0
"""So many times more, or less, a throughput is tried at the most."""
SIZE_TIMES = 5.0
"""The same of sizes."""
LEAST_MBPS = 1e-3


class StepInput(ABC):
    """One input: what it is in a step, and the step with another value of it."""

    name: str
    unit: str

    @abstractmethod
    def value(self, step: VideoStep) -> float | None:
        """None where the step has none."""

    @abstractmethod
    def put(self, step: VideoStep, value: float) -> VideoStep:
        """The step with this value; all else as it was."""

    @abstractmethod
    def tried(self, step: VideoStep) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Values to try below and above the step's own, the nearest first."""


@dataclass(frozen=True)
class Buffer(StepInput):
    """What is buffered when the client asks, between nothing and the cap."""

    name = "buffer"
    unit = "s"

    def value(self, step: VideoStep) -> float | None:
        return step.buffer_s

    def put(self, step: VideoStep, value: float) -> VideoStep:
        return replace(step, buffer_s=value)

    def tried(self, step: VideoStep) -> tuple[tuple[float, ...], tuple[float, ...]]:
        below = np.linspace(step.buffer_s, 0.0, TRIED + 1)[1:]
        above = np.linspace(step.buffer_s, step.buffer_cap_s, TRIED + 1)[1:]
        return (
            tuple(below.tolist()) if step.buffer_s > 0.0 else (),
            tuple(above.tolist()) if step.buffer_s < step.buffer_cap_s else (),
        )


@dataclass(frozen=True)
class LastThroughput(StepInput):
    """At what rate the chunk before came; its download took accordingly."""

    name = "last throughput"
    unit = "Mbit/s"

    def value(self, step: VideoStep) -> float | None:
        return None if step.past is None else step.past.throughput_mbps

    def put(self, step: VideoStep, value: float) -> VideoStep:
        if step.past is None:
            return step
        took_s = max(8.0 * step.past.size_bytes / 1e6 / value, SHORTEST_DOWNLOAD_S)
        return replace(step, past=replace(step.past, throughput_mbps=value, download_s=took_s))

    def tried(self, step: VideoStep) -> tuple[tuple[float, ...], tuple[float, ...]]:
        mbps = self.value(step)
        if mbps is None or mbps < LEAST_MBPS:
            return (), ()
        return _times(mbps, 1.0 / TIMES), _times(mbps, TIMES)


@dataclass(frozen=True)
class NextSizes(StepInput):
    """How large the next chunk is at all levels, as a multiple of what it is."""

    name = "next chunk's size"
    unit = "x"

    def value(self, step: VideoStep) -> float | None:
        return 1.0

    def put(self, step: VideoStep, value: float) -> VideoStep:
        row = tuple(max(round(size * value), 1) for size in step.next_sizes_bytes[0])
        return replace(step, next_sizes_bytes=(row, *step.next_sizes_bytes[1:]))

    def tried(self, step: VideoStep) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return _times(1.0, 1.0 / SIZE_TIMES), _times(1.0, SIZE_TIMES)


INPUTS: tuple[StepInput, ...] = (Buffer(), LastThroughput(), NextSizes())


def _times(value: float, most: float) -> tuple[float, ...]:
    return tuple((value * np.geomspace(1.0, most, TRIED + 1)[1:]).tolist())
