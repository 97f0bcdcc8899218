"""The target: the rate by delay, held down by loss, by a very long round trip, and by 8 % a second.

As WebRTC's `send_side_bandwidth_estimation.cc` with its classic loss controller, which is the draft's of
section 6 with a factor of 1.08 in place of 1.05, applied to the least target of the last second. Chromium's
default today is `loss_based_bwe_v2.cc`, a likelihood model of some 40 constants, which is not here: on links
that lose nothing but by full queues both follow the rate by delay.

In the first two seconds, as long as nothing is lost, the target follows the rate by delay at once, so that
probes show.
"""

from __future__ import annotations

import math

from player.call.gcc.aimd import CLOSED_KBPS
from player.call.gcc.filled import fill
from player.call.gcc.state import HISTORY_MOST, Floats
from player.compiled.compiled import compiled

LOW_LOSS, HIGH_LOSS = 0.02, 0.10
"""WebRTC and draft: up to the first the target may rise, over the second it falls."""
INCREASE, INCREASE_KBPS = 1.08, 1.0
"""WebRTC; the draft's factor is 1.05, and nothing is added."""
INCREASE_OVER_S = 1.0
"""WebRTC `kBweIncreaseInterval`."""
DECREASE_SHARE = 0.5
"""WebRTC and draft: of the loss."""
DECREASE_WAIT_S = 0.300
"""WebRTC `kBweDecreaseInterval`, and an RTT with it."""
START_PHASE_S = 2.0
"""WebRTC `kStartPhase`."""
PACKETS_NEEDED = 20
"""WebRTC `kLimitNumPackets`: for a loss ratio."""
REPORT_S = 1.0
"""WebRTC `kLossUpdateInterval`, which is how often RTCP reports of video come."""
REPORT_VALID_S = 6.0
"""WebRTC: 1.2 x `kMaxRtcpFeedbackInterval`."""
LOSS_STEPS = 256.0
"""WebRTC keeps the ratio as RTCP does, in a byte."""
RTT_LIMIT_S, RTT_DROP, RTT_DROP_S, RTT_FLOOR_KBPS = 3.0, 0.8, 1.0, 5.0
"""WebRTC `RttBasedBackoff`: over the limit to 0.8 each second."""

(
    TARGET_KBPS,
    DELAY_LIMIT_KBPS,
    LEAST_KBPS,
    MOST_KBPS,
    FELL_S,
    FIRST_REPORT_S,
    REPORT_AT_S,
    RATIO,
    HAS_FALLEN,
    EXPECTED,
    LOST,
    NEXT_REPORT_S,
    RTT_S,
    RTT_AT_S,
    HISTORY_FIRST,
    HISTORY_COUNT,
) = range(16)
"""Places in a row of `GccState.loss`; a time that has not been yet is -inf, RTT_AT_S inf."""

_PRECISION_S = 0.001


@compiled
def begin_loss(loss: Floats, start_kbps: float, min_kbps: float, max_kbps: float) -> None:
    """A call begins at so many kbit/s."""
    fill(loss, 0.0)
    loss[TARGET_KBPS] = start_kbps
    loss[DELAY_LIMIT_KBPS] = math.inf
    loss[LEAST_KBPS] = max(min_kbps, CLOSED_KBPS)
    loss[MOST_KBPS] = max(max_kbps, loss[LEAST_KBPS])
    loss[FELL_S] = -math.inf
    loss[FIRST_REPORT_S] = -math.inf
    loss[REPORT_AT_S] = -math.inf
    loss[NEXT_REPORT_S] = -math.inf
    loss[RTT_AT_S] = math.inf


@compiled
def _set_target(loss: Floats, kbps: float) -> None:
    kbps = min(kbps, min(loss[DELAY_LIMIT_KBPS], loss[MOST_KBPS]))
    loss[TARGET_KBPS] = max(kbps, loss[LEAST_KBPS])


@compiled
def set_probed(loss: Floats, kbps: float) -> None:
    """A probe measured so much: the target is that, whatever it was in the last second."""
    loss[DELAY_LIMIT_KBPS] = math.inf
    _set_target(loss, kbps)
    loss[HISTORY_COUNT] = 0.0


@compiled
def set_delay_limit(loss: Floats, kbps: float) -> None:
    """The rate by delay is so much now."""
    loss[DELAY_LIMIT_KBPS] = kbps
    _set_target(loss, loss[TARGET_KBPS])


@compiled
def expect_rtt(loss: Floats, now_s: float) -> None:
    """Packets have been sent: from the first on it is known how long nothing has been heard."""
    if loss[RTT_AT_S] == math.inf:
        loss[RTT_AT_S] = now_s


@compiled
def set_rtt(loss: Floats, rtt_s: float, now_s: float) -> None:
    """The shortest round trip of a feedback's packets, without the time that the receiver held them."""
    loss[RTT_S] = rtt_s
    loss[RTT_AT_S] = now_s


@compiled
def report_packets(loss: Floats, packets: float, lost: float, now_s: float) -> None:
    """A feedback told of so many packets; once a second the loss ratio is made of all since."""
    loss[EXPECTED] += packets
    loss[LOST] += lost
    if now_s <= loss[NEXT_REPORT_S]:
        return
    loss[NEXT_REPORT_S] = now_s + REPORT_S
    if loss[FIRST_REPORT_S] == -math.inf:
        loss[FIRST_REPORT_S] = now_s
    if loss[EXPECTED] < PACKETS_NEEDED:
        return
    loss[HAS_FALLEN] = 0.0
    loss[RATIO] = min(math.floor(LOSS_STEPS * loss[LOST] / loss[EXPECTED]), LOSS_STEPS - 1.0) / LOSS_STEPS
    loss[EXPECTED] = 0.0
    loss[LOST] = 0.0
    loss[REPORT_AT_S] = now_s


@compiled
def is_rtt_over(loss: Floats, last_sent_s: float) -> bool:
    """Whether the round trip, with the time that packets have been sent into silence, is over its limit."""
    silent_s = max(last_sent_s - loss[RTT_AT_S], 0.0)
    return silent_s + loss[RTT_S] > RTT_LIMIT_S


@compiled
def _remember(loss: Floats, history: Floats, now_s: float) -> None:
    """Keep the targets of the last second that no later one is below: the first is the least."""
    target_kbps = loss[TARGET_KBPS]
    while loss[HISTORY_COUNT] > 0.0:
        first = int(loss[HISTORY_FIRST])
        if now_s - history[first, 0] + _PRECISION_S <= INCREASE_OVER_S and loss[HISTORY_COUNT] < HISTORY_MOST:
            break
        loss[HISTORY_FIRST] = (first + 1) % HISTORY_MOST
        loss[HISTORY_COUNT] -= 1.0
    while loss[HISTORY_COUNT] > 0.0:
        last = (int(loss[HISTORY_FIRST]) + int(loss[HISTORY_COUNT]) - 1) % HISTORY_MOST
        if target_kbps > history[last, 1]:
            break
        loss[HISTORY_COUNT] -= 1.0
    at = (int(loss[HISTORY_FIRST]) + int(loss[HISTORY_COUNT])) % HISTORY_MOST
    history[at, 0] = now_s
    history[at, 1] = target_kbps
    loss[HISTORY_COUNT] += 1.0


@compiled
def _is_in_start_phase(loss: Floats, now_s: float) -> bool:
    return loss[FIRST_REPORT_S] == -math.inf or now_s - loss[FIRST_REPORT_S] < START_PHASE_S


@compiled
def _by_loss(loss: Floats, least_kbps: float, now_s: float) -> None:
    if loss[RATIO] <= LOW_LOSS:
        _set_target(loss, least_kbps * INCREASE + INCREASE_KBPS)
    elif (
        loss[RATIO] > HIGH_LOSS
        and loss[HAS_FALLEN] == 0.0
        and now_s - loss[FELL_S] >= DECREASE_WAIT_S + loss[RTT_S]
    ):
        loss[FELL_S] = now_s
        loss[HAS_FALLEN] = 1.0
        _set_target(loss, loss[TARGET_KBPS] * (1.0 - DECREASE_SHARE * loss[RATIO]))
    else:
        _set_target(loss, loss[TARGET_KBPS])


@compiled
def update_target(loss: Floats, history: Floats, last_sent_s: float, now_s: float) -> None:
    """Once each feedback interval, whether one came or not (WebRTC: each 25 ms).

    Args:
        last_sent_s: when the newest packet was sent.
    """
    if is_rtt_over(loss, last_sent_s):
        if now_s - loss[FELL_S] >= RTT_DROP_S and loss[TARGET_KBPS] > RTT_FLOOR_KBPS:
            loss[FELL_S] = now_s
            _set_target(loss, max(loss[TARGET_KBPS] * RTT_DROP, RTT_FLOOR_KBPS))
        else:
            _set_target(loss, loss[TARGET_KBPS])
        return
    if loss[RATIO] == 0.0 and _is_in_start_phase(loss, now_s):
        limit_kbps = loss[DELAY_LIMIT_KBPS]
        if math.isfinite(limit_kbps) and limit_kbps > loss[TARGET_KBPS]:
            history[0, 0] = now_s
            history[0, 1] = loss[TARGET_KBPS]
            loss[HISTORY_FIRST] = 0.0
            loss[HISTORY_COUNT] = 1.0
            _set_target(loss, limit_kbps)
            return
    _remember(loss, history, now_s)
    if now_s - loss[REPORT_AT_S] < REPORT_VALID_S:
        _by_loss(loss, history[int(loss[HISTORY_FIRST]), 1], now_s)
    else:
        _set_target(loss, loss[TARGET_KBPS])
