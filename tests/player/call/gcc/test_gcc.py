"""The whole rule over links: what it reaches, how fast it gives way, what an outage does to it."""

from __future__ import annotations

import numpy as np
import pytest

from player.call.gcc import gcc
from player.call.gcc.state import new_state
from tests.support.constant_call import PAYLOAD_BYTES, WIRE_BYTES, ConstantCall

PAYLOAD_SHARE = PAYLOAD_BYTES / WIRE_BYTES


def played(call: ConstantCall, duration_s: float, may_probe: bool = True) -> np.ndarray:
    """Targets, one each 50 ms, kbit/s."""
    call.run(gcc, new_state(1), duration_s, may_probe)
    return np.array(call.targets_kbps)


@pytest.mark.parametrize("jitter_s", [0.0, 0.002])
@pytest.mark.parametrize("mbps", [1.0, 1.5, 2.0, 3.0])
def test_a_constant_link_is_used_without_loss_or_queue(mbps: float, jitter_s: float) -> None:
    """At 2 Mbit/s a saturated link spaces frames just under the 5 ms of a burst."""
    call = ConstantCall([(0.0, mbps)], int(mbps * 25_000), jitter_s=jitter_s, max_kbps=4000.0)
    share = played(call, 60.0)[400:] / (1000 * mbps * PAYLOAD_SHARE)
    assert 0.80 <= share.mean() <= 0.98
    assert np.percentile(call.queue_delays_s(20.0), 95) < 0.060
    assert call.lost == 0


def test_probes_find_the_link_within_half_a_second_and_without_them_it_takes_ten() -> None:
    quick = played(ConstantCall([(0.0, 2.0)]), 15.0)
    slow = played(ConstantCall([(0.0, 2.0)]), 15.0, may_probe=False)
    assert quick[9] > 1500 and slow[9] < 400
    assert np.argmax(slow > 1500) * 0.05 > 5.0 or slow.max() < 1500


def test_a_link_of_half_the_rate_is_given_way_to_within_a_second() -> None:
    call = ConstantCall([(0.0, 2.0), (30.0, 1.0)], 50_000)
    targets = played(call, 45.0)
    assert targets[595] > 1500
    assert targets[600:620].min() < 1000 * PAYLOAD_SHARE
    later = np.array([p.arrived_s - p.sent_s - 0.04 for p in call.packets if p.sent_s > 35.0])
    assert np.percentile(later, 95) < 0.060


def test_it_comes_back_when_the_rate_does() -> None:
    targets = played(ConstantCall([(0.0, 2.0), (20.0, 1.0), (30.0, 2.0)], 50_000), 60.0)
    assert targets[590] < 1000 and targets[1000:].max() > 1600


def test_a_dark_link_is_not_filled_and_is_used_again_within_seconds() -> None:
    call = ConstantCall([(0.0, 2.0), (30.0, 0.0), (35.0, 2.0)], 50_000)
    targets = played(call, 60.0)
    assert targets[614:700].max() <= 250.0 and targets[625:700].max() == 80.0
    assert call.lost < 250 and targets[900:].max() > 1500  # at 1.9 Mbit/s a thousand would be lost


def test_feedback_that_stops_for_a_second_does_no_harm() -> None:
    """The same call, with twenty intervals of which nothing is heard."""

    class Deaf:
        begin, take_probe_kbps = staticmethod(gcc.begin), staticmethod(gcc.take_probe_kbps)

        @staticmethod
        def step(state: object, call: int, feedback: object) -> float:
            if 20.0 < feedback.now_s[call] <= 21.0:  # type: ignore[attr-defined]
                feedback.heard[call], feedback.packets[call] = False, 0  # type: ignore[attr-defined]
            return float(gcc.step(state, call, feedback))

    call = ConstantCall([(0.0, 2.0)])
    call.run(Deaf, new_state(1), 40.0, True)
    targets = np.array(call.targets_kbps)
    assert np.isfinite(targets).all() and call.lost == 0
    assert targets[500:].mean() > 0.75 * 2000 * PAYLOAD_SHARE


def test_rows_of_a_batch_do_not_touch_each_other() -> None:
    class Third:
        begin = staticmethod(lambda state, call, *rest: gcc.begin(state, 2, *rest))
        take_probe_kbps = staticmethod(lambda state, call: gcc.take_probe_kbps(state, 2))

        @staticmethod
        def step(state: object, call: int, feedback: object) -> float:
            wide = feedback._replace(  # type: ignore[attr-defined]
                **{name: np.repeat(getattr(feedback, name), 3, axis=0) for name in feedback._fields}  # type: ignore[attr-defined]
            )
            return float(gcc.step(state, 2, wide))

    alone, third = ConstantCall([(0.0, 1.5)]), ConstantCall([(0.0, 1.5)])
    alone.run(gcc, new_state(1), 8.0, True)
    state = new_state(3)
    third.run(Third, state, 8.0, True)
    assert alone.targets_kbps == third.targets_kbps
    assert not any(array[:2].any() for array in state)


def test_a_shadow_never_probes() -> None:
    call = ConstantCall([(0.0, 2.0)])
    call.run(gcc, new_state(1), 5.0, may_probe=False)
    assert all(packet.probe == 0 for packet in call.packets)
