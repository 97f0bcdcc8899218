"""What hangs is found out, asleep or busy; what only isn't given a processor is not blamed."""

from __future__ import annotations

import os
import threading

import pytest

from tests.fuzzing.patience import Patience, TooSlow, patient, waited_s


def test_who_sleeps_for_ever_is_too_slow() -> None:
    with pytest.raises(TooSlow, match=r"longer than 0\.05 s"), patient(0.05):
        threading.Event().wait()


def test_who_computes_for_ever_is_too_slow() -> None:
    with pytest.raises(TooSlow), patient(0.05):
        while True:
            pass


def test_who_is_done_in_time_hears_nothing_later() -> None:
    with patient(0.05):
        pass
    threading.Event().wait(0.2)


@pytest.mark.parametrize(
    ("passed_s", "waited", "over"),
    [(4.9, 0.0, False), (5.1, 0.0, True), (60.0, 55.5, False), (60.0, 54.5, True)],
)
def test_time_without_a_processor_does_not_count(passed_s: float, waited: float, over: bool) -> None:
    clock = {"now": 100.0, "waited": 7.0}
    patience = Patience(5.0, lambda: clock["waited"], lambda: clock["now"])
    clock["now"] += passed_s
    clock["waited"] += waited
    assert patience.over is over


def test_the_kernel_says_how_long_one_has_waited() -> None:
    before = waited_s()
    for _ in range(50):
        os.sched_yield()
    assert waited_s(os.getpid()) >= before
    assert waited_s(2**22 + 1) == 0.0  # no process has this number (PID_MAX_LIMIT of Linux is 2**22)
