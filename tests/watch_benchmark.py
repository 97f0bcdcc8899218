"""What watching costs: `python -m tests.watch_benchmark [--browser]`.

So many records grow by so many lines a second, a page listens, and the processor time of the server is held
against the wall clock; with `--browser` also that of a headless Chromium that shows the page, which paints in
software. Exit status 1 where the server takes more than the bound.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from player.record import ChunkRow, RecordWriter
from tests.support.chromium import find_browser, opened
from tests.support.session_records import write_session
from traces.listening.addresses import LOOPBACK
from traces.safe_reading import read_json_lines

ROOT = Path(__file__).resolve().parents[1]
BOUND = 0.05
TICKS = os.sysconf("SC_CLK_TCK")


def processor_s(pid: int) -> float:
    """Processor time of a process and of all below it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (int(fields[11]) + int(fields[12])) / TICKS + sum(processor_s(int(child)) for child in children)


async def grow(folder: Path, lanes: int, rate: float, until_s: float) -> int:
    """Records with chunks of 1/rate s; how many lines were written."""
    first = write_session(folder.parent / "made.jsonl")
    manifest = next(iter(read_json_lines(first)))
    told = {name: value for name, value in manifest.items() if name not in ("line", "schema")}
    told["video"] |= {"chunks": 1000, "chunk_s": 1 / rate}
    writers = [RecordWriter(folder / f"lane{lane}.jsonl", told) for lane in range(lanes)]
    begun_s, chunk = time.monotonic(), 0
    while time.monotonic() < until_s:
        at_s = chunk / rate
        facts = {
            "bitrate_kbps": 1000,
            "size_bytes": 125_000,
            "ttfb_s": 0.05,
            "wait_s": 0.0,
            "decision_s": 0.001,
        }
        for place, writer in enumerate(writers):
            row = ChunkRow(
                chunk=chunk,
                level=(chunk // 5 + place) % 4,
                request_s=at_s,
                download_s=0.8 / rate,
                throughput_mbps=1.0 + chunk % 3,
                buffer_before_s=3.0,
                buffer_after_s=4.0 + (chunk + place) % 7,
                stall_s=0.0,
                by="policy",
                reason="as much as fits",
                **facts,  # type: ignore[arg-type]
            )
            writer.chunk(row)
        chunk += 1
        await asyncio.sleep(max(begun_s + (chunk + 1) / rate - time.monotonic(), 0.0))
    return chunk * lanes


async def listen(address: str, until_s: float) -> int:
    """A page's connection; how many events came."""
    events = 0
    async with aiohttp.ClientSession() as session, session.get(f"{address}events") as answer:
        while time.monotonic() < until_s:
            events += (await answer.content.readline()).startswith(b"data:")
    return events


async def measured(args: argparse.Namespace, folder: Path, address: str, pid: int) -> float:
    """The server's share of a core."""
    until_s = time.monotonic() + args.seconds + 2.0
    growing = asyncio.create_task(grow(folder, args.lanes, args.rate, until_s))
    listening = asyncio.create_task(listen(address, until_s - 0.5))
    await asyncio.sleep(1.0)
    before, begun_s = processor_s(pid), time.monotonic()
    await asyncio.sleep(args.seconds)
    share = (processor_s(pid) - before) / (time.monotonic() - begun_s)
    lines, events = await growing, await listening
    print(f"{args.lanes} lanes, {lines} lines written, {events} events heard in {args.seconds + 1.5:g} s")
    print(f"server: {share:.1%} of a core (bound {BOUND:.0%})")
    return share


async def painted(args: argparse.Namespace, folder: Path, address: str) -> None:
    """The browser's share of a core, over what it takes with an empty page."""
    async with opened(find_browser(), folder.parent / "profile") as tab:
        browser = next(
            int(child)
            for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            if b"--headless" in Path(f"/proc/{child}/cmdline").read_bytes()
        )
        await tab.ask("Page.enable")
        await tab.ask("Page.navigate", url=address)
        await tab.until("Page.loadEventFired")
        growing = asyncio.create_task(
            grow(folder, args.lanes, args.rate, time.monotonic() + args.seconds + 3)
        )
        await asyncio.sleep(2.0)
        before, begun_s = processor_s(browser), time.monotonic()
        await asyncio.sleep(args.seconds)
        share = (processor_s(browser) - before) / (time.monotonic() - begun_s)
        await growing
    print(f"headless Chromium that paints them in software: {share:.1%} of a core")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--rate", type=float, default=4.0, help="lines a second of each record")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--browser", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="streambed-") as place:
        folder = Path(place) / "run"
        folder.mkdir()
        return asyncio.run(_served(args, folder))


async def _served(args: argparse.Namespace, folder: Path) -> int:
    words = [sys.executable, "-m", "analysis", "watch", str(folder), "--port", "0", "--listen", LOOPBACK]
    server = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        assert server.stdout is not None
        address = (await server.stdout.readline()).decode().split()[1]
        share = await measured(args, folder, address, server.pid)
        if args.browser:
            await painted(args, folder, address)
        return int(share > BOUND)
    finally:
        server.terminate()
        await server.wait()


if __name__ == "__main__":
    sys.exit(main())
