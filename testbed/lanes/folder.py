"""The folder of a run's records: a new one, kept from other runs, and gone again where nothing came of it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from testbed.lanes.plan import LOGS, LanesPlan
from testbed.process.errors import TestbedError
from traces.ownership import give_to_caller, make_directory, make_within

RESULTS = Path("results")
NEEDED_BYTES = 64 * 1024 * 1024
"""Free disk that a run wants before it begins."""


def word_of(text: str) -> str:
    """A name that a file can have."""
    return re.sub(r"[^A-Za-z0-9.=_-]+", "-", Path(text).name if "." in text else text).strip("-.") or "trace"


def claim_for(what: str) -> Path:
    """A new folder under `RESULTS`, by the time and what is run.

    Raises:
        TestbedError: it cannot be made.
    """
    return claim(RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{word_of(what)}")


def claim(path: Path) -> Path:
    """A new folder: `path`, or the first of `path-2`, `path-3`, … that nobody has, not even a run
    that began in the same second.

    Raises:
        TestbedError: it cannot be made.
    """
    try:
        make_directory(path.parent)
        found, number = path, 1
        while True:
            with contextlib.suppress(FileExistsError):
                found.mkdir()
                give_to_caller(found)
                return found
            number += 1
            found = path.with_name(f"{path.name}-{number}")
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(out: Path, error: OSError) -> TestbedError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return TestbedError(f"--out {out}: {reason}; name a folder that can be written")


def record_names(policies: Sequence[str]) -> list[str]:
    """A record's name for each policy; the second `bba` is `bba-2`."""
    names: list[str] = []
    for policy in policies:
        word = word_of(policy)
        name, number = word, 1
        while name in names:
            number += 1
            name = f"{word}-{number}"
        names.append(name)
    return names


def prepare_folder(out: Path) -> None:
    """Make the folder and check that there is room.

    Raises:
        TestbedError: it cannot be written, or the disk is nearly full.
    """
    try:
        make_directory(out)
        make_within(out, LOGS)
        free = shutil.disk_usage(out).free
        if not os.access(out, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unwritable(out, error) from None
    if free < NEEDED_BYTES:
        raise TestbedError(
            f"--out {out}: {free // 2**20} MiB free, {NEEDED_BYTES // 2**20} wanted; make room there"
        )


@contextlib.contextmanager
def folder_of(plan: LanesPlan) -> Iterator[None]:
    """Make the run's folder and keep other runs out of it; what of it stays empty goes in the end.

    Raises:
        TestbedError: another run has it, it holds records already, or see `prepare_folder`.
    """
    try:
        make_directory(plan.out)
        descriptor = os.open(plan.out, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _unwritable(plan.out, error) from None
    try:
        _lock(plan.out, descriptor)
        check_no_records(plan.out)  # once more: another run may have come and gone
        try:
            prepare_folder(plan.out)
            for folder in _companions(plan):
                make_within(plan.out, folder, LOGS)
            yield
        finally:
            _drop_if_empty(plan)
    finally:
        os.close(descriptor)


def _lock(out: Path, descriptor: int) -> None:
    """Hold the folder until its descriptor is closed, by whatever end of this process."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TestbedError(f"--out {out}: another run is writing there; name another folder") from None
    except OSError:  # a file system without locks (a shared folder of a virtual machine): on trust
        return


def check_no_records(out: Path) -> None:
    """Refuse a folder in which records would be mixed with those of another run.

    Raises:
        TestbedError: it holds records.
    """
    if out.is_dir() and any(out.glob("*.jsonl")):
        raise TestbedError(f"--out {out} holds records already; name another folder")


def _companions(plan: LanesPlan) -> list[str]:
    """Names of folders within that of the records, for those of sessions which share a lane with them."""
    out = plan.out.absolute()
    parents = dict.fromkeys(one.record.parent for one in plan.all_sessions)
    return [parent.name for parent in parents if parent.parent == out]


def _drop_if_empty(plan: LanesPlan) -> None:
    """Remove the folders of a run that came to nothing."""
    beside = [plan.out / name / part for name in _companions(plan) for part in (LOGS, "")]
    for folder in (*beside, plan.out / LOGS, *(() if plan.named else (plan.out,))):
        with contextlib.suppress(OSError):  # it holds something, or was never made
            folder.rmdir()
