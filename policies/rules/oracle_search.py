"""The search behind the oracle, compiled: all plans for a session, without those that cannot be best.

Before chunk k a plan stands at a time t of the trace, with stall S and quality Q = sum of q minus
changes so far, and a last level l. Bytes flow in the order in which they are asked for, the round trip
takes none of the trace, and all plans stream the same chunks after the same first one; so the buffer
follows from t and S, and

    plan A makes plan B needless if t_A <= t_B, S_A <= S_B and Q_A - smooth |q(l_A) - q(l_B)| >= Q_B:

with the levels that B takes from here on, A's chunks arrive no later and A has stalled no longer. What is
left of all plans is small (some thousands of 6^48), and the best of it is the best of all.

Proof: with S grows the time at which the buffer runs dry, by as much; so after the next chunk t, S and Q keep
their order, whether there is a stall or a wait down to the cap.

One thing breaks this: at its cap the player waits in whole half seconds, and the earlier plan may wait
into the later place. Hence three ways to wait (`EXACT`, `STEPS`, `STRICT`). A plan is also left out
if it cannot bring more than is had already, even with the top level to the end and no stall.
"""

from __future__ import annotations

import numpy as np

from player.compiled.compiled import compiled
from player.simulated.batch.library import Floats, Ints
from player.simulated.batch.link import NEVER, hold_ms, idle, transfer

EXACT = 0
"""Wait down to the cap exactly: no real player brings more, so the best found is a bound."""
STEPS = 1
"""Wait as the player does, and trust the rule all the same: a plan that is good, perhaps not best."""
STRICT = 2
"""Wait as the player does, and use the rule only for equals and for an A that never waits again: the best."""

SAME = 1e-9
"""Seconds and QoE that count as none: sums of the same parts in another order differ by less."""

MOST_STEPS = 4096
"""Entries of a staircase (below); what does not fit in makes the search slower and not worse."""

_MS_PER_S = 1000.0


AT, BUFFER, STALL, QUALITY, SINCE = range(5)
"""Columns of a plan's state: s in the trace, ms, s, sum of q minus changes, s that never wrap."""


@compiled
def search(
    time_s: Floats,
    bytes_per_s: Floats,
    start_index: int,
    sizes_bytes: Floats,
    q: Floats,
    mu: float,
    smooth: float,
    chunk_ms: float,
    rtt_ms: float,
    cap_ms: float,
    noise: Floats,
    prefix: Ints,
    mode: int,
    floor: float,
    slack: float,
    width: int,
) -> tuple[bool, float, Ints]:
    """The best plan that begins with `prefix`.

    Args:
        time_s, bytes_per_s: (points,) one trace, packed.
        sizes_bytes: (chunks, levels).
        noise: (chunks,) factors on the delays, or none.
        prefix: levels that are taken already, at least the first chunk's.
        mode: one of the three above.
        floor: plans that cannot bring more than this are left out.
        slack: A makes B needless even with so much less quality; what is found may then be short of
            the best by `slack` for every chunk.
        width: most plans to hold at a time.

    Returns:
        (whether the plans fitted, the sum of QoE without the first chunk's, (chunks,) levels); -inf and
        nothing of use in the levels if no plan brings more than `floor`, or they did not fit.
    """
    chunks, levels = sizes_bytes.shape
    most = width * levels
    state, new = np.empty((width, 5)), np.empty((most, 5))
    where, new_where = np.empty((width, 2), np.int64), np.empty((most, 3), np.int64)
    came_from, taken = np.empty((chunks, width), np.int32), np.empty((chunks, width), np.int16)
    stairs, heights = np.empty((levels, MOST_STEPS, 2)), np.empty(levels, np.int64)
    state[0, :] = 0.0
    state[0, AT] = time_s[start_index - 1]
    where[0, 0], where[0, 1] = start_index, prefix[0]
    plans = 1
    for chunk in range(chunks):
        left = chunks - 1 - chunk
        count = 0
        for plan in range(plans):
            for level in range(levels):
                if chunk < len(prefix) and level != prefix[chunk]:
                    continue
                index, at_s, took_s = transfer(
                    time_s,
                    bytes_per_s,
                    0,
                    len(time_s),
                    where[plan, 0],
                    state[plan, AT],
                    sizes_bytes[chunk, level],
                )
                if index == NEVER:
                    continue
                delay_ms = took_s * _MS_PER_S + rtt_ms
                if len(noise):
                    delay_ms *= noise[chunk]
                buffer_ms, stall_s, quality = state[plan, BUFFER], state[plan, STALL], state[plan, QUALITY]
                if chunk > 0:
                    stall_s += max(delay_ms - buffer_ms, 0.0) / _MS_PER_S
                    quality += q[level] - smooth * abs(q[level] - q[where[plan, 1]])
                buffer_ms = max(buffer_ms - delay_ms, 0.0) + chunk_ms
                if quality - mu * stall_s + _most_to_come(q, level, left, smooth) <= floor:
                    continue
                wait_ms = 0.0
                if left:
                    wait_ms = max(buffer_ms - cap_ms, 0.0) if mode == EXACT else hold_ms(buffer_ms, cap_ms)
                if wait_ms > 0:
                    buffer_ms = max(buffer_ms - wait_ms, 0.0)
                    index, at_s = idle(time_s, 0, len(time_s), index, at_s, wait_ms)
                new[count, AT], new[count, BUFFER] = at_s, buffer_ms
                new[count, STALL], new[count, QUALITY] = stall_s, quality
                new[count, SINCE] = state[plan, SINCE] + took_s + wait_ms / _MS_PER_S
                new_where[count, 0], new_where[count, 1], new_where[count, 2] = index, level, plan
                count += 1
        quiet_ms = cap_ms - max(left - 1, 0) * max(chunk_ms - rtt_ms, 0.0) if mode == STRICT else np.inf
        kept = _thin(new[:count], new_where[:count], q, smooth, slack, quiet_ms, stairs, heights)
        plans = len(kept)
        if plans == 0 or plans > width:
            return plans == 0, -np.inf, prefix
        for plan in range(plans):
            state[plan] = new[kept[plan]]
            where[plan] = new_where[kept[plan], :2]
            came_from[chunk, plan], taken[chunk, plan] = new_where[kept[plan], 2], new_where[kept[plan], 1]
    totals = state[:plans, QUALITY] - mu * state[:plans, STALL]
    plan = int(np.argmax(totals))
    total, found = totals[plan], np.empty(chunks, np.int64)
    for chunk in range(chunks - 1, -1, -1):
        found[chunk] = taken[chunk, plan]
        plan = came_from[chunk, plan]
    return True, total, found


@compiled
def _most_to_come(q: Floats, level: int, left: int, smooth: float) -> float:
    """No plan brings more in the `left` chunks after one at `level`: the best level to the end, no stall."""
    most = left * q[level]
    if left:
        for other in range(len(q)):
            most = max(most, left * q[other] - smooth * abs(q[other] - q[level]))
    return most


@compiled
def _thin(
    new: Floats,
    new_where: Ints,
    q: Floats,
    smooth: float,
    slack: float,
    quiet_ms: float,
    stairs: Floats,
    heights: Ints,
) -> Ints:
    """The plans that no other makes needless, the earliest first.

    A staircase for each level holds the (stall, quality) of the plans before, less what changing to this
    level costs; a step that another makes needless is taken out of it.

    Args:
        quiet_ms: only plans with no more buffer than this make others needless, but for equals.
        stairs, heights: room for the staircases.
    """
    order = np.argsort(new[:, SINCE])
    kept, plans = np.empty(len(new), np.int64), 0
    heights[:] = 0
    for one in order:
        stall_s, quality, level = new[one, STALL], new[one, QUALITY], new_where[one, 1]
        if _is_under(stairs[level], heights[level], stall_s + SAME, quality - slack - SAME):
            continue
        if new[one, BUFFER] <= quiet_ms:
            for other in range(len(q)):
                height = _add(
                    stairs[other], heights[other], stall_s, quality - smooth * abs(q[other] - q[level])
                )
                heights[other] = height
        else:
            back, equal = plans - 1, False
            while back >= 0 and not equal and new[kept[back], SINCE] >= new[one, SINCE] - SAME:
                like = kept[back]
                change = smooth * abs(q[new_where[like, 1]] - q[level])
                equal = (
                    abs(new[like, STALL] - stall_s) <= SAME and new[like, QUALITY] - change >= quality - SAME
                )
                back -= 1
            if equal:
                continue
        kept[plans] = one
        plans += 1
    return kept[:plans]


@compiled
def _steps_up_to(stair: Floats, height: int, stall_s: float) -> int:
    """How many steps have no more stall; stall and quality both rise from step to step."""
    low, high = 0, height
    while low < high:
        middle = (low + high) // 2
        if stair[middle, 0] <= stall_s:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _is_under(stair: Floats, height: int, stall_s: float, quality: float) -> bool:
    """Whether a step has no more stall and no less quality."""
    step = _steps_up_to(stair, height, stall_s)
    return step > 0 and stair[step - 1, 1] >= quality


@compiled
def _add(stair: Floats, height: int, stall_s: float, quality: float) -> int:
    """Add a step, unless one stands above it, and take out those that it stands above; the new height."""
    if _is_under(stair, height, stall_s, quality):
        return height
    place = _steps_up_to(stair, height, stall_s)
    if place > 0 and stair[place - 1, 0] == stall_s:
        place -= 1
    after = place
    while after < height and stair[after, 1] <= quality:
        after += 1
    if after == place and height == len(stair):
        return height
    grown = height - after + place + 1
    if after > place:
        for step in range(place + 1, grown):
            stair[step] = stair[step + after - place - 1]
    else:
        for step in range(height, place, -1):
            stair[step] = stair[step - 1]
    stair[place, 0], stair[place, 1] = stall_s, quality
    return grown
