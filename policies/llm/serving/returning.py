"""When to begin: with whoever is there, or once those have come who are about to.

Two requests that share a forward save what a forward costs however few steps it has. So a machine that has
just become free stands idle no longer than that: sessions that lately came back within that time after an
answer, as simulated ones do, are waited for; where they take longer, as many do together, the machine begins
with who is there and answers the others next, and their requests are read beside its forward. A player who
downloads a chunk for seconds is not waited for. It has no clock of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

ROUND_WITHIN_S = 0.1
"""A session that took longer to come back had something else to do."""
LATE_SHARE = 0.8
"""Of those that were answered together: when so many are back, nearly all are."""
GOES_ROUND = 4.0
"""Times what sharing a forward saves: a request that comes so soon after a forward follows its answer."""


class Returning:
    """When sessions were answered, and how long each lately took to ask again.

    Args:
        slack_s: so much later than the last time a session may come, at least; so long a machine that nobody
            has asked for a while waits for others when somebody does.
    """

    def __init__(self, slack_s: float) -> None:
        self._slack_s = slack_s
        self.free_s = -math.inf
        """When the last forward was done."""
        self._answered_s: dict[int, float] = {}
        """Of sessions that have not asked since."""
        self._together: dict[int, int] = {}
        """How many were answered with each."""
        self._pause_s: dict[int, float] = {}
        """From a session's answer to its next question, the last time."""

    def asked(self, slot: int, now_s: float) -> None:
        """A session asks."""
        answered_s = self._answered_s.pop(slot, None)
        if answered_s is not None:
            self._pause_s[slot] = now_s - answered_s

    def answered(self, slots: Iterable[int], now_s: float) -> None:
        """Sessions get their answers."""
        together = list(slots)
        for slot in together:
            self._answered_s[slot] = now_s
            self._together[slot] = len(together)

    def left(self, slot: int) -> None:
        """A session is over."""
        for known in (self._answered_s, self._pause_s, self._together):
            known.pop(slot, None)

    def free(self, now_s: float) -> None:
        """The machine is, from now on."""
        self.free_s = now_s

    def begins_s(self, first_s: float, sharing_s: float) -> float:
        """When to begin.

        Args:
            first_s: when the first that waits came; the answer where nobody is to be waited for.
            sharing_s: what sharing a forward saves.
        """
        if not self._goes_round(first_s, sharing_s):
            return first_s + self._slack_s
        begins_s, last_s = first_s, self.free_s + sharing_s
        for slot, answered_s in self._answered_s.items():
            pause_s = self._pause_s.get(slot, sharing_s)
            if pause_s < sharing_s:
                overdue_s = answered_s + pause_s + max(pause_s, self._slack_s)
                begins_s = max(begins_s, min(overdue_s, last_s))
        return begins_s

    def largest(self, sharing_s: float) -> int | None:
        """How many sessions a batch should have at most: half of those that go round where all of them would
        take longer to come back than sharing saves, so that one half is read beside the other's forward;
        None: no such bound. They come back one after the other: of twice as many the last takes twice as
        long.
        """
        pauses_s = {slot: pause_s for slot, pause_s in self._pause_s.items() if pause_s < ROUND_WITHIN_S}
        going = len(pauses_s)
        if going < 2:
            return None
        all_s = sorted(
            pause_s * max(going / self._together.get(slot, going), 1.0) for slot, pause_s in pauses_s.items()
        )
        return None if all_s[int(LATE_SHARE * (going - 1))] < sharing_s else (going + 1) // 2

    def reads_until_s(self, first_s: float, sharing_s: float) -> float:
        """How long what lies in the sockets is read before a batch that is due."""
        return (self.free_s if self._goes_round(first_s, sharing_s) else first_s + self._slack_s) + sharing_s

    def _goes_round(self, first_s: float, sharing_s: float) -> bool:
        """Whether a request came that soon after the machine was free that sessions seem to ask when they are
        answered."""
        return first_s < self.free_s + GOES_ROUND * sharing_s
