"""Run commands inside a lane's hosts, out of Ctrl-C's reach."""

from __future__ import annotations

import subprocess

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
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise TestbedError(f"{complaint}: {said[-1] if said else f'exit status {done.returncode}'}")


def run_script(pid: int, script: list[str], complaint: str) -> None:
    """Run shell commands in a host, stopping at the first that fails.

    Raises:
        TestbedError: one failed; the last it said is in the message.
    """
    run_checked(["mnexec", "-a", str(pid), "sh", "-ec", "\n".join(script)], complaint)
