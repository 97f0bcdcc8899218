"""How a replay keeps its promise: what a link has granted is held against its trace, and the rate corrected.

A token bucket holds about a frame. Whenever the processor is away for longer than that (a hypervisor lends
it to others, a busy kernel), tokens are lost for good; and each change of a tbf's rate fills its bucket,
which grants up to a frame at once. So a ledger keeps what was granted: bytes that passed and tokens that
wait. What is missing while frames wait, and what was too much, is set right within the next moments, and in
fine steps a change is made only where it brings the link nearer to its trace than leaving it alone: on a
slow link the refill of a change is what lets the next frame out. An idle link saves nothing up.

All rates here are bytes a second.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.link.tbf import FRAME_BYTES

HORIZON_S = 0.02
"""A difference is set right within this long, where the next bound allows it."""

MOST_SHARE = 0.5
"""At most this share of the trace's rate is added, or taken (all of it in a step shorter than `SHORT_S`, in
which the refill of the change may be all that is due): nothing a queue of 50 ms would notice."""

TOLERATED_BYTES = FRAME_BYTES / 2
"""Less ahead or behind is no difference: a link moves by whole frames."""

LANDING_BYTES = FRAME_BYTES / 2
"""The change that ends a correction refills the bucket by half a frame in the mean: it aims so much lower."""

SHORT_S = 0.1
"""Before the end of a step that is this near the next step's own change settles what is left."""

WORTH_BYTES = FRAME_BYTES / 8
"""What a change must bring to be made."""

ANOTHER_SHARE = 0.1
"""A correction under way is replaced by one that differs by more than this share of the trace's rate."""

SAME_RATE = 1.0
"""The kernel takes whole bytes a second."""

KEPT_S = 0.25
"""A link that was short for longer than this (a machine that stood still) does not make up for the rest."""

KEPT_FRAMES = 3
"""… but this much is kept however slow it is."""

LONG_STEP_S = 0.5
"""After a step this long its second is over: making up for it would only make the next one wrong, so …"""

CARRIED_SHARE = 0.002
"""… no more than half a frame, or this share of what the next second carries, is taken along."""


@dataclass
class Ledger:
    """What a link has granted, against what its trace carries."""

    rate: float
    """In force."""
    bucket_bytes: int
    tokens_bytes: float
    """In the bucket, by our reckoning."""
    ahead_bytes: float = 0.0
    """Granted beyond what the trace carries; a link that is half a frame ahead and one that is half a frame
    behind are both true, and 0 is between them."""

    def account(
        self, elapsed_s: float, sent_bytes: float, carried_bytes: float, waiting: bool, true_rate: float
    ) -> None:
        """Take in what passed between two readings, and what the trace carries between them.

        Args:
            waiting: whether frames were waiting at both.
            true_rate: the trace's, for how much is kept in mind.
        """
        tokens = max(self.tokens_bytes + self.rate * elapsed_s - sent_bytes, 0.0)
        tokens = min(tokens, self.bucket_bytes)
        self.ahead_bytes += sent_bytes + tokens - self.tokens_bytes - carried_bytes
        self.tokens_bytes = tokens
        kept = max(KEPT_S * true_rate, KEPT_FRAMES * FRAME_BYTES)
        self.ahead_bytes = min(max(self.ahead_bytes, -kept if waiting else 0.0), kept)

    def changed(self, rate: float, bucket_bytes: int) -> None:
        """The kernel has made a change: it filled the bucket."""
        self.ahead_bytes += bucket_bytes - self.tokens_bytes
        self.rate, self.bucket_bytes, self.tokens_bytes = rate, bucket_bytes, float(bucket_bytes)

    def end_step(self, duration_s: float, next_rate: float) -> None:
        """A step of this length is over; forget what the next one had better not make up for."""
        if duration_s < LONG_STEP_S:
            return
        carried = max(CARRIED_SHARE * next_rate, TOLERATED_BYTES)
        self.ahead_bytes = min(max(self.ahead_bytes, -carried), carried)

    def wanted(
        self, true_rate: float, bucket_bytes: int, left_s: float, short_step: bool, begins: bool
    ) -> float | None:
        """The rate to put in force now; None where the one in force had better stay.

        Args:
            true_rate: the trace's now.
            bucket_bytes: that a change would fill.
            left_s: until the trace's next step.
            short_step: whether the present one is so short that its rate may be far off for a moment.
            begins: whether it begins now.
        """
        refill = bucket_bytes - self.tokens_bytes
        if left_s < SHORT_S:
            return self._until_the_end(true_rate, refill, left_s, 0.0 if short_step else 1 - MOST_SHARE)
        if true_rate == 0:
            return None if self.rate == 0 else 0.0
        if abs(self.rate - true_rate) < SAME_RATE:
            return None if abs(self.ahead_bytes) <= TOLERATED_BYTES else self._correcting(true_rate, refill)
        if abs(self.ahead_bytes + refill) <= TOLERATED_BYTES:
            return true_rate
        another = self._correcting(true_rate, refill)
        return another if begins or abs(another - self.rate) > ANOTHER_SHARE * true_rate else None

    def _correcting(self, true_rate: float, refill: float) -> float:
        """The rate that sets right what there is, the refills of its two changes counted."""
        gap = self.ahead_bytes + refill + LANDING_BYTES
        most = MOST_SHARE * true_rate
        return true_rate - min(max(gap / HORIZON_S, -most), most)

    def _until_the_end(self, true_rate: float, refill: float, left_s: float, least: float) -> float | None:
        """The rate for the rest of a step whose end will settle the matter."""
        kept = self.ahead_bytes + (self.rate - true_rate) * left_s
        if abs(kept) <= WORTH_BYTES or not left_s > 0:
            return None
        rate = true_rate - (self.ahead_bytes + refill) / left_s
        rate = min(max(rate, least * true_rate), (1 + MOST_SHARE) * true_rate)
        if least == 0 and abs(self.ahead_bytes + refill - true_rate * left_s) <= TOLERATED_BYTES:
            rate = 0.0  # the refill is the frame that is due, and what may follow needs no other change
        changed = self.ahead_bytes + refill + (rate - true_rate) * left_s
        return rate if abs(changed) + WORTH_BYTES < abs(kept) else None
