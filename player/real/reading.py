"""A presentation from the network: the MPD, and where segments are parts of files, the indexes in these."""

from __future__ import annotations

import asyncio
import dataclasses
import time

from player.real.fetch import Fetcher, OriginLost
from player.video.byte_range import ByteRange
from player.video.mpd import Presentation, read_mpd
from player.video.mpd_live import LiveRead, time_s
from player.video.mpd_xml import MpdError


async def read_presentation(
    fetcher: Fetcher, url: str, give_up_s: float, live: LiveRead | None = None
) -> Presentation:
    """Read an MPD, and of its media what it takes to know the segments.

    Args:
        give_up_s: without a byte.
        live: with what a live stream is joined; what time it is, is asked here. None: one is refused.

    Raises:
        OriginLost, OriginError: it, an index or the time can't be had.
        MpdError: it, or an index, can't be used.
    """
    text, final_url = await fetcher.read(url, give_up_s)
    loop = asyncio.get_running_loop()

    def part_of(address: str, part: ByteRange | None = None) -> bytes:
        """In the thread that reads the MPD."""
        reading = asyncio.run_coroutine_threadsafe(fetcher.read(address, give_up_s, part), loop)
        return reading.result()[0]

    async def time_at(address: str) -> bytes:
        try:
            async with asyncio.timeout(CLOCK_S):
                return (await fetcher.read(address, give_up_s, most_bytes=LONGEST_TIME))[0]
        except TimeoutError:
            raise OriginLost(f"{address}: its clock has not answered in {CLOCK_S:g} s") from None

    def ahead_s(address: str) -> float:
        """What the clock there shows more than ours: its answer is of the middle of the round trip."""
        asked_s = time.time()
        said = asyncio.run_coroutine_threadsafe(time_at(address), loop).result()
        ours_s = (asked_s + time.time()) / 2
        try:
            return time_s(said.decode()) - ours_s
        except UnicodeDecodeError:
            raise MpdError(f"{address}: its clock does not tell the time") from None

    if live is not None:
        live = dataclasses.replace(live, now_s=time.time(), clock=ahead_s)
    return await asyncio.to_thread(read_mpd, text, final_url, part_of, live)


CLOCK_S = 5.0
"""For a clock's answer, all of it: the middle of a longer round trip tells no time to play by."""
LONGEST_TIME = 100
"""Bytes of it."""
