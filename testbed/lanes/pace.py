"""How many lanes of a sweep stream at once: fewer when the machine no longer holds them, and back again.

A sweep runs all night, and what a machine holds at dusk it may not hold at three. Sessions whose links
were not true say so; each of them is tried again as ever, but on fewer lanes.
"""

from __future__ import annotations

import math
from collections import deque

IN_A_ROW = 3
"""So many invalid sessions one after the other are no accident: where one in twenty is invalid, as beside
other work, they come by chance once in 8000 sessions."""

OF_THE_LAST = 8
HALF_OF_THEM = 4
"""Nor are so many of the last eight, which a valid one in between would hide from the rule above: by chance
once in 2700 sessions. Three of eight would come once in 170."""

KEPT = 0.75
"""Of the lanes, when they are too many: a step that tells, and one that does not halve a night's work."""

GOOD_BEFORE_MORE = 40
"""Valid sessions in a row before one lane more is tried. A machine that makes one in twenty invalid gets
there once in eight times, so a number that is just too high is not tried again and again."""


class Pace:
    """The number of lanes now. Told how each session's link was, it says when the number changes.

    Args:
        asked: the number to begin with, which is never exceeded.
    """

    def __init__(self, asked: int) -> None:
        self._asked = asked
        self.lanes = asked
        self._last: deque[bool] = deque(maxlen=OF_THE_LAST)
        self._good = 0

    def ended(self, begun_on: int, valid: bool) -> str:
        """A session has ended; why the number has changed, in words (empty where it has not).

        Args:
            begun_on: the number of lanes when it began. One that began on more tells nothing of fewer.
        """
        if begun_on > self.lanes:
            return ""
        self._last.append(valid)
        self._good = self._good + 1 if valid else 0
        if why := self._too_many():
            self._change(max(math.floor(self.lanes * KEPT), 1))
            return why
        if self._good >= GOOD_BEFORE_MORE and self.lanes < self._asked:
            self._change(self.lanes + 1)
            return f"{GOOD_BEFORE_MORE} valid links in a row"
        return ""

    def _too_many(self) -> str:
        """Why the machine does not hold its lanes; empty where it does, or where fewer cannot be had."""
        if self.lanes == 1:
            return ""
        recent = list(self._last)
        if len(recent) >= IN_A_ROW and not any(recent[-IN_A_ROW:]):
            return f"{IN_A_ROW} invalid links in a row"
        invalid = recent.count(False)
        if invalid >= HALF_OF_THEM:
            return f"{invalid} of the last {len(recent)} links invalid"
        return ""

    def _change(self, lanes: int) -> None:
        self.lanes = lanes
        self._last.clear()
        self._good = 0
