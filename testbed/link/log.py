"""The link log: a line at the end of every step of a replay, from the kernel's own counters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from traces.safe_reading import BadFileError, json_object, read_text


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One step of a replay. Times are seconds since the replay's t0."""

    step: int
    start_s: float
    """When the step was due to begin."""
    duration_s: float
    late_ms: float
    """How much later than due its rate was in force."""
    rate_mbps: float
    """What the trace says."""
    applied_bytes_per_s: int
    """What was asked of the kernel last: the trace's rate, less or plus a correction."""
    kernel_bytes_per_s: int
    """What the kernel had in force when the step ended."""
    measured_s: float
    """Between the counter readings at its two ends."""
    sent_bytes: int
    backlog_start_bytes: int
    backlog_min_bytes: int
    """Lowest of the samples within the step and at its two ends."""
    backlog_end_bytes: int
    drops: int
    sent_packets: int = 0
    corrections: int = 0
    """How often the rate was changed within the step so that its bytes come out."""
    corrected_bytes: float = 0.0
    """What the rates in force carry in all beyond the trace's, or (negative) short of it, each for as long as
    it was in force: corrections, and in fine steps a rate that was better left alone."""
    refills: int = 0
    """Changes of any kind: each fills the bucket."""
    kicks: int = 0
    """Frames of our own that woke a sleeping bucket (`TokenBucket.kick`)."""
    foreign: str = ""
    """What the kernel had that we had not set (a rate, a limit, a burst, counters that ran backwards);
    empty when all was ours."""
    delay_ms: float = 0.0
    """What the trace adds to the round trip."""
    loss_pct: float = 0.0
    """What the trace adds to the loss."""
    bucket_bytes: int | None = None
    """What the bucket held at most in the end of the step; older logs have that of a quiet machine."""
    read_s: float | None = None
    """When the counters were read at its begin; older logs know `late_ms` only."""


def read_link_log(path: Path) -> list[LinkRow]:
    """The rows of a link log; a last line that was cut off is left out."""
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        try:
            rows.append(LinkRow(**json_object(line, str(path), number)))
        except (BadFileError, TypeError):
            break
    return rows
