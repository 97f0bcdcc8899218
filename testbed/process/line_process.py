"""A process of ours in a lane's namespace, asked and answering in lines of JSON, without an event loop."""

from __future__ import annotations

import json
import select
import subprocess
import threading
from collections.abc import Mapping
from typing import Any

from testbed.process.children import environment, python_in
from testbed.process.errors import TestbedError
from traces.bound_processes import die_with_parent

START_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 5.0


class LineProcess:
    """Python's `module` in the namespaces of process `pid`, which imports what it needs until it is told to
    `begin`; `what` names it.
    """

    def __init__(self, what: str, pid: int, module: str) -> None:
        self._what = what
        self._turn = threading.Lock()
        self._silent = False
        """It has left a question open: its late answer would be taken for the next one's."""
        self._process: subprocess.Popen[str] | None = subprocess.Popen(
            python_in(pid, "-m", module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            preexec_fn=die_with_parent,
            start_new_session=True,
        )
        self.ready: Mapping[str, Any] = {}
        """What it said of itself when it was ready."""

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Tell it its settings and wait until it is ready.

        Raises:
            TestbedError: it did not start; its last word is in the message.
        """
        ready = self._exchange(settings, START_TIMEOUT_S)
        if ready is None:
            said = self._last_word()
            self.stop()
            raise TestbedError(f"{self._what} did not start: {said}")
        self.ready = ready

    @property
    def pid(self) -> int | None:
        """Of the process; None once it was stopped."""
        return None if self._process is None else self._process.pid

    def ask(self, **question: Any) -> dict[str, Any]:
        """Ask and read the answer; threads take turns.

        Raises:
            TestbedError: there is none, or there was none to an earlier question.
        """
        with self._turn:
            if self._process is None or self._silent:
                answer = None
            else:
                answer = self._exchange(question, ANSWER_TIMEOUT_S)
                self._silent = answer is None
        if answer is None:
            raise TestbedError(f"{self._what} does not answer")
        return answer

    def _exchange(self, line: Mapping[str, Any], timeout_s: float) -> dict[str, Any] | None:
        process = self._process
        assert process is not None and process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps(line) + "\n")
            process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return None
        waiting = select.poll()  # select() stops at descriptor 1023, and a hundred lanes go beyond
        waiting.register(process.stdout, select.POLLIN)
        text = process.stdout.readline() if waiting.poll(timeout_s * 1000) else ""
        answer: dict[str, Any] | None = json.loads(text) if text else None
        return answer

    def _last_word(self) -> str:
        process = self._process
        assert process is not None and process.stderr is not None
        if process.poll() is None:
            try:
                process.wait(0.5)
            except subprocess.TimeoutExpired:
                return "no word"
        said = process.stderr.read().strip().splitlines()
        return said[-1] if said else f"exit status {process.returncode}"

    def died(self) -> bool:
        """Whether it has ended though nobody stopped it."""
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> None:
        """End its input and wait; then insist. Safe to call twice."""
        with self._turn:
            process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate("", timeout=ANSWER_TIMEOUT_S)
        except (subprocess.TimeoutExpired, ValueError):
            process.kill()
            process.wait()
