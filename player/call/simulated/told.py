"""What happened in a simulated call, as the rows of its record."""

from __future__ import annotations

from typing import Any

import numpy as np

from player.call.media.receiver_state import DELAY_BINS
from player.call.record import CallEnd, SecondRow
from player.call.simulated.batch import SimulatedCalls
from player.record import FINISHED


def seconds_of(calls: SimulatedCalls, n: int) -> list[SecondRow]:
    """The seconds of call `n` of a batch that is finished."""
    return second_rows(
        calls.sender.seconds[n],
        calls.receiver.seconds[n],
        calls.receiver.shown[n][: int(calls.receiver.record[n]["shown"])],
    )


def second_rows(sent: Any, came: Any, shown: Any) -> list[SecondRow]:
    """Rows from what the two ends counted.

    Args:
        sent: (seconds,) of SENT_SECOND.
        came: (seconds,) of ARRIVED_SECOND.
        shown: (frames,) of SHOWN.
    """
    last = len(sent) - 1
    place = np.minimum(shown["at_s"].astype(np.int64), last)
    edges = np.searchsorted(place, np.arange(len(sent) + 1))
    rows = []
    for second in range(len(sent)):
        seen = shown[edges[second] : edges[second + 1]]
        mine, theirs = sent[second], came[second]
        packets = int(theirs["packets"])
        rows.append(
            SecondRow(
                second=second,
                sent_packets=int(mine["packets"]),
                sent_bytes=int(mine["bytes"]),
                **{name: int(mine[name]) for name in _SENT},
                **{name: int(theirs[name]) for name in _CAME},
                delay_mean_ms=1000.0 * float(theirs["delay_sum_s"]) / packets if packets else None,
                delay_least_ms=1000.0 * float(theirs["delay_least_s"]) if packets else None,
                delay_most_ms=1000.0 * float(theirs["delay_most_s"]) if packets else None,
                shown_s=seen["at_s"].tolist(),
                captured_s=seen["captured_s"].tolist(),
            )
        )
    return rows


_SENT = ("resent_packets", "padding_bytes", "frames", "key_frames", "frames_dropped")
_CAME = ("packets", "bytes", "media_bytes", "missed")


def end_of(calls: SimulatedCalls, n: int, decisions: int) -> CallEnd:
    """How call `n` of a batch ended, which is at the end of its time."""
    return end_row(
        calls.receiver.record[n], calls.receiver.delays[n], FINISHED, "", calls.call.duration_s, decisions
    )


def end_row(
    receiver: Any, delays: Any, outcome: str, reason: str, elapsed_s: float, decisions: int, **more: Any
) -> CallEnd:
    """The last row, from what the receiver knows.

    Args:
        receiver: of RECEIVER.
        delays: (DELAY_BINS,) packets by one-way delay.
        more: what an emulated call knows besides, by the row's names.
    """
    least_ms, *quantiles_ms = (_at_share_ms(delays, share) for share in (0.0, 0.50, 0.95, 0.99))
    return CallEnd(
        outcome=outcome,
        reason=reason,
        elapsed_s=elapsed_s,
        decisions=decisions,
        frames_decoded=int(receiver["decoded"]),
        frames_given_up=int(receiver["given_up"]),
        frames_overtaken=int(receiver["overtaken"]),
        delay_least_ms=least_ms,
        delay_p50_ms=quantiles_ms[0],
        delay_p95_ms=quantiles_ms[1],
        delay_p99_ms=quantiles_ms[2],
        **more,
    )


def _at_share_ms(delays: Any, share: float) -> float | None:
    """The millisecond in which the delay lies that so many are not longer than; None: none is known."""
    known = int(delays.sum())
    if not known:
        return None
    place = int(np.searchsorted(np.cumsum(delays), max(share * known, 1.0)))
    return float(min(place, DELAY_BINS - 1))
