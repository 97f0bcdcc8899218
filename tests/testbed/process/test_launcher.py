"""What the machine has no room for is refused, and the launcher goes on."""

from __future__ import annotations

import errno
import gc
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.process import launcher
from testbed.process.launcher import Launcher


def refusing(number: int) -> Callable[..., Any]:
    def refuse(*words: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return refuse


def asked_of_it(count: int) -> list[dict[str, Any]]:
    """What a launcher answers to so many orders for a module that it has."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    order = {"module": "json", "words": [], "pid": os.getpid(), "variables": {}}
    with ours, theirs:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for _ in range(count):
            socket.send_fds(ours, [json.dumps(order).encode()], [nowhere] * 3)
        os.close(nowhere)
        ours.shutdown(socket.SHUT_WR)
        Launcher({"json": json}, theirs).work()
        return [json.loads(ours.recv(launcher.MOST_BYTES)) for _ in range(count)]


@pytest.mark.parametrize(("call", "number"), [("fork", errno.EAGAIN), ("pipe", errno.EMFILE)])
def test_what_there_is_no_room_for_is_refused_and_the_next_is_heard(
    monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    monkeypatch.setattr(launcher.os, call, refusing(number))
    before = set(Path("/proc/self/fd").iterdir())
    assert asked_of_it(2) == [{"refused": os.strerror(number)}] * 2
    gc.collect()  # a selector holds itself
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_whoever_types_it_is_told_what_to_type() -> None:
    words = [sys.executable, "-m", "testbed.process.launcher", "player"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.endswith("run.py starts it; type testbed/run.py\n")
    assert len(done.stderr.splitlines()) == 1
