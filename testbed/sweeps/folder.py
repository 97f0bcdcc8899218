"""A sweep's folder: who works in it, what is done, what was tried.

A record that is there is complete, and is the truth: it appears under its name in one step
(`player/record.py`). The journal beside it (`sweep.attempts`, a JSON line an attempt) says only what no
record can: how often a session was tried in vain. `sweep.json` (`testbed/sweeps/state.py`) is made from
both and read back for one thing, to know whether the folder is of this plan.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from analysis.sweep_state import SweepState
from player.record import FINISHED, ChunkRow, EndRow, RecordError, by_fallback_alone, read_record
from testbed.process.errors import TestbedError
from testbed.session.session_plan import LOGS
from testbed.sweeps.experiment.plan import SweepPlan, Unit
from testbed.sweeps.state import DONE, FAILED, INVALID, MISSING, STATE, Progress, refuse_changes
from traces.files import PARTIAL, sync
from traces.ownership import give_to_caller, make_directory

JOURNAL, LOCK, ATTEMPTS = "sweep.attempts", "sweep.lock", "attempts"

ALL_BY_FALLBACK = "the fallback decided every chunk"


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
            reasons.append(f"{ALL_BY_FALLBACK}, first because {why}")
    length_s = sum(end.elapsed_s for _, end in sessions)
    if not reasons:
        return Attempt(DONE, session_s=length_s)
    return Attempt(INVALID if invalid else FAILED, tuple(dict.fromkeys(reasons)), session_s=length_s)


class SweepFolder:
    """A sweep's folder, ours until the context is left.

    Args:
        only: labels of the `[[setting]]`s that are run now; empty for all. The others stay missing.

    Raises:
        TestbedError: somebody else works in it, it is of something else, or of another state of the file.
        OSError: it cannot be read or written.
    """

    def __init__(self, plan: SweepPlan, out: Path, only: Collection[str] = ()) -> None:
        self.plan = plan
        self._only = frozenset(only)
        self.out = out
        self.progress: dict[str, Progress] = {unit.name: Progress() for unit in plan.units}
        self.before: SweepState | None = None
        """`sweep.json` as it was found; None in a new folder."""
        self._lock: IO[str] | None = None
        self._journal: IO[str] | None = None

    def __enter__(self) -> SweepFolder:
        try:
            make_directory(self.out)
            self._take()
            self._read()
            make_directory(self.out / LOGS)
            self._journal = (self.out / JOURNAL).open("a", encoding="utf-8")
            self._journal.write("\n")  # ends a line that a crash has cut off
            give_to_caller(self.out / JOURNAL)
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
        self._lock = path.open("a+", encoding="utf-8")
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
        give_to_caller(path)

    def _read(self) -> None:
        """Find out what is there, and whether it is ours.

        Raises:
            TestbedError: it is not.
        """
        there = {path.name for path in self.out.iterdir() if path.name.endswith(".jsonl")}
        state = self.out / STATE
        if not state.exists():
            if there:
                raise TestbedError(f"{self.out} holds records, and none of a sweep; name another --out")
            return
        try:
            self.before = SweepState.of(json.loads(state.read_text(encoding="utf-8")))
            rows = {row.record or "": row for row in self.before.sessions or ()}
            journal = self._attempts()
        except (ValueError, KeyError, TypeError) as error:
            raise TestbedError(f"{state}: cannot be read ({error}); name another --out") from None
        foreign = sorted(there - set(rows))
        if foreign:
            raise TestbedError(
                f"{self.out}: {foreign[0]} is a record that the sweep there does not know"
                f"{' and others' if len(foreign) > 1 else ''}; move it, or name another --out"
            )
        refuse_changes(self.plan, self.before, [rows[name] for name in sorted(there)], self.out)
        for unit in self.plan.units:
            self.progress[unit.name] = self._found(unit, there, journal.get(unit.name, []))

    def _attempts(self) -> dict[str, list[dict[str, Any]]]:
        """The journal's lines by unit; what was cut off by a crash is left out."""
        found: dict[str, list[dict[str, Any]]] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in (self.out / JOURNAL).read_text(encoding="utf-8").split("\n"):
                with contextlib.suppress(json.JSONDecodeError):  # an empty line, or a cut-off one
                    entry = json.loads(line)
                    found.setdefault(entry["unit"], []).append(entry)
        return found

    def _found(self, unit: Unit, there: set[str], journal: Sequence[dict[str, Any]]) -> Progress:
        """Where a unit stands by its records and the journal."""
        last = journal[-1] if journal else {}
        attempts = max((int(line["attempt"]) for line in journal), default=0)
        if set(unit.records) <= there and last.get("status") != DONE:
            attempts = max(
                attempts, self._attempt_of(unit)
            )  # the journal's line may be lost with the machine
            last = {**last, **self._read_back(unit)}
        elif not set(unit.records) <= there and last.get("status") == DONE:
            last = {}  # somebody has removed it; of a group that a kill broke up, some may be there
        status, reasons = str(last.get("status", MISSING)), tuple(last.get("reasons", ()))
        tried_enough = last.get("for_good") or attempts > self.plan.file.retries
        if status == DONE or (status in (INVALID, FAILED) and tried_enough):
            return Progress(status, attempts, reasons)
        return Progress(MISSING, attempts, reasons)

    def _read_back(self, unit: Unit) -> dict[str, Any]:
        """What an attempt came to, by its records on disk; as a line of the journal has it.

        Raises:
            TestbedError: one that cannot be read.
        """
        try:
            records = [read_record(self.out / name) for name in unit.records]
        except RecordError as error:
            raise TestbedError(f"{error}; remove it, and it is made anew") from None
        found = judged([(record.chunks, record.end) for record in records])
        return {"status": found.status, "reasons": found.reasons}

    def _attempt_of(self, unit: Unit) -> int:
        """Which attempt the records on disk are of."""
        with (self.out / unit.records[0]).open(encoding="utf-8") as file:
            sweep = json.loads(file.readline()).get("sweep", {})
        return int(sweep.get("attempt", 1))

    def begin(self, unit: Unit) -> int:
        """Clear the way for an attempt; its number, from 1. What an earlier one left is put aside."""
        number = self.progress[unit.name].attempts
        for session in unit.sessions:
            for path in (self.out / f"{session}.jsonl", *self._logs(session)):
                if path.exists():
                    self._put_aside(path, number)
        return number + 1

    def _logs(self, session: str) -> Iterator[Path]:
        for ending in ("link.jsonl", "origin.jsonl", "stderr.txt", "pcap"):
            yield self.out / LOGS / f"{session}.{ending}"

    def _put_aside(self, path: Path, number: int) -> None:
        """Move a file of an attempt that does not count out of the results."""
        place = self.out / ATTEMPTS / str(number) / path.relative_to(self.out)
        make_directory(place.parent)
        path.replace(place)

    def end(self, unit: Unit, attempt: Attempt) -> bool:
        """Note how an attempt ended; whether the unit is to be tried again."""
        mine = self.progress[unit.name]
        mine.attempts += 1
        mine.reasons = attempt.reasons
        line = {"unit": unit.name, "attempt": mine.attempts, "status": attempt.status}
        if attempt.reasons:
            line["reasons"] = list(attempt.reasons)
        if attempt.for_good:
            line["for_good"] = True
        assert self._journal is not None
        self._journal.write(json.dumps(line) + "\n")
        if attempt.status == DONE:  # a record says by itself that it is good
            self._journal.flush()
        else:
            sync(self._journal)
        again = attempt.status != DONE and not attempt.for_good and mine.attempts <= self.plan.file.retries
        mine.status = MISSING if again else attempt.status
        return again

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
                path.unlink(missing_ok=True)
