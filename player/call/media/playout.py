"""Playout: when a decoded frame is seen.

The jitter buffer holds frames until a delay after their capture: the mean delay of frames and so many mean
deviations of it, both exponentially forgotten (Ramjee, Kurose, Towsley, Schulzrinne, "Adaptive playout
mechanisms for packetized audio applications", INFOCOM 1994, algorithm 1). A frame that comes later is seen at
once, unless the next one is to be seen at the same moment: then nobody sees it."""

from __future__ import annotations

from player.call.media.receiver_state import Record, Ring
from player.compiled.compiled import compiled


@compiled
def show(r: Record, shown: Ring, captured_s: float, now_s: float) -> None:
    """A frame is decoded now: note when it will be seen."""
    _learn(r, now_s - captured_s)
    at_s = max(now_s, captured_s + buffer_s(r))
    if r.pending:
        at_s = max(at_s, r.pending_s)
        if at_s > r.pending_s:
            _see(r, shown)
        else:
            r.overtaken += 1
    r.pending, r.pending_s, r.pending_captured_s = 1, at_s, captured_s


@compiled
def buffer_s(r: Record) -> float:
    """How long after its capture a frame is seen, if it comes in time."""
    wanted_s = r.delay_mean_s + r.deviations * r.delay_deviation_s
    return min(max(wanted_s, r.playout_min_s), r.playout_max_s)


@compiled
def _learn(r: Record, delay_s: float) -> None:
    if not r.delays_known:
        r.delays_known, r.delay_mean_s = 1, delay_s
        return
    r.delay_mean_s += r.memory * (delay_s - r.delay_mean_s)
    r.delay_deviation_s += r.memory * (abs(delay_s - r.delay_mean_s) - r.delay_deviation_s)


@compiled
def _see(r: Record, shown: Ring) -> None:
    if r.shown < len(shown):
        shown[r.shown].at_s, shown[r.shown].captured_s = r.pending_s, r.pending_captured_s
        r.shown += 1


@compiled
def end(r: Record, shown: Ring, now_s: float) -> None:
    """The call ends: the frame that was to be shown is seen if it was due."""
    if r.pending and r.pending_s <= now_s:
        _see(r, shown)
        r.pending = 0
