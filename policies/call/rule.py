"""What the rules of calls have in common: a compiled rule, and `decide` that runs it for one call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from player.call.compiled_rule import CompiledRule
from player.call.feedback_batch import FeedbackBatch, room_for_feedback
from player.call.observation import CallObservation
from player.call.packets import MOST_REPORTED
from player.call.policy import Rate
from player.call.settings import CallSettings

_KBIT_A_MBIT = 1000.0
_BYTES_A_KBIT = 125.0


class Rule(ABC):
    """A policy that acts on every feedback, by a compiled rule."""

    every_feedback = True
    may_probe = True

    @abstractmethod
    def compiled_rule(self) -> CompiledRule:
        """The functions of this rule."""

    def reset(self, call: CallSettings, seed: int, qoe: Any) -> None:
        """A new call begins."""
        self._rule = self.compiled_rule()
        self._state = self._rule.new_state(1)
        self._call = call
        self._room = room_for_feedback(1, MOST_REPORTED)
        self._rule.begin(self._state, 0, call.start_kbps, call.min_kbps, call.max_kbps, self.may_probe)

    def decide(self, observation: CallObservation) -> Rate:
        """The rule's step for this feedback."""
        self._room = feedback_row(observation, self._call, self._room)
        kbps = float(self._rule.step(self._state, 0, self._room))
        return Rate(kbps, probe_kbps=float(self._rule.take_probe_kbps(self._state, 0)))


def feedback_row(observation: CallObservation, call: CallSettings, room: FeedbackBatch) -> FeedbackBatch:
    """An observation as the feedback that it was made of; `room` is filled, or a larger one is.

    What waits in the pacer is told in ms of the pacer's rate, so its bytes are within rounding of that.
    """
    now, packets = observation.now, observation.packets
    if len(packets) > room.seq.shape[1]:
        room = room_for_feedback(1, 2 * len(packets))
    room.now_s[0], room.heard[0], room.interval[0] = now.elapsed_s, now.heard, now.interval
    room.packets[0] = len(packets)
    room.rtt_s[0] = now.rtt_ms / 1000.0 if packets and now.rtt_ms > 0.0 else np.nan
    room.target_kbps[0] = now.target_mbps * _KBIT_A_MBIT
    room.sent_bytes[0] = round(now.sent_mbps * _KBIT_A_MBIT * now.interval_s * _BYTES_A_KBIT)
    pacing = call.start_pacing if now.elapsed_s < call.start_s else call.pacing
    pacer_kbps = room.target_kbps[0] * pacing
    room.pacer_bytes[0] = round(now.pacer_ms / 1000.0 * pacer_kbps * _BYTES_A_KBIT)
    for place, packet in enumerate(packets):
        room.seq[0, place], room.size_bytes[0, place] = packet.seq, packet.size_bytes
        room.sent_s[0, place] = packet.sent_s
        room.arrived_s[0, place] = np.nan if packet.arrived_s is None else packet.arrived_s
        room.probe[0, place] = getattr(packet, "probe", 0)
    return room
