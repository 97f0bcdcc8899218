"""What is left to run: handed out, taken back, noted in the folder, shown to the person."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

from analysis.sweep_state import SweepState
from testbed.sweeps.experiment.units import Unit
from testbed.sweeps.folder import Attempt, SweepFolder
from testbed.sweeps.progress import SweepDisplay
from testbed.sweeps.state import DONE, STATE, SweepFacts, state_of, utc_now
from traces.files import write_aside
from traces.safe_reading import line_of

WRITE_EVERY_S = 10.0
"""`sweep.json` is at most this old while sessions run."""


class SweepWork:
    """The units that are to be run. An engine takes them, runs them, and says how they ended.

    One that was not good goes to the end of the queue: a bad hour should not use up its tries.
    """

    def __init__(self, folder: SweepFolder, facts: SweepFacts, display: SweepDisplay) -> None:
        self.folder = folder
        self.facts = facts
        self._display = display
        self._queue = deque(folder.pending())
        self._flying = 0
        self._said_of: set[str] = set()
        self.ran = 0
        """Attempts that have ended."""
        self._written_at = 0.0
        self._begun_at = time.monotonic()
        self._wall_before_s = facts.wall_s
        left = {unit.name for unit in self._queue}
        chosen = [unit for unit in folder.plan.units if folder.chosen(unit)]
        display.plan(chosen, [unit for unit in chosen if unit.name not in left])

    @property
    def out(self) -> Path:
        return self.folder.out

    def say(self, text: str) -> None:
        """A line for the person."""
        self._display.say(text)

    @property
    def goes_on(self) -> bool:
        """Whether earlier runs have had a part in it."""
        return len(self.facts.commands) > 1

    @property
    def finished(self) -> bool:
        """Nothing is left, in hand or in the queue."""
        return not self._queue and self._flying == 0

    def take(self) -> tuple[Unit, int] | None:
        """The next unit and the number of the attempt; None when there is none now."""
        if not self._queue:
            return None
        unit = self._queue.popleft()
        self._flying += 1
        return unit, self.folder.begin(unit)

    def waiting(self, spec: str) -> int:
        """How many units of a policy have not been taken."""
        return sum(unit.policy.spec == spec for unit in self._queue)

    def take_like(self, unit: Unit, most: int) -> list[tuple[Unit, int]]:
        """More units of the policy that a taken one has, as many as there are and as are wanted, and the
        numbers of their attempts."""
        wanted = [one for one in self._queue if one.policy.spec == unit.policy.spec][:most]
        names = {one.name for one in wanted}
        self._queue = deque(one for one in self._queue if one.name not in names)
        self._flying += len(wanted)
        return [(one, self.folder.begin(one)) for one in wanted]

    def take_alike(self, unit: Unit, most: int) -> list[tuple[Unit, int]]:
        """As `take_like`, of the same setting too."""
        queue, self._queue = self._queue, deque(one for one in self._queue if one.setting is unit.setting)
        taken = self.take_like(unit, most)
        names = {one.name for one, _ in taken}
        self._queue = deque(one for one in queue if one.name not in names)
        return taken

    def give_back(self, unit: Unit) -> None:
        """It did not come to an attempt: whoever ran it is gone. It is the next to be taken."""
        self._flying -= 1
        self._queue.appendleft(unit)

    def end(self, unit: Unit, attempt: Attempt) -> None:
        """How an attempt ended; its records are on disk."""
        self._flying -= 1
        self.ran += 1
        self.facts.session_s += attempt.session_s
        again = self.folder.end(unit, attempt)
        if again:
            self._queue.append(unit)
        self._display.ended(unit, attempt, again)
        if attempt.said and unit.policy.label not in self._said_of:
            self._said_of.add(unit.policy.label)
            self.say(f"note: {unit.name}: {attempt.said}")
        if time.monotonic() - self._written_at >= WRITE_EVERY_S:
            self.write()

    def paced(self, lanes: int, why: str) -> None:
        """So many lanes stream at once from now on: said, and written down at once."""
        known = self.facts.lanes or {}
        change = {"at": utc_now(), "lanes": lanes, "why": why}
        self.facts.lanes = {**known, "now": lanes, "changes": [*known.get("changes", []), change]}
        self.say(f"{lanes} lane{'s' * (lanes > 1)} at once from now on: {why}")
        self.write()

    def write(self) -> SweepState:
        """Bring `sweep.json` up to date; what is in it."""
        self._written_at = time.monotonic()
        self.facts.wall_s = self._wall_before_s + self._written_at - self._begun_at
        state = state_of(self.folder.plan, self.folder.progress, self.facts)
        write_aside(self.out / STATE, line_of(state.to_json()) + "\n")
        return state

    @property
    def not_good(self) -> list[tuple[Unit, str, tuple[str, ...]]]:
        """Units that were tried in vain often enough: unit, status, reasons."""
        found = []
        for unit in self.folder.plan.units:
            one = self.folder.progress[unit.name]
            if one.status != DONE and self.folder.chosen(unit):
                found.append((unit, one.status, one.reasons))
        return found
