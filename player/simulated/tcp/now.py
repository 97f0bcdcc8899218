"""What the trace says besides the rate: the delay and loss that are in force now.

The link's own place in the trace runs ahead of the clock, since a frame's departure is computed when it
comes. Delay and loss meet a frame when it enters the path, so they have a place of their own.
"""

from __future__ import annotations

from player.compiled.compiled import compiled
from player.simulated.batch.library import Floats
from player.simulated.tcp.state import Record

DICE_FACTOR, DICE_STEP, DICE_BITS = 0x5DEECE66D, 0xB, 48
"""POSIX's drand48."""


@compiled
def follow(c: Record, time_s: Floats, delay_s: Floats, loss: Floats, now_s: float) -> None:
    """Bring delay and loss up to `now_s`; a caller that sets the clock back may go back, too.

    Args:
        delay_s, loss: (points,) as `time_s`, seconds and shares; of no length where the trace has none.
    """
    if len(delay_s) == 0 and len(loss) == 0:
        return
    while now_s >= c.begun_s + time_s[c.now_interval]:
        c.now_interval += 1
        if c.now_interval >= len(time_s):
            c.now_interval = 1
            c.begun_s += time_s[-1]
    while now_s < c.begun_s + time_s[c.now_interval - 1]:
        c.now_interval -= 1
        if c.now_interval < 1:
            c.now_interval = len(time_s) - 1
            c.begun_s -= time_s[-1]
    if len(delay_s):
        c.varying = 1
        c.added_s = delay_s[c.now_interval]
    if len(loss):
        c.lost_share = 1.0 - (1.0 - c.asked_loss) * (1.0 - loss[c.now_interval])


@compiled
def through_uplink_s(c: Record, now_s: float) -> float:
    """When what enters the uplink at `now_s` has passed it; nothing overtakes what entered before."""
    due_s = now_s + (c.rtt_s + c.added_s)
    if c.varying:
        due_s = c.uplink_s = max(due_s, c.uplink_s)
    return due_s


@compiled
def is_lost(c: Record) -> bool:
    """Draw a frame's fate; where no loss is in force nothing is drawn."""
    if c.lost_share <= 0.0:
        return False
    c.dice = (c.dice * DICE_FACTOR + DICE_STEP) & ((1 << DICE_BITS) - 1)
    return c.dice < c.lost_share * (1 << DICE_BITS)
