"""A headless Chromium of our own: found, started in an empty profile, ended with all its processes.

It is driven through a pipe: packets over its host's loopback would be counted with those of the session.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from traces.bound_processes import die_with_parent

BROWSERS = ("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "chrome")
INSTALL = "testbed/setup.sh players installs it"
START_S = 60.0
_ITS_INPUT, _ITS_OUTPUT = 3, 4
"""Descriptors that `--remote-debugging-pipe` reads commands from and writes answers to."""
_HIGH = 64
"""Descriptors from here on are none of those two."""
MOST_BYTES = 1 << 26
"""Of one message."""

_FEATURES_OFF = (
    "AutofillServerCommunication",
    "CertificateTransparencyComponentUpdater",
    "DialMediaRouteProvider",
    "MediaRouter",
    "OptimizationHints",
    "Translate",
)
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--mute-audio",
    "--no-first-run",
    "--hide-scrollbars",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-pipe",
    # No window is in front, and none may be slowed down for that.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    # Nothing but the page talks to anybody: each packet more would be somebody else's traffic on the link.
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-pings",
    f"--disable-features={','.join(_FEATURES_OFF)}",
)


NO_QUIC = ("--disable-quic",)


class BrowserError(Exception):
    """A browser that isn't there, doesn't start, or has gone; the message is one line.

    Args:
        outcome: how a session ends by it.
    """

    def __init__(self, reason: str, outcome: str = "browser-lost") -> None:
        super().__init__(reason)
        self.outcome = outcome


def find_browser() -> str:
    """A browser's path.

    Raises:
        BrowserError: there is none.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise BrowserError(f"no Chromium on this machine; {INSTALL}", "no-browser")
    return found


def browser_version(browser: str) -> str:
    """As it says itself, `Chromium 156.0.8078.108` say; empty where it says nothing.

    Raises:
        BrowserError: it doesn't run.
    """
    try:
        done = subprocess.run([browser, "--version"], capture_output=True, text=True, timeout=START_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrowserError(f"{browser} does not run: {error}", "no-browser") from None
    match = re.search(r"[A-Za-z ]*[0-9]+(?:\.[0-9]+)+", done.stdout)
    return match[0].strip() if match else ""


@dataclass(frozen=True)
class Browser:
    """A browser that runs."""

    process: asyncio.subprocess.Process
    profile: Path
    answers: asyncio.StreamReader
    commands: IO[bytes]

    @classmethod
    async def start(cls, hosts: tuple[str, ...], speaking: tuple[str, ...] = NO_QUIC) -> Browser:
        """Start one with an empty tab. `close` ends it.

        Args:
            hosts: the only ones that it may talk to, by address.
            speaking: flags that say by which protocol, and whom it believes.

        Raises:
            BrowserError: there is none, or it doesn't start.
        """
        profile = Path(tempfile.mkdtemp(prefix="streambed-browser-"))
        allowed = ", ".join(f"EXCLUDE {host}" for host in hosts)
        words = [
            *FLAGS,
            *speaking,
            f"--host-resolver-rules=MAP * ~NOTFOUND, {allowed}",
            f"--user-data-dir={profile}",
        ]
        if os.geteuid() == 0:
            words.append("--no-sandbox")  # its sandbox refuses root
        try:
            return await cls._started(find_browser(), words, profile)
        except BaseException:
            shutil.rmtree(profile, ignore_errors=True)
            raise

    @classmethod
    async def _started(cls, browser: str, words: list[str], profile: Path) -> Browser:
        with contextlib.ExitStack() as theirs:
            to_it, commands = _pipe(theirs)
            answers, from_it = _pipe(theirs, theirs_first=False)

            def ready() -> None:
                die_with_parent()
                os.dup2(to_it, _ITS_INPUT)
                os.dup2(from_it, _ITS_OUTPUT)

            try:
                process = await asyncio.create_subprocess_exec(
                    *(browser, *words, "about:blank"),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(_ITS_INPUT, _ITS_OUTPUT),
                    start_new_session=True,
                    preexec_fn=ready,
                    env={**os.environ, "HOME": str(profile)},
                )
            except OSError as error:
                os.close(commands)
                os.close(answers)
                raise BrowserError(f"the browser did not start: {error.strerror}", "no-browser") from None
        reader = asyncio.StreamReader(limit=MOST_BYTES)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(answers, "rb", buffering=0)
        )
        return cls(process, profile, reader, os.fdopen(commands, "wb", buffering=0))

    @property
    def ended(self) -> str:
        """How its process ended, in words."""
        status = self.process.returncode
        if status is None:
            return "it still runs"
        return f"signal {-status}" if status < 0 else f"exit status {status}"

    async def close(self) -> None:
        """End it and all that it started, and take its profile away."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        self.commands.close()
        await asyncio.to_thread(shutil.rmtree, self.profile, ignore_errors=True)


def _pipe(theirs: contextlib.ExitStack, theirs_first: bool = True) -> tuple[int, int]:
    """A pipe's two ends, of which the browser's is closed here when `theirs` is left."""
    ends = []
    for number in os.pipe():
        ends.append(fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _HIGH))
        os.close(number)
    theirs.callback(os.close, ends[0 if theirs_first else 1])
    return ends[0], ends[1]
