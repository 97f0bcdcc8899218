"""An engine in a process of its own answers as one in ours, to the last bit, and its end is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from policies.llm.engine.apart import EnginesApart
from policies.llm.engine.asked import AskedEngine
from policies.llm.engine.contract import EngineFull, EngineGone
from policies.llm.engine.engine import Engine
from policies.llm.model.adapter import AdapterError
from policies.llm.model.tiny import tiny_adapter
from policies.llm.tasks.ladder.task import TASK

OPTIONS = {"device": "cpu", "slots": 3, "threads": 1, "dtype": "float32", "max_steps": 8}


def steps(sessions: int, count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((sessions, count, TASK.width)).astype(np.float32)


def test_it_answers_as_the_same_engine_here_also_when_sessions_come_and_go(tmp_path: Path) -> None:
    folder, vectors = tiny_adapter(TASK, tmp_path), steps(4, 12)
    here = Engine(TASK, folder, **OPTIONS)  # type: ignore[arg-type]
    with EnginesApart([AskedEngine(TASK, folder, OPTIONS)]) as apart:
        (there,) = apart.loaded()
        assert there.info == here.info and apart.versions["torch"]
        slots = [here.open() for _ in range(3)]
        assert [there.open() for _ in range(3)] == slots
        with pytest.raises(EngineFull):
            there.open()
        for count in range(12):
            if count == 5:  # another session gets the slot
                for engine in (here, there):
                    engine.close(slots[1])
                    assert engine.open() == slots[1]
            work = [(slot, vectors[slot, count : count + 1]) for slot in slots[count % 2 :]]
            assert [there.rows(slot, 1) for slot in slots] == [here.rows(slot, 1) for slot in slots]
            assert np.array_equal(there.forward(work), here.forward(work))
        with pytest.raises(ValueError, match="steps of shape"):
            there.forward([(slots[0], np.zeros((1, 3), np.float32))])
        there.close(slots[2])
        there.open()
        assert there.forward([(slots[2], vectors[3, :2])]).shape == (1, here.info.outputs)


def test_what_cannot_be_loaded_is_said_in_the_same_words(tmp_path: Path) -> None:
    with pytest.raises(AdapterError) as here:
        Engine(TASK, tmp_path)
    asked = [AskedEngine(TASK, tmp_path, OPTIONS)]
    with EnginesApart(asked) as apart, pytest.raises(AdapterError) as there:
        apart.loaded()
    assert str(there.value) == str(here.value)


def test_a_process_that_was_killed_is_said_with_the_way_out(tmp_path: Path) -> None:
    with EnginesApart([AskedEngine(TASK, tiny_adapter(TASK, tmp_path), OPTIONS)]) as apart:
        (engine,) = apart.loaded()
        slot = engine.open()
        engine.forward([(slot, steps(1, 1)[0])])
        assert not apart.ended
        os.kill(apart.pid, signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(EngineGone, match=r"has ended by signal SIGKILL; .* start the server again"):
                engine.forward([(slot, steps(1, 1)[0])])
        assert apart.ended


_FORKS = """
import hashlib, json, os, signal, sys
from pathlib import Path
import numpy as np
from policies.llm.engine.apart import EnginesApart
from policies.llm.engine.asked import AskedEngine
from policies.llm.engine.contract import EngineGone
from policies.llm.task import DEFAULT, task_named

task, options = task_named(DEFAULT), json.loads(sys.argv[2])
task.ready()
assert "numba" in sys.modules
vectors = np.random.default_rng(0).standard_normal((6, task.width)).astype(np.float32)
answers = []
for forks in (True, False):
    with EnginesApart([AskedEngine(task, Path(sys.argv[1]), options)], forks=forks) as apart:
        (engine,) = apart.loaded()
        slot = engine.open()
        answers.append(b"".join(engine.forward([(slot, each[None])]).tobytes() for each in vectors))
        parent = Path(f"/proc/{apart.pid}/stat").read_text().rpartition(")")[2].split()[1]
        assert not apart.ended and int(parent) == os.getpid()
        os.kill(apart.pid, signal.SIGKILL)
        try:
            engine.forward([(slot, vectors[:1])])
        except EngineGone as error:
            answers.append(str(error))
        assert apart.ended
assert len(answers[0]) == 6 * 4 * engine.info.outputs
print(json.dumps([answers[0] == answers[2], answers[1], answers[3], "torch" in sys.modules]))
"""


def test_forked_it_answers_as_one_with_an_interpreter_of_its_own(tmp_path: Path) -> None:
    """To the last bit; and who forks it loads no torch."""
    folder = tiny_adapter(TASK, tmp_path)
    words = [sys.executable, "-c", _FORKS, str(folder), json.dumps(OPTIONS)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    same, forked, own, torch_here = json.loads(done.stdout)
    assert same and not torch_here
    assert forked == own
    assert "by signal SIGKILL" in forked


def test_a_forked_process_prints_no_answers_and_dies_with_its_parent() -> None:
    program = """
import os, sys, time
from policies.llm.engine.forked import ForkedProcess
from traces.bound_processes import die_with_parent

def work():
    print("of the child", sys.stdin.read() == "")
    return 3

print(ForkedProcess(work, die_with_parent).wait(), flush=True)
print(ForkedProcess(lambda: 1 / 0, die_with_parent).wait(), flush=True)
print(ForkedProcess(lambda: time.sleep(600) or 0, die_with_parent).pid, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, input="mine")
    assert done.returncode == 0, done.stderr
    ended, raised, left = done.stdout.splitlines()
    assert (ended, raised) == ("3", "1")
    assert "of the child True" in done.stderr and "ZeroDivisionError" in done.stderr
    state, until = Path(f"/proc/{left}/stat"), time.monotonic() + 20.0
    while state.exists() and time.monotonic() < until:  # it has closed its files, and is on its way out
        time.sleep(0.01)
    assert not state.exists()
