"""Workers die with their parent, from their first instruction on, and leave Ctrl-C to it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from traces.bound_processes import worker_pool

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0

SLOW_TO_IMPORT = """\
import os, sys, time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

print(os.getpid(), flush=True)
time.sleep({import_s})  # a worker imports this file again before it is asked for anything

from traces.bound_processes import worker_pool


def work():
    time.sleep(600)


if __name__ == "__main__":
    with worker_pool(2) as pool:
        for _ in range(2):
            pool.submit(work)
        print("started", flush=True)
        time.sleep(600)
"""


def _until(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.02)
    return False


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _children(pid: int) -> set[int]:
    found = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found |= {int(word) for word in task.read_text().split()}
    return found


@pytest.mark.parametrize("import_s", [0.0, 60.0], ids=["at work", "while they import"])
def test_who_is_killed_leaves_no_worker(import_s: float, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(SLOW_TO_IMPORT.replace("{import_s}", f"{import_s} * (__name__ != '__main__')"))
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert parent.stdout is not None
    try:
        seen = [parent.stdout.readline() for _ in range(2)]
        assert "started\n" in seen
        workers: set[int] = set()
        assert _until(lambda: bool(workers.update(_children(parent.pid))) or len(workers) >= 3)
        if import_s == 0.0:
            parent.stdout.readline(), parent.stdout.readline()  # both workers are past their imports
    finally:
        parent.kill()
        parent.wait()
    assert _until(lambda: not any(map(_alive, workers))), [pid for pid in workers if _alive(pid)]


def _napping() -> None:
    time.sleep(600)


def _ignores_interrupts() -> bool:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_an_interrupt_ends_the_work_and_a_fault_waits_for_it() -> None:
    with pytest.raises(KeyboardInterrupt), worker_pool(1) as pool:
        pool.submit(_napping)
        assert _until(lambda: bool(_children(os.getpid())))
        raise KeyboardInterrupt
    with worker_pool(1) as pool:
        asked = pool.submit(_ignores_interrupts)
    assert asked.result() is True


def _thread_that_stays() -> str:
    threading.Thread(target=time.sleep, args=(600,)).start()
    return "done"


def _child_that_stays() -> int:
    child = os.fork()
    if child == 0:
        time.sleep(600)
    return child


def _child_that_stays_and_an_end(place: str) -> None:
    Path(place).write_text(str(_child_that_stays()))
    os._exit(0)


def test_a_pool_ends_without_what_its_work_has_left_behind() -> None:
    with worker_pool(1) as pool:
        assert pool.submit(_thread_that_stays).result() == "done"
        child = pool.submit(_child_that_stays).result()
    assert _until(lambda: not _alive(child))


def test_a_worker_that_ends_is_noticed_though_its_child_lives_on(tmp_path: Path) -> None:
    place = tmp_path / "child"
    with pytest.raises(BrokenProcessPool), worker_pool(1) as pool:
        pool.submit(_child_that_stays_and_an_end, str(place)).result(PATIENCE_S)
    assert _until(lambda: not _alive(int(place.read_text())))
