"""A command ends at other signals as at Ctrl-C, and its status says at which."""

from __future__ import annotations

import os
import pickle
import signal

import pytest

from testbed.process.signals import Terminated, exit_status, terminated_by


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_and_says_which_it_was(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as caught, terminated_by(signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), number)
        signal.pause()
    assert isinstance(caught.value, Terminated)
    assert exit_status(caught.value) == 128 + number
    assert signal.getsignal(number) == before


def test_ctrl_c_has_the_status_of_sigint() -> None:
    assert exit_status(KeyboardInterrupt()) == 128 + signal.SIGINT


def test_which_signal_it_was_survives_the_way_out_of_another_process() -> None:
    assert pickle.loads(pickle.dumps(Terminated(signal.SIGHUP))).number == signal.SIGHUP
