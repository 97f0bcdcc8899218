"""A rule of calls as compiled functions, which a batch or a real-time loop calls without Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable


class CompiledRule(NamedTuple):
    """The functions of one rule; its state is arrays whose first axis is calls."""

    new_state: Callable[[int], Any]
    """Room for so many calls; plain Python."""
    begin: Callable[..., None]
    """(state, call, start_kbps, min_kbps, max_kbps, may_probe): a call begins at time 0."""
    step: Callable[..., float]
    """(state, call, feedback): at the end of each feedback interval, whether one came or not; the encoder's
    new target, kbit/s."""
    take_probe_kbps: Callable[..., float]
    """(state, call): after `begin` and each `step`, the rate of the probe to send now; 0: none."""
    step_all: Callable[..., None]
    """(state, feedback, kbps, probe_kbps): `step` of every call of a batch, with its probe; fills the two
    (calls,) arrays."""


@runtime_checkable
class HasCompiledRule(Protocol):
    """A policy whose `decide` does what its compiled rule does."""

    def compiled_rule(self) -> CompiledRule:
        """With this policy's options in it."""
