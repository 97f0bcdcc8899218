"""What serving needs of an engine, whichever it is. Who takes this file along takes no torch along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Outputs = Sequence[NDArray[np.float32]] | NDArray[np.float32]
"""Of each session, in order."""


@dataclass(frozen=True)
class EngineInfo:
    """What a session's record and a server's health say of an engine."""

    task: str
    base: str
    base_sha256: str
    adapter_sha256: str
    layers: int
    device: str
    dtype: str
    feature_width: int
    outputs: int
    """Numbers of an answer."""
    max_steps: int
    parameters: int
    """Of encoder, language model and head."""
    tokens_per_step: int
    target: float | None = None
    """The return that a step's features have to be given, of an adapter that was made with returns."""


class ServingEngine(Protocol):
    """The part of `engine.py`'s that serving needs. One caller at a time; but `open`, `close` and `rows` may
    be called while another thread is in `forward`, of slots that it has not in hand."""

    @property
    def info(self) -> EngineInfo:
        """What it is."""

    def open(self) -> int:
        """A free slot.

        Raises:
            EngineFull: there is none.
        """

    def close(self, slot: int) -> None:
        """Forget a slot's steps."""

    def rows(self, slot: int, new: int) -> int:
        """Steps that a forward would compute for so many new ones: its price."""

    def forward(self, work: Sequence[tuple[int, NDArray[np.float32]]]) -> NDArray[np.float32]:
        """(slot, new steps' features (steps, width)) each; (len(work), outputs) after the last."""


@runtime_checkable
class EngineAhead(Protocol):
    """What an engine elsewhere can besides: take the next forward's steps while it computes one, so that it
    need not wait. Forwards come out in the order in which they went in."""

    def send(self, work: Sequence[tuple[int, NDArray[np.float32]]]) -> None:
        """Begin a `forward`, or the one after that which runs. One caller at a time."""

    def receive(self) -> Outputs:
        """What the forward comes to that was sent first of those that are out. One caller at a time."""


class SharedForwards(Protocol):
    """An engine of several tasks: its forwards take sessions of any of them. One caller at a time, as
    `ServingEngine` has it."""

    def close(self, slot: int) -> None:
        """Forget a slot's steps."""

    def rows(self, slot: int, new: int) -> int:
        """As of a `ServingEngine`."""

    def forward(self, work: Sequence[tuple[int, NDArray[np.float32]]]) -> Outputs:
        """(slot, new steps' features (steps, width of its task)) each; each one's outputs after the last."""


@runtime_checkable
class SharingEngine(Protocol):
    """One task's engine whose forwards are those of an engine of several."""

    @property
    def forwards(self) -> SharedForwards:
        """That engine: the same object for all its tasks."""


class LocalEngine(ServingEngine, Protocol):
    """What a simulation needs besides."""

    @property
    def same_together(self) -> int:
        """How many sessions a forward may have with each one's answers as alone, to the last bit."""


class EngineFull(RuntimeError):
    """Every slot is taken by a session."""


class EngineGone(RuntimeError):
    """The process that has the engine has ended; the message says how, and the way out."""
