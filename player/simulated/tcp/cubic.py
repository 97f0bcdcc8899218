"""Congestion control as Linux has it: CUBIC (RFC 9438) with HyStart [net/ipv4/tcp_cubic.c].

Windows are in segments, whole as in the kernel, because its integer divisions decide how fast a small
window grows.
"""

from __future__ import annotations

from player.compiled.compiled import compiled
from player.simulated.tcp.state import NEVER, Record

BETA = 717
"""Of 1024: what is left of the window after a loss."""
BETA_ONE = 1024
C = 0.4
"""Segments per second cubed."""
RENO_ACKS = 15
"""Of 8: ACKs per segment of window that Reno's growth takes for CUBIC's beta [beta_scale]."""

HYSTART_WINDOW = 16
HYSTART_SAMPLES = 8
HYSTART_TRAIN_S = 0.002
HYSTART_LEAST_S, HYSTART_MOST_S = 0.004, 0.016
"""Delay above the least by which slow start ends: an eighth of it, within these."""
HYSTART_PATIENCE_S = 1.0
"""After growth began anew, so long no delay counts."""

SAME_WINDOW_S = 7 / 250
"""The growth of an unchanged window is not worked out more often [HZ / 32, at HZ 250]."""


@compiled
def forget(c: Record, now_s: float) -> None:
    """After a timeout [bictcp_reset, bictcp_hystart_reset]."""
    c.count = c.acks = c.last_max = c.origin = c.last_window = c.reno_window = c.found = 0
    c.k_s = c.target_time_s = 0.0
    c.delay_min_s = NEVER
    c.epoch_s = -1.0
    begin_round(c, now_s)


@compiled
def begin_round(c: Record, now_s: float) -> None:
    """HyStart looks at rounds of one window [bictcp_hystart_reset]."""
    c.round_start_s = c.train_s = now_s
    c.round_end = c.next_new
    c.round_rtt_s = NEVER
    c.samples = 0


@compiled
def after_loss(c: Record) -> int:
    """The new threshold [bictcp_recalc_ssthresh]."""
    c.epoch_s = -1.0
    if c.window < c.last_max:  # fast convergence
        c.last_max = c.window * (BETA_ONE + BETA) // (2 * BETA_ONE)
    else:
        c.last_max = c.window
    return max(c.window * BETA // BETA_ONE, 2)


@compiled
def begin_again(c: Record, now_s: float) -> None:
    """Sending goes on after a pause, which is no time of growth [CA_EVENT_TX_START]."""
    if c.epoch_s >= 0.0 and now_s > c.last_sent_s:
        c.epoch_s = min(c.epoch_s + now_s - c.last_sent_s, now_s)


@compiled
def hear_delay(c: Record, now_s: float, delay_s: float) -> None:
    """A round trip was measured [cubictcp_acked]; HyStart may end slow start."""
    if c.epoch_s >= 0.0 and now_s - c.epoch_s < HYSTART_PATIENCE_S:
        return
    c.delay_min_s = min(c.delay_min_s, delay_s)
    if c.found == 0 and c.window < c.threshold:
        _hystart(c, now_s, delay_s)


@compiled
def _hystart(c: Record, now_s: float, delay_s: float) -> None:
    if c.first_unacked > c.round_end:
        begin_round(c, now_s)
    if c.window < HYSTART_WINDOW:
        return
    if now_s - c.train_s <= HYSTART_TRAIN_S:
        c.train_s = now_s
        if now_s - c.round_start_s > c.delay_min_s / 2:
            c.found = 1
            c.threshold = c.window
    c.round_rtt_s = min(c.round_rtt_s, delay_s)
    if c.samples < HYSTART_SAMPLES:
        c.samples += 1
    elif c.round_rtt_s > c.delay_min_s + min(max(c.delay_min_s / 8, HYSTART_LEAST_S), HYSTART_MOST_S):
        c.found = 1
        c.threshold = c.window


@compiled
def grow(c: Record, now_s: float, acked: int) -> None:
    """So many more segments have arrived [cubictcp_cong_avoid]."""
    if not c.window_limited and not (c.window < c.threshold and c.window < 2 * c.window_peak):
        return
    if c.window < c.threshold:
        before = c.window
        c.window = min(before + acked, c.threshold)
        acked -= c.window - before
        if acked == 0:
            return
    _update(c, now_s, acked)
    if c.window_count >= c.count:
        c.window_count = 0
        c.window += 1
    c.window_count += acked
    if c.window_count >= c.count:
        more = c.window_count // c.count
        c.window_count -= more * c.count
        c.window += more


@compiled
def _update(c: Record, now_s: float, acked: int) -> None:
    """How many ACKs the next segment of window takes [bictcp_update]."""
    c.acks += acked
    if c.last_window == c.window and now_s - c.target_time_s <= SAME_WINDOW_S:
        return
    c.last_window, c.target_time_s = c.window, now_s
    if c.epoch_s < 0.0:
        c.epoch_s = now_s
        c.acks = acked
        c.reno_window = c.window
        if c.last_max <= c.window:
            c.k_s, c.origin = 0.0, c.window
        else:
            c.k_s, c.origin = ((c.last_max - c.window) / C) ** (1 / 3), c.last_max
    off_s = now_s - c.epoch_s + min(c.delay_min_s, HYSTART_PATIENCE_S) - c.k_s
    moved = int(C * abs(off_s) ** 3)
    target = c.origin + (moved if off_s >= 0.0 else -moved)
    c.count = c.window // (target - c.window) if target > c.window else 100 * c.window
    if c.last_max == 0 and c.count > 20:
        c.count = 20
    per_segment = (c.window * RENO_ACKS) >> 3
    while c.acks > per_segment:
        c.acks -= per_segment
        c.reno_window += 1
    if c.reno_window > c.window:
        c.count = min(c.count, c.window // (c.reno_window - c.window))
    c.count = max(c.count, 2)
