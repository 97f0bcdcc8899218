"""Run commands inside a lane's hosts, out of Ctrl-C's reach."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from testbed.process.errors import TestbedError


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)


def in_host(pid: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the namespaces of process `pid`, whatever comes of it."""
    return _run(["mnexec", "-a", str(pid), *command])


def run_checked(command: list[str], complaint: str) -> None:
    """Run a command that has to succeed.

    Raises:
        TestbedError: it failed; the last it said is in the message.
    """
    done = _run(command)
    _check(done.returncode, done.stdout, done.stderr, complaint)


def _check(status: int, out: str, errors: str, complaint: str) -> None:
    if status != 0:
        said = (errors.strip() or out.strip()).splitlines()
        raise TestbedError(f"{complaint}: {said[-1] if said else f'exit status {status}'}")


def run_script(pid: int, script: list[str], complaint: str) -> None:
    """Run shell commands in a host, stopping at the first that fails.

    Raises:
        TestbedError: one failed; the last it said is in the message.
    """
    run_scripts({pid: script}, {pid: complaint})


def run_scripts(scripts: Mapping[int, Sequence[str]], complaints: Mapping[int, str]) -> None:
    """The same in several hosts at once, by the id of a process in each.

    Raises:
        TestbedError: one failed; the last it said is in the message. The others have ended.
    """
    running = {
        pid: subprocess.Popen(
            ["mnexec", "-a", str(pid), "sh", "-ec", "\n".join(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for pid, script in scripts.items()
    }
    said = {pid: process.communicate() for pid, process in running.items()}
    for pid, process in running.items():
        _check(process.returncode, *said[pid], complaints[pid])
