"""What a sender's loop shares with the rest of its process: arrays that both look at while it runs.

The loop (`sending.py`) writes feedback and decisions, whoever decides (`deciding.py`) writes answers, and who
reports (`sender.py`) reads. A count is written after what it counts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from player.call.feedback_batch import FeedbackBatch, room_for_feedback
from player.call.media.facts import FIELDS
from player.call.packets import MOST_REPORTED
from player.call.settings import CallSettings
from testbed.calling.ends.lateness import BINS

ROWS = 64
"""Feedbacks that a policy may be behind: 3.2 s of them at 50 ms."""
DECISIONS = 4096
"""That may wait to be reported: 200 s of a rule that acts on every feedback at 50 ms."""

CONTROL = np.dtype(
    [(name, np.float64) for name in ("duration_s", "feedback_s", "min_kbps", "max_kbps", "asked_s", "miss_s")]
    + [
        (name, np.int64)
        for name in (
            "t0_ns",  # monotonic
            "stop",  # 1: end now
            "over",  # 1: it has ended
            "inline",  # 1: GCC itself decides, in the loop
            "probes",  # 1: and it sends probes in the beginning
            "held",  # 1: rates hold over several feedbacks, so that overuse may cut them
            "every",  # feedbacks between two questions
            "told",  # eventfd that says that feedback is here
            "captures",
            "feedbacks",  # in `facts` and `feedback`
            "reports",  # number of the one that is due next
            "asked",  # feedback with which it was asked last; -1: never
            "open",  # 1: it has not been answered
            "answers",  # number of the last one that was heard
            "decisions",
            "packets",  # handed to the kernel
            "bytes",
            "refused",  # not taken by the kernel
            "reports_heard",
            "requests_heard",
            "strange",  # datagrams that are none of ours
        )
    ]
)

ANSWER = np.dtype(
    [
        ("kbps", np.float64),  # NaN: the policy has not decided
        ("probe_kbps", np.float64),
        ("question", np.int64),
        ("number", np.int64),
    ]
)

DECISION = np.dtype(
    [(name, np.float64) for name in ("at_s", "kbps", "shadow_kbps", "asked_s")]
    + [(name, np.int64) for name in ("question", "by")]
)


class SenderBox(NamedTuple):
    """Made by `new_box`."""

    control: Any
    """(1,) of CONTROL."""
    answer: Any
    """(1,) of ANSWER."""
    decisions: Any
    """(DECISIONS,) of DECISION; number n at `n % DECISIONS`."""
    facts: NDArray[np.float64]
    """(ROWS, FIELDS)."""
    feedback: FeedbackBatch
    """(ROWS, …)."""
    shadow_kbps: NDArray[np.float64]
    """(1,) what GCC would send, within the call's bounds."""
    late: NDArray[np.int64]
    """(BINS,) packets by how late they left."""
    most_late_s: NDArray[np.float64]


def new_box(call: CallSettings, every: int, inline: bool, told: int) -> SenderBox:
    """Before the call.

    Args:
        every: feedbacks between two questions.
        inline: GCC itself decides.
        told: eventfd that says that feedback is here.
    """
    control = np.zeros(1, CONTROL)
    control["duration_s"], control["feedback_s"] = call.duration_s, call.feedback_ms / 1000.0
    control["min_kbps"], control["max_kbps"] = call.min_kbps, call.max_kbps
    control["every"], control["inline"], control["told"] = every, inline, told
    control["held"], control["asked"] = every > 1, -1
    answer = np.zeros(1, ANSWER)
    answer["question"] = -1
    return SenderBox(
        control,
        answer,
        np.zeros(DECISIONS, DECISION),
        np.zeros((ROWS, FIELDS)),
        room_for_feedback(ROWS, MOST_REPORTED),
        np.full(1, call.start_kbps),
        np.zeros(BINS, np.int64),
        np.zeros(1),
    )
