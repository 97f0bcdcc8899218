"""Players and origins forked from one process: as they would be with an interpreter of their own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from testbed.process.child import LINE_LIMIT, Child
from testbed.process.errors import TestbedError
from testbed.process.launching import ForkedProcess, Launching, launch_ahead
from tests.support.emulation import Namespace, a_namespace, net_namespace

pytestmark = [pytest.mark.emulation, pytest.mark.beside]

WORDS = ("http://10.0.0.1/v.mpd", "--policy", "bba", "--stream", "--hold")


def in_namespace(work: Callable[[Launching, Namespace], Awaitable[Any]]) -> Any:
    async def launched() -> Any:
        with a_namespace() as host:
            async with Launching() as launching:
                return await work(launching, host)

    return asyncio.run(launched())


async def a_player(launching: Launching, host: Namespace, *words: str) -> tuple[ForkedProcess, Child]:
    variables = {"LAUNCHING_TEST": "yes"}
    process = await launching.start("player", words or WORDS, host.pid, variables, LINE_LIMIT)
    return process, Child("a player", process)


def test_it_is_in_the_namespace_and_leads_a_session_and_ends_with_its_input() -> None:
    async def work(launching: Launching, host: Namespace) -> None:
        process, child = await a_player(launching, host)
        assert await child.first_line() == {"line": "loaded"}
        assert net_namespace(process.pid) == net_namespace(host.pid) != net_namespace("self")
        assert os.getsid(process.pid) == os.getpgid(process.pid) == process.pid
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode().split("\0")
        assert shown[1:-1] == ["-P", "-m", "player", *WORDS]
        assert Path(f"/proc/{process.pid}/cwd").readlink() == Path.cwd()
        await child.close()
        assert process.returncode == 1, "its parent has gone before anything was streamed"

    in_namespace(work)


def test_none_holds_what_is_anothers() -> None:
    """Or a player would not hear that its input ends while another one lives."""

    async def work(launching: Launching, host: Namespace) -> None:
        pairs = [await a_player(launching, host) for _ in range(3)]
        for _, child in pairs:
            await child.first_line()
        held = []
        for process, _ in pairs:
            found = set()
            for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
                with suppress(OSError):
                    found.add(str(descriptor.readlink()))
            held.append({one for one in found if one.startswith(("socket:", "pipe:"))})
        assert not held[0] & held[1] | held[1] & held[2] | held[0] & held[2]
        for process, child in pairs:
            await child.finish()
            assert process.returncode == 1

    in_namespace(work)


def test_mistakes_and_signals_end_it_as_they_do_others() -> None:
    async def work(launching: Launching, host: Namespace) -> None:
        _, child = await a_player(launching, host, "no URL", "--stream")
        with pytest.raises(TestbedError, match="'no URL' is no URL of an MPD"):
            await child.first_line()
        assert child.process.returncode == 2
        _, child = await a_player(launching, host, "--nonsense")
        with pytest.raises(TestbedError, match="see python -m player --help"):
            await child.first_line()
        assert child.process.returncode == 2
        for number, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 128 + signal.SIGTERM)):
            process, child = await a_player(launching, host)
            await child.first_line()
            child.signal(number)
            assert await process.wait() == status
            with pytest.raises(ProcessLookupError):
                process.send_signal(number)
        assert not launching.died()

    in_namespace(work)


def test_a_namespace_that_has_gone_is_told() -> None:
    async def work(launching: Launching, host: Namespace) -> None:
        host.close()
        with pytest.raises(TestbedError, match=r"a process did not start: .*No such file"):
            await a_player(launching, host)

    in_namespace(work)


def test_what_a_launcher_has_forked_dies_with_it() -> None:
    async def work(launching: Launching, host: Namespace) -> None:
        process, child = await a_player(launching, host)
        await child.first_line()
        assert launching._begun is not None
        launching._begun.process.kill()
        assert await process.wait() == -signal.SIGKILL
        assert await child.line() is None
        assert launching.died()
        with pytest.raises(TestbedError, match="has died"):
            await a_player(launching, host)

    in_namespace(work)


def test_whoever_is_cancelled_leaves_no_process() -> None:
    async def work(launching: Launching, host: Namespace) -> int:
        asked = asyncio.create_task(a_player(launching, host))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        process, child = await a_player(launching, host)
        await child.first_line()
        assert launching._begun is not None
        children = Path(f"/proc/{launching._begun.process.pid}/task/{launching._begun.process.pid}/children")
        while children.read_text().split() != [str(process.pid)]:
            await asyncio.sleep(0.01)

    in_namespace(work)


def test_a_launcher_that_was_begun_ahead_is_taken_once() -> None:
    launch_ahead()
    launch_ahead()

    async def work(launching: Launching, host: Namespace) -> int:
        async with Launching() as another:
            assert another._begun is not None and launching._begun is not None
            assert another._begun.process.pid != launching._begun.process.pid
            _, child = await a_player(another, host)
            await child.first_line()
        return launching._begun.process.pid

    pid = in_namespace(work)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
