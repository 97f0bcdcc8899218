"""What a receiver's loop shares with the rest of its process: arrays that both look at while it runs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from player.call.settings import CallSettings
from testbed.calling.ends.lateness import BINS

CONTROL = np.dtype(
    [(name, np.float64) for name in ("duration_s", "feedback_s")]
    + [
        (name, np.int64)
        for name in (
            "t0_ns",  # monotonic
            "stop",  # 1: end now
            "over",  # 1: it has ended
            "reports",  # made, and left out while it was away
            "reports_sent",
            "requests_sent",
            "refused",  # not taken by the kernel
            "packets",  # of media that came, also after the call's end
            "bytes",
            "strange",  # datagrams that are none of ours
        )
    ]
)


class ReceiverBox(NamedTuple):
    """Made by `new_box`."""

    control: Any
    """(1,) of CONTROL."""
    late: NDArray[np.int64]
    """(BINS,) reports by how late they left."""
    most_late_s: NDArray[np.float64]


def new_box(call: CallSettings) -> ReceiverBox:
    """Before the call."""
    control = np.zeros(1, CONTROL)
    control["duration_s"], control["feedback_s"] = call.duration_s, call.feedback_ms / 1000.0
    return ReceiverBox(control, np.zeros(BINS, np.int64), np.zeros(1))
