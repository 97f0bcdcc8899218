"""A sweep's folder: who works in it, what is done, what was tried.

A record that is there is complete, and is the truth: it appears under its name in one step
(`player/record.py`). The journal beside it (`sweep.attempts`, a JSON line an attempt) says only what no
record can: how often a session was tried in vain. `sweep.json` (`testbed/sweeps/state.py`) is made from
both and read back for one thing, to know whether the folder is of this plan.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from analysis.sweep_state import SweepState, SweepStateError
from player.call.record import read_call
from player.manifest import Manifest
from player.real.live import fallback_decided
from player.record import FINISHED, ChunkRow, EndRow, by_fallback_alone, read_record
from testbed.lanes.plan import LOGS
from testbed.process.errors import TestbedError
from testbed.sweeps.experiment.plan import SweepPlan
from testbed.sweeps.experiment.recorded import other_than_planned
from testbed.sweeps.experiment.units import Unit
from testbed.sweeps.journal import JOURNAL, JournalLine, fault_of, noted, read_journal, table_line
from testbed.sweeps.state import DONE, FAILED, INVALID, MISSING, STATE, Progress, refuse_changes
from traces.files import PARTIAL, growing, remove, sync
from traces.ownership import make_directory, make_within
from traces.safe_reading import BadFileError, line_of, read_json

LOCK, ATTEMPTS = "sweep.lock", "attempts"


@dataclass(frozen=True)
class Attempt:
    """How one attempt at a unit ended."""

    status: str
    """`done`, `invalid` or `failed`."""
    reasons: tuple[str, ...] = ()
    """Why it was not good; empty when done."""
    for_good: bool = False
    """Trying again would come to the same."""
    session_s: float = 0.0
    """Of sessions that were played, together."""
    took_s: float = 0.0
    """Of a process that computed it; 0 where that isn't known, or tells nothing of other sessions."""
    said: str = ""
    """What a person should hear of it, once for all of a policy's."""


def judged(sessions: Sequence[tuple[Sequence[ChunkRow], EndRow]]) -> Attempt:
    """What an attempt came to, by the records of its sessions."""
    reasons: list[str] = []
    invalid = False
    for chunks, end in sessions:
        if not end.valid:
            invalid = True
            reasons += [f"link: {reason}" for reason in end.link.get("reasons", ["not what was asked"])]
        elif end.outcome != FINISHED:
            reasons.append(f"{end.outcome}: {end.reason}" if end.reason else end.outcome)
        elif by_fallback_alone({row.by for row in chunks}):
            why = next(row.fallback_words for row in chunks if row.replaced)
            reasons.append(fallback_decided(None, Counter(row.by for row in chunks), why))
    length_s = sum(end.elapsed_s for _, end in sessions)
    if not reasons:
        return Attempt(DONE, session_s=length_s)
    return Attempt(INVALID if invalid else FAILED, tuple(dict.fromkeys(reasons)), session_s=length_s)


def judged_calls(paths: Sequence[Path]) -> Attempt:
    """What an attempt at calls came to, by their records.

    Raises:
        RecordError: one cannot be read.
        OSError: one cannot be read.
    """
    reasons: list[str] = []
    invalid, length_s = False, 0.0
    for record in map(read_call, paths):
        end, length_s = record.end, length_s + record.end.elapsed_s
        by = Counter(row.by for row in record.decisions)
        if not end.valid:
            invalid = True
            reasons += [f"link: {reason}" for reason in end.link.get("reasons", ["not what was asked"])]
        elif end.outcome != FINISHED:
            reasons.append(f"{end.outcome}: {end.reason}" if end.reason else end.outcome)
        elif by and set(by) <= {"fallback", "guard"}:
            why = next((row.reason for row in record.decisions if row.reason), "it gave no rate")
            reasons.append(f"GCC decided all in its place: {why}")
    if not reasons:
        return Attempt(DONE, session_s=length_s)
    return Attempt(INVALID if invalid else FAILED, tuple(dict.fromkeys(reasons)), session_s=length_s)


class SweepFolder:
    """A sweep's folder, ours until the context is left.

    Args:
        only: labels of the `[[setting]]`s that are run now; empty for all. The others stay missing.

    A record that can't be read any more is not done: its session is run again.

    Raises:
        TestbedError: somebody else works in it, it is of something else, or of another state of the file.
        OSError: it cannot be read or written.
    """

    def __init__(self, plan: SweepPlan, out: Path, only: Collection[str] = ()) -> None:
        self.plan = plan
        self._only = frozenset(only)
        self.out = out
        self.progress: dict[str, Progress] = {unit.name: Progress() for unit in plan.units}
        self.damaged: list[str] = []
        """Records that were done and can't be read any more, each with its fault: they are made anew."""
        self.before: SweepState | None = None
        """`sweep.json` as it was found; None in a new folder."""
        self._lock: IO[str] | None = None
        self._journal: IO[str] | None = None

    def __enter__(self) -> SweepFolder:
        try:
            make_directory(self.out)
            self._take()
            self._read()
            make_within(self.out, LOGS)
            self._journal = growing(self.out / JOURNAL)
            self._journal.write("\n")  # ends a line that a crash has cut off
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """Let others in."""
        for file in (self._journal, self._lock):
            if file is not None:
                file.close()
        self._journal = self._lock = None

    def _take(self) -> None:
        """Keep others out for as long as this process lives, however it ends."""
        path = self.out / LOCK
        self._lock = growing(path)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            who = self._lock.read().strip() or "another process"
            raise TestbedError(
                f"{self.out}: {who} works on a sweep there; wait for it, or name another --out"
            ) from None
        except OSError:  # a file system without locks (a shared folder of a virtual machine): on trust
            return
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()}\n")
        self._lock.flush()

    def _read(self) -> None:
        """Find out what is there, and whether it is ours.

        Raises:
            TestbedError: it is not.
        """
        there = {path.name for path in self.out.iterdir() if path.name.endswith(".jsonl")}
        state = self.out / STATE
        if not os.path.lexists(state):
            if there:
                raise TestbedError(f"{self.out} holds records, and none of a sweep; name another --out")
            return
        try:
            self.before = SweepState.of(read_json(state, follow=False))
            journal = read_journal(self.out)
        except BadFileError as error:
            raise TestbedError(f"{error}; name another --out") from None
        except SweepStateError as error:
            raise TestbedError(f"{state}: {error}; name another --out") from None
        rows = {row.record or "": row for row in self.before.sessions or ()}
        foreign = sorted(there - set(rows))
        if foreign:
            raise TestbedError(
                f"{self.out}: {foreign[0]} is a record that the sweep there does not know"
                f"{' and others' if len(foreign) > 1 else ''}; move it, or name another --out"
            )
        refuse_changes(self.plan, self.before, [rows[name] for name in sorted(there)], self.out)
        for unit in self.plan.units:
            self.progress[unit.name] = self._found(unit, there, journal.get(unit.name, []))

    def _found(self, unit: Unit, there: set[str], journal: Sequence[JournalLine]) -> Progress:
        """Where a unit stands by its records and the journal."""
        last = journal[-1] if journal else None
        attempts = max((line.attempt or 0 for line in journal), default=0)
        here = [name for name in unit.records if name in there]

        def other(told: Manifest) -> str:
            return other_than_planned(told, self.plan, unit)

        read = read_record if unit.setting.call is None else read_call
        faults = [fault for name in here if (fault := fault_of(self.out / name, last, other, read))]
        if faults:
            self.damaged += faults
            return Progress(MISSING, attempts, tuple(faults))
        if len(here) < len(unit.records) and last is not None and last.status == DONE:
            last = None  # somebody has removed it; of a group that a kill broke up, some may be there
        if len(here) == len(unit.records) and (last is None or last.status != DONE):
            found, attempt = self._read_back(unit)
            attempts = max(attempts, attempt)  # the journal's line may be lost with the machine
            status, reasons, for_good = found.status, found.reasons, bool(last and last.for_good)
        else:
            status = last.status or MISSING if last else MISSING
            reasons, for_good = (last.reasons or () if last else ()), bool(last and last.for_good)
        tried_enough = for_good or attempts > self.plan.file.retries
        if status == DONE or (status in (INVALID, FAILED) and tried_enough):
            return Progress(status, attempts, reasons)
        return Progress(MISSING, attempts, reasons)

    def _read_back(self, unit: Unit) -> tuple[Attempt, int]:
        """What an attempt came to, by its records on disk, and which one it was."""
        if unit.setting.call is not None:
            paths = [self.out / name for name in unit.records]
            told = read_call(paths[0]).told.sweep
            return judged_calls(paths), (told.attempt if told else None) or 1
        records = [read_record(self.out / name) for name in unit.records]
        told = records[0].told.sweep
        found = judged([(record.chunks, record.end) for record in records])
        return found, (told.attempt if told else None) or 1

    def begin(self, unit: Unit) -> int:
        """Clear the way for an attempt; its number, from 1. What an earlier one left is put aside."""
        number = self.progress[unit.name].attempts
        for session in unit.sessions:
            for path in (self.out / f"{session}.jsonl", *self._logs(session)):
                if os.path.lexists(path):
                    self._put_aside(path, number)
        return number + 1

    def _logs(self, session: str) -> Iterator[Path]:
        for ending in ("link.jsonl", "origin.jsonl", "stderr.txt", "pcap"):
            yield self.out / LOGS / f"{session}.{ending}"

    def _put_aside(self, path: Path, number: int) -> None:
        """Move a file of an attempt that does not count out of the results."""
        within = path.relative_to(self.out)
        place = make_within(self.out, ATTEMPTS, str(number), *within.parent.parts) / within.name
        more = 1
        while os.path.lexists(place):
            more += 1
            place = place.with_name(f"{within.name}.{more}")
        path.replace(place)

    def end(self, unit: Unit, attempt: Attempt) -> bool:
        """Note how an attempt ended; whether the unit is to be tried again."""
        mine = self.progress[unit.name]
        mine.attempts += 1
        mine.reasons = attempt.reasons
        whole = noted(self.out, unit.records) if attempt.status == DONE else None
        line = JournalLine(
            unit.name, mine.attempts, attempt.status, attempt.reasons or None, attempt.for_good or None, whole
        )
        assert self._journal is not None
        self._journal.write(line_of(line.to_json()) + "\n")
        if attempt.status == DONE:  # a record says by itself that it is good
            self._journal.flush()
        else:
            sync(self._journal)
        again = attempt.status != DONE and not attempt.for_good and mine.attempts <= self.plan.file.retries
        mine.status = MISSING if again else attempt.status
        return again

    def note_table(self, table: Path) -> None:
        """Note of which records a table has been made.

        Raises:
            OSError: it cannot be written.
        """
        assert self._journal is not None
        self._journal.write(table_line(table))
        self._journal.flush()

    def pending(self) -> list[Unit]:
        """What is to be run, in order."""
        return [unit for unit in self.missing() if self.chosen(unit)]

    def missing(self) -> list[Unit]:
        """What is not over, whether it is to be run now or another time."""
        return [unit for unit in self.plan.units if self.progress[unit.name].status == MISSING]

    def chosen(self, unit: Unit) -> bool:
        """Whether it is one of those that are run now."""
        return not self._only or unit.setting.group in self._only

    def remove_leftovers(self) -> None:
        """Remove what a killed command has half written."""
        for folder in (self.out, self.out / LOGS):
            for path in folder.glob(f"*{PARTIAL}"):
                remove(path)
