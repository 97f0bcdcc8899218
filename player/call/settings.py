"""What a call is asked to be, its path apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

from player.call.checks import CallError, expect
from player.call.packets import MOST_PACKETS, PAYLOAD_BYTES

LONGEST_S = 3600.0
"""The wire counts microseconds since the call began in 32 bits, which are over after 71 minutes."""

MOST_KBPS = 50_000.0
"""Above it a frame is no longer a few dozen packets, and this media model was fitted to none like it."""

_MOST_OVER_MEAN = 2.0
"""No frame is larger than so many times the mean of its kind; the largest measured was 1.4."""


@dataclass(frozen=True)
class CallSettings:
    """A call. Where nothing else is said, a figure is that of `docs/calls.md`, with its source.

    Raises:
        CallError: a figure that makes no call.
    """

    duration_s: float = 60.0
    fps: float = 25.0
    min_kbps: float = 80.0
    start_kbps: float = 300.0
    max_kbps: float = 2500.0
    """The encoder's target lies between these two. Rates are of datagrams' payload, our header in it."""
    feedback_ms: float = 50.0
    """The receiver reports so often."""
    decide_every_ms: float = 200.0
    """A policy that doesn't act on every feedback is asked so often; a multiple of `feedback_ms`."""
    key_every_s: float = 10.0
    """Between key frames; 0: one at the beginning, others on request only."""
    size_cv: float = 0.062
    """Coefficient of variation of the sizes of frames that are no key frames."""
    key_ratio: float = 3.5
    """Size of a key frame over that of another."""
    key_payback: float = 0.3
    """Later frames are smaller by this share of their budget until they have paid for a key frame's size."""
    lag_down_frames: float = 5.75
    lag_up_frames: float = 20.0
    """Time constant with which sizes follow a target that falls, or rises. These five are x264's, fitted by
    `python -m player.call.encoder_fit`; `encoder_fit/x264.json` has every run."""
    pacing: float = 1.1
    start_pacing: float = 2.5
    """The pacer's rate over the target, after and within the call's first `start_s`."""
    start_s: float = 2.0
    pacer_limit_ms: float = 500.0
    """A frame is not encoded when the pacer holds more than what it sends in this time."""
    nack_tries: int = 3
    """A packet is sent again so often at most."""
    nack_again_ms: float = 100.0
    """It is asked for again after this time; the sender heeds that once a round trip (WebRTC's
    kDefaultRtt)."""
    give_up_s: float = 1.0
    """A frame that is missed for so long is given up, and a key frame is asked for."""
    playout_min_ms: float = 0.0
    playout_max_ms: float = 500.0
    """Bounds of the jitter buffer's delay, from a frame's capture; equal: no adaptive one."""
    playout_deviations: float = 4.0
    """The buffer holds the mean delay of frames and so many mean deviations of it."""
    playout_memory_frames: float = 50.0
    """Frames that these two means remember."""
    warm_up_s: float = 5.0
    """Left out of scores, at the beginning."""

    def __post_init__(self) -> None:
        expect("duration", self.duration_s, 1.0, LONGEST_S, "s")
        expect("fps", self.fps, 1.0, 120.0)
        expect("min_kbps", self.min_kbps, 1.0, MOST_KBPS, "kbit/s")
        expect("max_kbps", self.max_kbps, self.min_kbps, MOST_KBPS, "kbit/s")
        expect("start_kbps", self.start_kbps, self.min_kbps, self.max_kbps, "kbit/s")
        expect("feedback_ms", self.feedback_ms, 10.0, 1000.0, "ms")
        expect("decide_every_ms", self.decide_every_ms, self.feedback_ms, 10_000.0, "ms")
        expect("key_every_s", self.key_every_s, 0.0, LONGEST_S, "s")
        expect("size_cv", self.size_cv, 0.0, 1.0)
        expect("key_ratio", self.key_ratio, 1.0, 20.0)
        expect("key_payback", self.key_payback, 0.0, 1.0)
        expect("lag_down_frames", self.lag_down_frames, 0.0, 1000.0)
        expect("lag_up_frames", self.lag_up_frames, 0.0, 1000.0)
        self._check_transport()
        self._check_playout()
        if not math.isclose(self.intervals_a_decision * self.feedback_ms, self.decide_every_ms):
            raise CallError(
                f"call: decide_every_ms {self.decide_every_ms:g}; expected a multiple of feedback_ms,"
                f" {self.feedback_ms:g}"
            )
        if self._largest_frame_packets > MOST_PACKETS:
            raise CallError(
                f"call: a key frame of up to {self._largest_frame_packets} packets; the wire counts to"
                f" {MOST_PACKETS}. Lower max_kbps or key_ratio, or raise fps"
            )

    def _check_transport(self) -> None:
        expect("pacing", self.pacing, 1.0, 100.0)
        expect("start_pacing", self.start_pacing, 1.0, 100.0)
        expect("start_s", self.start_s, 0.0, LONGEST_S, "s")
        expect("pacer_limit_ms", self.pacer_limit_ms, 40.0, 10_000.0, "ms")
        expect("nack_tries", self.nack_tries, 0, 10)
        expect("nack_again_ms", self.nack_again_ms, 10.0, 10_000.0, "ms")
        expect("give_up_s", self.give_up_s, 0.05, 60.0, "s")

    def _check_playout(self) -> None:
        expect("playout_min_ms", self.playout_min_ms, 0.0, 10_000.0, "ms")
        expect("playout_max_ms", self.playout_max_ms, self.playout_min_ms, 10_000.0, "ms")
        expect("playout_deviations", self.playout_deviations, 0.0, 100.0)
        expect("playout_memory_frames", self.playout_memory_frames, 1.0, 10_000.0)
        if not 0 <= self.warm_up_s <= self.duration_s - 1.0:
            raise CallError(
                f"call: warm_up_s {self.warm_up_s:g} of {self.duration_s:g} s; leave a second to score"
            )

    @property
    def intervals_a_decision(self) -> int:
        """Feedback intervals between two questions to a policy."""
        return max(round(self.decide_every_ms / self.feedback_ms), 1)

    @property
    def intervals(self) -> int:
        """Feedback intervals of the call; what is left over at its end is none."""
        return math.floor(self.duration_s * 1000.0 / self.feedback_ms + 1e-9)

    @property
    def scored_from_s(self) -> int:
        """Whole seconds are scored: from this one on."""
        return math.ceil(self.warm_up_s - 1e-9)

    @property
    def frames(self) -> int:
        """Frames that are captured: one at 0, the next 1/fps later."""
        return math.ceil(self.duration_s * self.fps - 1e-9)

    @property
    def mean_frame_bytes(self) -> float:
        """Of the highest target."""
        return self.max_kbps * 1000.0 / 8.0 / self.fps

    @property
    def _largest_frame_packets(self) -> int:
        return math.ceil(self.mean_frame_bytes * self.key_ratio * _MOST_OVER_MEAN / PAYLOAD_BYTES)


def usual_warm_up_s(duration_s: float) -> float:
    """What is left out of scores where nobody says: half of a call that is too short for the usual."""
    return min(CallSettings.warm_up_s, duration_s / 2)
