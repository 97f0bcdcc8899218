"""The two ends of a call: sockets and the arrays of their loops, made ready before it begins."""

from __future__ import annotations

import os
import socket

import numpy as np

from player.call.feedback_batch import room_for_feedback
from player.call.gcc.state import new_state
from player.call.media.facts import FACTS
from player.call.media.receiver_state import ARRIVAL, Receiver, new_receivers
from player.call.media.sender_state import PACKET, Sender, new_senders
from player.call.packets import MOST_NACKED, MOST_REPORTED
from player.call.settings import CallSettings
from testbed.calling.ends.libc import port_of
from testbed.calling.ends.receiver_box import ReceiverBox
from testbed.calling.ends.receiver_box import new_box as new_receiver_box
from testbed.calling.ends.receiving import receive_call
from testbed.calling.ends.sender_box import SenderBox
from testbed.calling.ends.sender_box import new_box as new_sender_box
from testbed.calling.ends.sending import send_call

MEDIA_PORT = 5004
"""Of a lane's first call, at both ends (RFC 3551's for RTP); the next ones follow, two apart."""


def udp_socket(here: str, there: str, port: int) -> socket.socket:
    """A socket at an end of a call.

    Raises:
        OSError: the port is taken, or there is no such address.
    """
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((here, port))
    opened.connect((there, port))
    return opened


class SenderEnd:
    """A sender that is ready: its socket, what it shares, and `run`, the loop."""

    def __init__(
        self,
        call: CallSettings,
        opened: socket.socket,
        seed: int,
        every: int,
        inline: bool,
        probes: bool = True,
    ) -> None:
        self.told, self.wakes = os.eventfd(0), os.eventfd(0)
        self.box: SenderBox = new_sender_box(call, every, inline, self.told)
        self.box.control[0]["probes"] = probes
        self.sender: Sender = new_senders(call, np.array([seed], np.uint64))
        self._opened = opened
        self._port = port_of(opened, self.wakes)
        self._shadow = new_state(1)
        self._past = np.zeros(1, FACTS)
        self._batch = room_for_feedback(1, MOST_REPORTED)
        self._told = np.zeros(len(self.sender.history[0]), ARRIVAL)
        self._told["seq"] = -1

    def run(self, t0: float) -> None:
        """The whole call, from monotonic time `t0` on."""
        self.box.control[0]["t0_ns"] = round(t0 * 1e9)
        send_call(self._port, self.sender, self._shadow, self._past, self._batch, self._told, self.box)

    def stop(self) -> None:
        """End the loop now."""
        self.box.control[0]["stop"] = 1
        os.eventfd_write(self.wakes, 1)

    def close(self) -> None:
        self._opened.close()
        os.close(self.told)
        os.close(self.wakes)


class ReceiverEnd:
    """A receiver that is ready."""

    def __init__(self, call: CallSettings, opened: socket.socket) -> None:
        self.wakes = os.eventfd(0)
        self.box: ReceiverBox = new_receiver_box(call)
        self.receiver: Receiver = new_receivers(call, 1)
        self._opened = opened
        self._port = port_of(opened, self.wakes)
        self._packet = np.zeros(1, PACKET)
        self._asked = np.zeros(MOST_NACKED, np.int64)

    def run(self, t0: float) -> None:
        """From monotonic time `t0` on, until it is stopped."""
        self.box.control[0]["t0_ns"] = round(t0 * 1e9)
        receive_call(self._port, self.receiver, self._packet[0], self._asked, self.box)

    def stop(self) -> None:
        """End the loop now."""
        self.box.control[0]["stop"] = 1
        os.eventfd_write(self.wakes, 1)

    def close(self) -> None:
        self._opened.close()
        os.close(self.wakes)


def prepare_sender() -> None:
    """Have the sender's machine code ready, made or loaded: what is forked from here has it, too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        end = SenderEnd(CallSettings(), opened, 0, 1, True)
        end.stop()
        end.run(0.0)
        end.close()


def prepare_receiver() -> None:
    """The same of the receiver's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        end = ReceiverEnd(CallSettings(), opened)
        end.stop()
        end.run(0.0)
        end.close()
