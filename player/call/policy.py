"""What a controller of a call is: two calls, and an answer in kbit/s.

A policy is any object with `reset(call, seed, qoe)` and `decide(observation)`. It runs beside the media, one
call at a time; until its answer is there the old rate holds. It needs to know nothing of sockets or encoders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from player.policy import BY_FALLBACK as BY_FALLBACK
from player.policy import BY_POLICY as BY_POLICY
from player.policy import shortly

if TYPE_CHECKING:
    from player.call.observation import CallObservation
    from player.call.path import CallPath
    from player.call.settings import CallSettings
    from traces.trace import Trace

__all__ = [
    "BY_FALLBACK",
    "BY_GUARD",
    "BY_POLICY",
    "CallPolicy",
    "DecidesRatesTogether",
    "IllegalRate",
    "KnowsLink",
    "Rate",
    "as_rate",
]

BY_GUARD = "guard"
"""GCC's overuse, in shadow, has cut a rate that held."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A target for the encoder, who chose it (`policy`, `llm`, `light`, `guard`, `fallback`) and why."""

    kbps: float
    """The player keeps it within the call's bounds."""
    by: str = BY_POLICY
    reason: str = ""
    probe_kbps: float = 0.0
    """Send a short cluster of packets at this rate, padding if need be, to learn what the link carries;
    0: don't."""


@runtime_checkable
class CallPolicy(Protocol):
    """A controller. One that acts on every feedback says so with an attribute `every_feedback = True`;
    another is asked every `CallSettings.decide_every_ms`."""

    def reset(self, call: CallSettings, seed: int, qoe: Any) -> None:
        """A new call begins: forget the last one.

        Args:
            qoe: what will be scored, a `player.call.qoe.CallQoE`.
        """

    def decide(self, observation: CallObservation) -> Rate | float:
        """The encoder's target from now on; a bare number is kbit/s."""


@runtime_checkable
class KnowsLink(Protocol):
    """A policy that is told the link, after its `reset`; a real call has no such call."""

    def tell(self, trace: Trace, start_s: float, path: CallPath) -> None:
        """The link of the call that begins now, at `start_s` of the trace."""


@runtime_checkable
class DecidesRatesTogether(Protocol):
    """A policy whose decisions for many simulated calls cost less when they are made at once.

    Each call still has an object of its own, reset as ever; one of them is handed the questions of all.
    """

    def another(self) -> CallPolicy:
        """A new one, made by the same arguments; called before any `reset`."""

    def together(self) -> int:
        """How many calls may be decided at once at the most; 1: none. Loads nothing."""

    def ready_together(self) -> int:
        """Load what it takes; how many may be decided at once in this process, each as it would be alone, to
        the last digit."""

    def decide_together(self, asked: Sequence[tuple[CallPolicy, CallObservation]]) -> Sequence[object]:
        """What `decide` of each would have answered, or the exception that it would have raised.

        Args:
            asked: policies made by the same spec, each at most once, and what its call's sender sees.
        """


class IllegalRate(ValueError):
    """A policy's answer is no rate."""


def as_rate(answer: object, call: CallSettings) -> Rate:
    """A policy's answer as a :class:`Rate` within the call's bounds.

    Raises:
        IllegalRate: not a Rate nor a number, one that is not finite or below 0.
    """
    rate = answer if isinstance(answer, Rate) else None
    kbps = rate.kbps if rate else answer
    if isinstance(kbps, bool) or not hasattr(kbps, "__float__"):
        raise IllegalRate(f"answered {shortly(answer)}, which is no rate; expected kbit/s")
    value = float(kbps)
    probe_kbps = float(rate.probe_kbps) if rate else 0.0
    if not (math.isfinite(value) and value >= 0 and math.isfinite(probe_kbps) and probe_kbps >= 0):
        raise IllegalRate(f"answered {shortly(answer)}; expected 0 kbit/s or more")
    value = min(max(value, call.min_kbps), call.max_kbps)
    return Rate(value, rate.by, rate.reason, probe_kbps) if rate else Rate(value)
