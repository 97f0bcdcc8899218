"""The link of the public chunk-level simulators, equal to them to the last bit.

Pensieve's `fixed_env.py` (Mao et al., SIGCOMM 2017), Genet's `fig_reproduce/sim/fixed_env.py` and
NetLLM's `baseline_special/env.py` compute a download the same way: bytes flow at 0.95 x rate, and
one round trip of 80 ms is added at the end. TCP does not exist. Every float operation here is done
on the same values in the same order as there; don't tidy the arithmetic. Where a trace has delays, the one
in force at the request is part of that round trip, as SABRE has it; the published simulators know none.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from player.defaults import RTT_MS
from player.simulated.session import Download
from traces.trace import MOST_DELAY_MS, Trace, TraceError

if TYPE_CHECKING:
    from numpy.random import RandomState

PAYLOAD = 0.95
"""Share of the rate that is video bytes (the published `PACKET_PAYLOAD_PORTION`)."""

NOISE_LOW, NOISE_HIGH = 0.9, 1.1
"""Range of the factor on the delay in the published training simulators."""

MAX_INTERVALS = 10_000_000
"""Intervals of the trace that one chunk may take before the trace counts as one that never delivers."""

MOST_LOOKS = 36_000
"""At a download under way; an hour's of ten a second."""

_MS_PER_S = 1000.0
_BITS_PER_MBIT = 1_000_000.0
_BITS_PER_BYTE = 8.0


@dataclass(frozen=True)
class PublishedLink:
    """Settings of the `published` link model; the defaults are the published ones.

    Raises:
        ValueError: a round trip that no link has.
    """

    noise: bool = False
    """Multiply every delay by a draw from U(0.9, 1.1): numpy's legacy generator, seeded per session."""
    rtt_ms: float = RTT_MS

    def __post_init__(self) -> None:
        if not 0 <= self.rtt_ms <= MOST_DELAY_MS:
            raise ValueError(f"RTT {self.rtt_ms} ms: expected 0 to {MOST_DELAY_MS:g}")

    def open(self, trace: Trace, start_index: int, seed: int) -> PublishedSession:
        """The link at the start of a session: streaming begins at `trace.time_s[start_index - 1]`.

        Raises:
            ValueError: `start_index` is not 1 to the trace's last index.
            TraceError: the trace loses frames.
        """
        return PublishedSession(self, trace, start_index, seed)


def refuse_loss(trace: Trace) -> None:
    """What these simulators cannot play, they may not leave out without a word.

    Raises:
        TraceError: the trace loses frames.
    """
    if trace.loses_frames:
        raise TraceError(
            f"{trace.name}: loses up to {max((trace.loss_pct or ())[1:]):g} % of its frames, which the"
            " published link has no TCP to repair; take the tcp link, or drop the losses (python -m traces"
            " convert --drop-delay-loss)"
        )


class PublishedSession:
    """A position in a trace, moved on by downloads and waits."""

    def __init__(self, settings: PublishedLink, trace: Trace, start_index: int, seed: int) -> None:
        if not 1 <= start_index < len(trace.time_s):
            raise ValueError(
                f"{trace.name}: start index {start_index}; expected 1 to {len(trace.time_s) - 1}"
            )
        refuse_loss(trace)
        self._settings = settings
        self._trace = trace
        self._index = start_index
        self._at_s: float = trace.time_s[start_index - 1]
        self._draws = _draws(seed) if settings.noise else None

    def download(self, size_bytes: int) -> Download:
        """Fetch `size_bytes` (> 0).

        Raises:
            TraceError: the trace is so near to dark that the chunk would never arrive.
        """
        rtt_ms = self._settings.rtt_ms
        if self._trace.delay_ms is not None:
            rtt_ms += self._trace.delay_ms[self._index]
        delay_ms = self._transfer_s(size_bytes) * _MS_PER_S
        delay_ms += rtt_ms
        if self._draws is not None:
            delay_ms *= self._draws.uniform(NOISE_LOW, NOISE_HIGH)
        return Download(delay_ms, min(rtt_ms, delay_ms), rtt_ms)

    def first_byte_ms(self) -> float:
        """How long the first byte of a request takes that is made now."""
        delays_ms = self._trace.delay_ms
        return self._settings.rtt_ms + (0.0 if delays_ms is None else delays_ms[self._index])

    def arrivals(self, size_bytes: int, step_ms: float) -> Iterator[tuple[float, float]]:
        """(ms since the first byte, bytes that have come) at every step of a download that begins now, until
        it is whole; the session stays where it is. Noise, which is of whole downloads, is not in it."""
        ahead = copy.copy(self)
        received = since_ms = 0.0
        for _ in range(MOST_LOOKS):
            received += ahead._carried(step_ms / _MS_PER_S)
            since_ms += step_ms
            if received >= size_bytes:
                return
            yield since_ms, received

    def _carried(self, left_s: float) -> float:
        """Bytes that the link carries in a time, which passes."""
        carried = 0.0
        while True:
            bytes_per_s = self._trace.rate_mbps[self._index] * _BITS_PER_MBIT / _BITS_PER_BYTE
            within_s = min(left_s, self._trace.time_s[self._index] - self._at_s)
            carried += bytes_per_s * within_s * PAYLOAD
            left_s -= within_s
            if left_s <= 0:
                self._at_s += within_s
                return carried
            self._next_interval()

    def _transfer_s(self, size_bytes: int) -> float:
        """Let `size_bytes` through, from the present position on; seconds."""
        time_s, rate_mbps = self._trace.time_s, self._trace.rate_mbps
        elapsed_s = 0.0
        sent_bytes = 0.0
        for _ in range(MAX_INTERVALS):
            bytes_per_s = rate_mbps[self._index] * _BITS_PER_MBIT / _BITS_PER_BYTE
            left_s = time_s[self._index] - self._at_s
            payload_bytes = bytes_per_s * left_s * PAYLOAD
            if sent_bytes + payload_bytes > size_bytes:
                fraction_s = (size_bytes - sent_bytes) / bytes_per_s / PAYLOAD
                self._at_s += fraction_s
                return elapsed_s + fraction_s
            sent_bytes += payload_bytes
            elapsed_s += left_s
            self._next_interval()
        raise TraceError(
            f"{self._trace.name}: {size_bytes} bytes are not through after {MAX_INTERVALS} intervals;"
            " the rates are too near to 0 to stream over"
        )

    def idle(self, wait_ms: float) -> None:
        """Let `wait_ms` pass without a download."""
        while True:
            left_s = self._trace.time_s[self._index] - self._at_s
            if left_s > wait_ms / _MS_PER_S:
                self._at_s += wait_ms / _MS_PER_S
                return
            wait_ms -= left_s * _MS_PER_S
            self._next_interval()

    def _next_interval(self) -> None:
        """Go on to the next interval, from the last one to the first."""
        self._at_s = self._trace.time_s[self._index]
        self._index += 1
        if self._index >= len(self._trace.time_s):
            self._index = 1
            self._at_s = 0.0


def _draws(seed: int) -> RandomState:
    """Where noise comes from; without any, nobody waits for numpy."""
    from numpy.random import RandomState

    return RandomState(seed % 2**32)
