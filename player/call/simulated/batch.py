"""A batch of simulated calls: thousands at once, from feedback to feedback.

    calls = SimulatedCalls(CallSettings(), traces, CallPath())
    while not calls.finished.all():
        feedback = calls.to_next_feedback()
        calls.set_rates(my_rule(feedback))

Calls are independent of each other, and the number of threads does not change a bit of the result.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from player.call.checks import CallError
from player.call.feedback_batch import FeedbackBatch, room_for_feedback
from player.call.media.facts import FACTS, FIELDS
from player.call.media.receiver_state import new_receivers
from player.call.media.sender_state import new_senders
from player.call.packets import MOST_REPORTED
from player.call.path import CallPath
from player.call.settings import CallSettings
from player.call.simulated.events import run_calls, set_rates
from player.call.simulated.state import new_paths
from player.compiled.threads import cores, share
from traces.trace import Trace

SMALLEST_PART = 4
"""Calls of a batch that are worth a thread of their own."""

_OF_PATH = 0x9E3779B97F4A7C15
"""Jitter and loss draw from another stream than the frames' sizes."""


class SimulatedCalls:
    """A batch of calls.

    Args:
        call: what all of them are.
        traces: one for each call.
        path: what all of them have.
        seeds: (N,) of sizes, jitter and loss; a single one holds for all.
        start_s: (N,) where in its trace each call begins; a single one holds for all.
        threads: at most so many; None takes every core that the process may use.

    Raises:
        CallError: no traces, or seeds or starts that are not one for each.
    """

    def __init__(
        self,
        call: CallSettings,
        traces: Sequence[Trace],
        path: CallPath | None = None,
        seeds: ArrayLike = 0,
        start_s: ArrayLike = 0.0,
        threads: int | None = None,
    ) -> None:
        if not traces:
            raise CallError("call: no traces; give one for each call")
        self.call, self.path, self.traces = call, path or CallPath(), tuple(traces)
        self.start_s = _for_each("start_s", np.asarray(start_s, np.float64), len(traces))
        self.seeds = _for_each("seeds", np.asarray(seeds).astype(np.uint64), len(traces))
        distinct = {id(trace): trace for trace in traces}
        places = {key: place for place, key in enumerate(distinct)}
        which = np.array([places[id(trace)] for trace in traces])
        self.sender = new_senders(call, self.seeds)
        self.receiver = new_receivers(call, len(traces))
        self.paths = new_paths(
            call, self.path, tuple(distinct.values()), which, self.start_s, path_seeds(self.seeds)
        )
        self.feedback = room_for_feedback(len(traces), MOST_REPORTED)
        self.facts = np.zeros((len(traces), FIELDS))
        """(N, fields of `Interval`) of the newest feedback."""
        self._past = np.zeros(len(traces), FACTS)
        self.threads = threads if threads is not None else cores()

    def __len__(self) -> int:
        return len(self.traces)

    def copy(self) -> SimulatedCalls:
        """The batch as it stands; both go on apart."""
        made = copy.copy(self)
        for name in ("sender", "receiver", "feedback"):
            state = getattr(self, name)
            setattr(made, name, type(state)(*(np.copy(each) for each in state)))
        moving = {name: np.copy(getattr(self.paths, name)) for name in ("record", "flights", "messages")}
        made.paths = self.paths._replace(**moving)
        made.facts, made._past = self.facts.copy(), self._past.copy()
        return made

    @property
    def finished(self) -> NDArray[np.bool_]:
        """(N,) whose time is over."""
        return np.asarray(self.paths.record["over"] != 0)

    def to_next_feedback(self) -> FeedbackBatch:
        """Run every call to its next feedback; what came is in `feedback` and `facts`.

        A call that ends before it hears another is `finished` and keeps what it heard last.
        """

        def part(begin: int, end: int) -> None:
            run_calls(
                self.sender, self.receiver, self.paths, self._past, self.feedback, self.facts, begin, end
            )

        share(part, len(self), self.threads, SMALLEST_PART)
        return self.feedback

    def set_rates(self, kbps: ArrayLike, probe_kbps: ArrayLike = 0.0, delay_s: ArrayLike = 0.0) -> None:
        """The encoders' targets from now on, kept within the call's bounds.

        Args:
            kbps: (N,) or one for all; of calls that are finished, any number.
            probe_kbps: (N,) send a probe cluster at this rate; 0: don't.
            delay_s: (N,) after which the rate comes into force; a later answer replaces one that waits.

        Raises:
            CallError: a rate that is no finite number, or below 0; no call has got any.
        """
        rates = _for_each("kbps", np.asarray(kbps, np.float64), len(self))
        wrong = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
        if len(wrong):
            raise CallError(f"call: rate {rates[wrong[0]]} kbit/s for call {wrong[0]}; expected 0 or more")
        rates = np.clip(rates, self.call.min_kbps, self.call.max_kbps)
        probes = _for_each("probe_kbps", np.asarray(probe_kbps, np.float64), len(self))
        delays = _for_each("delay_s", np.asarray(delay_s, np.float64), len(self))
        set_rates(self.sender.record, self.paths.record, rates, probes, delays, self.feedback.now_s)


def path_seeds(seeds: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """(N,) of jitter and loss, for calls with these seeds."""
    return seeds ^ np.uint64(_OF_PATH)


def _for_each(name: str, values: NDArray[Any], calls: int) -> NDArray[Any]:
    if values.shape not in ((), (calls,)):
        raise CallError(f"call: {name} of shape {values.shape}; expected one, or ({calls},)")
    return np.ascontiguousarray(np.broadcast_to(values, calls))
