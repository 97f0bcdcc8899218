"""What a session of dash.js needs. Where it is not there, tests are skipped and say why; under
STREAMBED_REQUIRE_BROWSER=1 (CI) they fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from testbed.server import dashjs
from tests.support.chromium import find_browser
from tests.support.ffmpeg import needs_ffmpeg

ROOT = Path(__file__).resolve().parents[2]


def needs_dashjs() -> None:
    """Skip, or fail, where dash.js, a browser or ffmpeg is missing."""
    find_browser()
    needs_ffmpeg()
    if dashjs.script() is None:
        reason = "no dash.js here; `testbed/setup.sh players` installs it"
        if os.environ.get("STREAMBED_REQUIRE_BROWSER") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


class Client:
    """`python -m testbed.browser` as its parent sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> dict[str, Any]:
        """Its next line."""
        assert self.process.stdout is not None
        text = await asyncio.wait_for(self.process.stdout.readline(), 90)
        assert text, "it ended without a word"
        line: dict[str, Any] = json.loads(text)
        return line

    async def tell(self, **line: Any) -> None:
        """A line on its input."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        await self.process.stdin.drain()

    async def ready(self) -> dict[str, Any]:
        """Let it load the page; the manifest that it tells."""
        assert (await self.line()) == {"line": "loaded"}
        await self.tell(go=True)
        line = await self.line()
        assert line["line"] == "ready"
        manifest: dict[str, Any] = line["manifest"]
        return manifest

    async def played(self) -> list[dict[str, Any]]:
        """Play; all lines to the end, states left out."""
        await self.tell(start_s=time.monotonic() + 0.1)
        lines = [await self.line()]
        while lines[-1]["line"] != "end":
            lines.append(await self.line())
        return [line for line in lines if line["line"] != "state"]


@contextlib.asynccontextmanager
async def client(url: str, *arguments: str, **variables: str) -> AsyncIterator[Client]:
    """One that has been started; ended at the end, with its browser."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "testbed.browser", url, "--stream", "--hold", *arguments),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=1 << 22,
        env={**os.environ, **variables},
    )
    try:
        yield Client(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            raise
