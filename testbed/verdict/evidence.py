"""What is known of a link after a session: everything that the self-check judges, in one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from testbed.link.log import LinkRow
from testbed.link.settings import LinkSettings
from testbed.link.step_bytes import StepBytes, step_bytes
from testbed.verdict.path_counters import PathUse


@dataclass(frozen=True)
class ChunkTime:
    """How long a chunk took, and how long it should have taken over the link that was asked for."""

    chunk: int
    request_s: float
    """Since the session began."""
    ttfb_s: float
    download_s: float
    expected_ttfb_s: float | None = None
    """By the `tcp` link model (`player/simulated/tcp/link.py`); None where the model knows no such link."""
    expected_download_s: float | None = None


@dataclass(frozen=True)
class CallUse:
    """What both ends of a call say that they did. What an end did not live to tell is None."""

    media_sent: int | None
    """Datagrams that the sender's kernel took."""
    media_received: int | None
    feedback_sent: int | None
    """Reports and requests."""
    feedback_received: int | None
    refused: int
    """Datagrams that a kernel did not take."""
    strange: int
    """Datagrams that came to an end and are no call's."""
    real_time: bool
    send_late_judged_ms: float | None
    """From the moment that a packet was due to leave until the clock at its `send`: all but one in a hundred,
    in a short call all but three, were no later."""
    send_late_max_ms: float | None
    report_late_judged_ms: float | None
    report_late_max_ms: float | None

    @property
    def datagrams(self) -> int | None:
        """Sent and received by both ends, as the kernel's UDP counts them."""
        counts = (self.media_sent, self.media_received, self.feedback_sent, self.feedback_received)
        known = [count for count in counts if count is not None]
        return sum(known) + self.strange if len(known) == len(counts) else None


@dataclass(frozen=True)
class QuicUse:
    """What a player over QUIC says of its datagrams since its session began; None: it doesn't count them."""

    sent: int | None
    received: int | None


@dataclass(frozen=True)
class Evidence:
    """Of one lane, from the start of streaming to its end. What could not be gathered is None."""

    rows: Sequence[LinkRow]
    """Of the link log, up to the session's end."""
    elapsed_s: float | None = None
    """From the replay's t0 to the session's end."""
    settings: LinkSettings | None = None
    """What the link was asked to be."""
    path: PathUse | None = None
    chunks: Sequence[ChunkTime] = ()
    """Of all players, those that came whole."""
    payload_bytes: int | None = None
    """Of these chunks; None where a chunk was cut short or asked for twice, so that nobody knows."""
    calls: Sequence[CallUse] = ()
    quic: Sequence[QuicUse] = ()
    """Of players over QUIC."""
    changes: Sequence[str] = ()
    """What others changed in the lane, in words."""
    probe_faults: Sequence[str] = ()
    """What the path was found to be after the session, where it is not as asked."""

    wanted_share: float = 0.0
    """Of the time in which some process wanted a processor and had none (0 to 1): both ends of a session are
    processes, and answer late then."""
    broken: Sequence[str] = ()
    """What of the link broke while it was in use, in words: a process that died, a counter that is gone."""

    @cached_property
    def steps(self) -> list[StepBytes]:
        """The rows as bytes; several bounds look at them."""
        return step_bytes(self.rows)
