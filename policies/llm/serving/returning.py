"""Who is about to ask again: sessions that asked soon after their last answer, as simulated ones do.

One forward for all costs less than two for one half each. So where sessions come back within less than that
difference, the machine waits for them rather than begin with whoever is there; a player who downloads a
chunk for seconds is not waited for. It has no clock of its own.
"""

from __future__ import annotations

from collections.abc import Iterable


class Returning:
    """When sessions were answered, and how long each lately took to ask again.

    Args:
        slack_s: so much later than the last time a session may come, at least.
    """

    def __init__(self, slack_s: float) -> None:
        self._slack_s = slack_s
        self._answered_s: dict[int, float] = {}
        """Of sessions that have not asked since."""
        self._pause_s: dict[int, float] = {}
        """From a session's answer to its next question, the last time."""

    def asked(self, slot: int, now_s: float) -> None:
        """A session asks."""
        answered_s = self._answered_s.pop(slot, None)
        if answered_s is not None:
            self._pause_s[slot] = now_s - answered_s

    def answered(self, slots: Iterable[int], now_s: float) -> None:
        """Sessions get their answers."""
        for slot in slots:
            self._answered_s[slot] = now_s

    def left(self, slot: int) -> None:
        """A session is over."""
        self._answered_s.pop(slot, None)
        self._pause_s.pop(slot, None)

    def due_s(self, idle_s: float, worth_s: float) -> float:
        """Until when to wait for who comes back, at most `worth_s` from the moment `idle_s` at which the
        machine was free; that moment itself where nobody is expected so soon.
        """
        due_s, last_s = idle_s, idle_s + worth_s
        for slot, answered_s in self._answered_s.items():
            pause_s = self._pause_s.get(slot, worth_s)
            if pause_s < worth_s:
                overdue_s = answered_s + pause_s + max(pause_s, self._slack_s)
                due_s = max(due_s, min(overdue_s, last_s))
        return due_s
