"""A call on the wire: its bounds, what its sender newly knew at each decision, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from player.call.observation import CallObservation, Interval
from policies.llm.serving.fields import FieldError, Fields, length

INTERVALS = 4
"""Of feedback in a step: 200 ms of them at 50 ms."""
MOST_MBPS = 1e4
MOST_MS = 1e7
LEAST_KBPS, MOST_KBPS = 1e-3, 1e9
MOST_SPREAD = 1e4


@dataclass(frozen=True, slots=True)
class CallContext:
    """What holds for a call."""

    min_kbps: float
    max_kbps: float


@dataclass(frozen=True, slots=True)
class HeardInterval:
    """From one feedback to the next, with the names and units of `player.call.observation.Interval`."""

    receive_mbps: float
    target_mbps: float
    queue_ms: float
    gradient_ms_per_s: float
    loss_ratio: float
    heard: bool
    pacer_ms: float


@dataclass(frozen=True, slots=True)
class CallStep:
    """What the sender knows at a decision."""

    intervals: tuple[HeardInterval, ...]
    """The last `INTERVALS`, the oldest first; at a call's beginning the first of all stands for those before
    it."""
    acked_mbps: float
    sent_mbps: float
    """Mean of these intervals."""
    rtt_ms: float
    rtt_min_ms: float
    queue_min_ms: float
    frames_dropped: int
    """In these intervals."""
    elapsed_s: float

    @classmethod
    def of(cls, observation: CallObservation) -> CallStep:
        """The step of an observation."""
        now = observation.now
        last = [*observation.history[-(INTERVALS - 1) :], now]
        last = [last[0]] * (INTERVALS - len(last)) + last
        return cls(
            tuple(_heard(each) for each in last),
            now.acked_mbps,
            sum(each.sent_mbps for each in last) / INTERVALS,
            now.rtt_ms,
            now.rtt_min_ms,
            now.queue_min_ms,
            sum(each.frames_dropped for each in last),
            now.elapsed_s,
        )


@dataclass(frozen=True, slots=True)
class PredictedRate:
    """An answer: a rate, and the deviation of its logarithm that the model expects."""

    kbps: float
    spread: float


_HEARD = tuple(field.name for field in fields(HeardInterval))


def _heard(interval: Interval) -> HeardInterval:
    return HeardInterval(*(getattr(interval, name) for name in _HEARD))


def dump_step(step: CallStep) -> dict[str, Any]:
    """A step as JSON holds it."""
    said = {field.name: getattr(step, field.name) for field in fields(CallStep)}
    return said | {"intervals": [{name: getattr(each, name) for name in _HEARD} for each in step.intervals]}


def load_context(given: object) -> CallContext:
    """Raises FieldError: what of it is not as it must be."""
    context = Fields.of(given, "context")
    least = context.number("min_kbps", LEAST_KBPS, MOST_KBPS)
    made = CallContext(least, context.number("max_kbps", least, MOST_KBPS))
    context.nothing_else()
    return made


def load_step(given: object, where: str) -> CallStep:
    """Raises FieldError: what of it is not as it must be."""
    step = Fields.of(given, where)
    listed = step.take("intervals")
    if not (isinstance(listed, list) and len(listed) == INTERVALS):
        raise FieldError(f"{where}.intervals", f"{length(listed)}; expected a list of {INTERVALS}")
    made = CallStep(
        tuple(_load_interval(each, f"{where}.intervals[{place}]") for place, each in enumerate(listed)),
        step.number("acked_mbps", 0.0, MOST_MBPS),
        step.number("sent_mbps", 0.0, MOST_MBPS),
        step.number("rtt_ms", 0.0, MOST_MS),
        step.number("rtt_min_ms", 0.0, MOST_MS),
        step.number("queue_min_ms", -MOST_MS, MOST_MS),
        step.whole("frames_dropped", 0, 10**6),
        step.number("elapsed_s", 0.0, 1e6),
    )
    step.nothing_else()
    return made


def _load_interval(given: object, where: str) -> HeardInterval:
    one = Fields.of(given, where)
    receive_mbps = one.number("receive_mbps", 0.0, MOST_MBPS)
    target_mbps = one.number("target_mbps", 0.0, MOST_MBPS)
    queue_ms = one.number("queue_ms", -MOST_MS, MOST_MS)
    gradient = one.number("gradient_ms_per_s", -1e12, 1e12)
    loss_ratio = one.number("loss_ratio", 0.0, 1.0)
    heard = one.take("heard")
    if not isinstance(heard, bool):
        raise FieldError(f"{where}.heard", "expected true or false")
    made = HeardInterval(
        receive_mbps, target_mbps, queue_ms, gradient, loss_ratio, heard, one.number("pacer_ms", 0.0, MOST_MS)
    )
    one.nothing_else()
    return made


def load_value(given: object, where: str) -> PredictedRate:
    """Raises FieldError: what of it is not as it must be."""
    value = Fields.of(given, where)
    made = PredictedRate(value.number("kbps", 0.0, MOST_KBPS), value.number("spread", 0.0, MOST_SPREAD))
    value.nothing_else()
    return made
