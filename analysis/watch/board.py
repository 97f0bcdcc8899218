"""All that a page shows of a folder of records, and what is new since it was looked at last."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from analysis.watch.figures import word
from analysis.watch.lane import Lane, Message
from analysis.watch.progress import SweepProgress
from analysis.watch.spending import Sparing
from analysis.watch.tail import Tail
from traces.files import PARTIAL

ENDING = ".jsonl"
BESIDE = "beside"
"""Folder of those who share lanes with a run's sessions."""
MOST_LANES = 64
MOST_OVER = 16
"""Of a sweep's sessions that are over, the last so many are shown, beside those that run."""
MOST_BYTES_A_TURN = 2 << 20
"""What is read at a time: a file that has grown by 100 MB is caught up with by and by."""
SILENT_S = 60.0
"""A record that nobody has written to for so long has no clock any more."""


@dataclass
class _Followed:
    """A record and its lane."""

    tail: Tail
    lane: Lane
    running: bool
    begins: int = 1


class Board:
    """What the records of a folder say. `turn` looks at them once more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._followed: dict[str, _Followed] = {}
        self._progress = SweepProgress(folder)
        self._finding, self._progressing = Sparing(self._find), Sparing(self._look_at_progress)
        self._keys = 0
        self._news: list[Message] = []
        self._fault, self._more, self._records = "", 0, 0
        self._about: Message = {}

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not any(one.lane.head for one in self._followed.values()) and self._progress.told is None

    @property
    def behind(self) -> bool:
        """Whether the last turn has left something unread."""
        return any(one.tail.waits for one in self._followed.values())

    def turn(self, whole: bool = False) -> list[Message]:
        """Look at the folder; what a page that has heard all before is told.

        Args:
            whole: list the folder and read the sweep's state also where that was done a moment ago.
        """
        if whole or self._progressing.due:
            self._progressing.do()
        if whole or self._finding.due:
            self._finding.do()
        self._read()
        for one in self._followed.values():
            told = one.lane.news()
            self._news += told
            if not one.running and any("head" in message or "end" in message for message in told):
                self._news.append(self._state(one))
        about = self._about_now()
        if about != self._about:
            self._about = about
            self._news.append({"run": about})
        news, self._news = self._news, []
        return news + self._clocks()

    def whole(self) -> list[Message]:
        """All there is, for a page that knows nothing."""
        lanes = [message for one in self._followed.values() for message in one.lane.whole()]
        return [{"begin": True, "run": self._about_now()}, *lanes, *self._states()]

    def _about_now(self) -> Message:
        damaged = sum(one.lane.damaged for one in self._followed.values())
        name = word(self._folder.absolute().name)
        about: Message = {"name": name, "records": self._records, "more": self._more, "damaged": damaged}
        return about | {"fault": self._fault, "sweep": self._progress.told}

    def _look_at_progress(self) -> None:
        self._progress.look()

    def _find(self) -> None:
        """Which records there are: all that run, and those that ended last."""
        try:
            found = _records_in(self._folder)
            self._fault = ""
        except OSError as error:
            self._fault = f"the folder can't be read any more: {error.strerror}"
            return
        most = MOST_OVER if self._progress.told else MOST_LANES
        running = {name: path for name, (path, _, runs) in found.items() if runs}
        over = sorted((at, name) for name, (_, at, runs) in found.items() if not runs)
        chosen = [*sorted(running), *(name for _, name in over[::-1][:most])][:MOST_LANES]
        self._more = len(found) - len(chosen)
        self._records = sum(not runs for _, _, runs in found.values())
        for name in [name for name in self._followed if name not in chosen]:
            self._news.append({"gone": self._followed.pop(name).lane.key})
        for name in sorted(chosen):
            path, _, runs = found[name]
            if name not in self._followed:
                self._followed[name] = _Followed(Tail(path), self._lane(name), runs)
                continue
            one = self._followed[name]
            one.tail.path, changed, one.running = path, one.running != runs, runs
            if changed:
                self._news += [self._state(one)]

    def _lane(self, name: str) -> Lane:
        self._keys += 1
        return Lane(self._keys, name)

    def _read(self) -> None:
        """Take what has come of each record; who waited for a turn's end is the first of the next one."""
        left = MOST_BYTES_A_TURN
        for name in sorted(self._followed, key=lambda name: not self._followed[name].tail.waits):
            one = self._followed[name]
            try:
                lines = one.tail.lines(max(left, 0)) if left > 0 else []
            except FileNotFoundError:  # it has another name by now, or has gone: `_find` will see
                continue
            if one.tail.begins > one.begins:
                self._news.append({"gone": one.lane.key})
                one.lane, one.begins = self._lane(name), one.tail.begins
            for line in lines:
                left -= len(line) + 1
                one.lane.take(line)

    def _states(self) -> list[Message]:
        return [self._state(one) for one in self._followed.values() if one.lane.head]

    def _clocks(self) -> list[Message]:
        """Where the sessions that run are: a page draws on between lines of a record."""
        return [self._state(one) for one in self._followed.values() if one.running and one.lane.head]

    def _state(self, one: _Followed) -> Message:
        silent_s = max(time.time() - one.tail.changed_s, 0.0)
        state: Message = {"running": one.running, "silent_s": round(silent_s, 1), "fault": one.tail.fault}
        if one.running and one.lane.last_s is not None and silent_s < SILENT_S:
            state["at_s"] = round(one.lane.last_s + silent_s, 2)
        return {"lane": one.lane.key, "state": state}


def _records_in(folder: Path) -> dict[str, tuple[Path, float, bool]]:
    """Name: path, Unix time of its last change, and whether it is still being written."""
    found: dict[str, tuple[Path, float, bool]] = {}
    for place, begin in ((folder, ""), (folder / BESIDE, f"{BESIDE}/")):
        if begin and place.is_symlink():  # it may lead out of the folder
            continue
        try:
            entries = os.scandir(place)
        except (FileNotFoundError, NotADirectoryError):
            if not begin:
                raise
            continue
        with entries:
            for entry in entries:
                name = entry.name.removesuffix(PARTIAL)
                if not name.endswith(ENDING) or not entry.is_file(follow_symlinks=False):
                    continue
                partial, name = name != entry.name, begin + name.removesuffix(ENDING)
                if partial and name in found:  # what a killed run has left, beside the record of a later one
                    continue
                try:
                    changed_s = entry.stat(follow_symlinks=False).st_mtime
                except FileNotFoundError:
                    continue
                found[name] = (place / entry.name, changed_s, partial)
    return found
