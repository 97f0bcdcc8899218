"""A process asked in lines: who does not start, does not answer or does not end is told in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed.process.errors import TestbedError
from testbed.process.line_process import LineProcess

ECHO = """
import json, sys, time
settings = json.loads(sys.stdin.readline())
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    time.sleep(json.loads(line).get("after_s", 0))
    print(json.dumps({"asked": json.loads(line), "settings": settings}), flush=True)
"""
"""Answers each question with the question, after a while where that is asked for."""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What runs in place of the module, without a namespace of its own."""
    path = tmp_path / "script.py"
    monkeypatch.setattr(
        "testbed.process.line_process.python_in", lambda pid, *words: [sys.executable, str(path), *words]
    )
    return path


@contextmanager
def started(script: Path, text: str = ECHO) -> Iterator[LineProcess]:
    script.write_text(text)
    process = LineProcess("the echo", 1, "some.module")
    try:
        process.begin({"delay_ms": 80})
        yield process
    finally:
        process.stop()


def test_settings_come_first_and_each_question_has_its_answer(script: Path) -> None:
    with started(script) as process:
        for number in range(3):
            assert process.ask(do="report", number=number) == {
                "asked": {"do": "report", "number": number},
                "settings": {"delay_ms": 80},
            }
        assert process.pid is not None and not process.died()


def test_threads_take_turns_and_get_their_own_answers(script: Path) -> None:
    with started(script) as process, ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda number: process.ask(number=number, after_s=0.002 * (number % 3)), range(48))
        assert [answer["asked"]["number"] for answer in answers] == list(range(48))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; sys.stdin.readline(); print('x', file=sys.stderr); sys.exit('no socket')", "no socket"),
        ("import sys; sys.exit(7)", "exit status 7"),
        ("import os; os.close(1); import time; time.sleep(60)", "no word"),
    ],
)
def test_what_does_not_start_is_told_with_its_last_word_and_ended(
    script: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    begun: list[subprocess.Popen[str]] = []

    def popen(*words: Any, **options: Any) -> subprocess.Popen[str]:
        begun.append(popened(*words, **options))
        return begun[-1]

    popened = subprocess.Popen
    monkeypatch.setattr("testbed.process.line_process.subprocess.Popen", popen)
    monkeypatch.setattr("testbed.process.line_process.ANSWER_TIMEOUT_S", 0.3)
    with pytest.raises(TestbedError) as caught, started(script, text):
        pass
    assert str(caught.value) == f"the echo did not start: {said}"
    assert begun[0].returncode is not None, "it was not left behind"


def test_who_did_not_answer_is_not_asked_again(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its late answer would be taken for that to the next question."""
    with started(script) as process:
        monkeypatch.setattr("testbed.process.line_process.ANSWER_TIMEOUT_S", 0.2)
        with pytest.raises(TestbedError, match=r"^the echo does not answer$"):
            process.ask(number=1, after_s=0.4)
        monkeypatch.setattr("testbed.process.line_process.ANSWER_TIMEOUT_S", 10.0)
        for number in (2, 3):
            with pytest.raises(TestbedError, match=r"^the echo does not answer$"):
                process.ask(number=number)
        assert not process.died(), "slow is not dead"


def test_who_ended_by_itself_has_died_and_does_not_answer(script: Path) -> None:
    with started(
        script, ECHO.replace("for line in sys.stdin:", "for line in [sys.stdin.readline()]:")
    ) as process:
        process.ask(number=1)
        with pytest.raises(TestbedError, match="the echo does not answer"):
            while True:  # it may live for a moment after its last answer
                process.ask(number=2)
        process._process.wait(10)  # type: ignore[union-attr]
        assert process.died()


@pytest.mark.parametrize("deaf", [False, True])
def test_what_is_stopped_ends_whether_it_listens_or_not(
    script: Path, monkeypatch: pytest.MonkeyPatch, deaf: bool
) -> None:
    monkeypatch.setattr("testbed.process.line_process.ANSWER_TIMEOUT_S", 0.3 if deaf else 10.0)
    with started(script, ECHO + ("time.sleep(60)" if deaf else "")) as process:
        child = process._process
        assert child is not None
        process.stop()
        assert child.returncode == (-9 if deaf else 0)
        assert process.pid is None and not process.died()
        with pytest.raises(TestbedError, match="does not answer"):
            process.ask(do="report")
        process.stop()
