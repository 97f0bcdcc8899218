"""A presentation from the network: the MPD, and where segments are parts of files, the indexes in these."""

from __future__ import annotations

import asyncio

from player.real.fetch import Fetcher
from player.video.byte_range import ByteRange
from player.video.mpd import Presentation, read_mpd


async def read_presentation(fetcher: Fetcher, url: str, give_up_s: float) -> Presentation:
    """Read an MPD, and of its media what it takes to know the segments.

    Args:
        give_up_s: without a byte.

    Raises:
        OriginLost, OriginError: it, or an index, can't be had.
        MpdError: it, or an index, can't be used.
    """
    text, final_url = await fetcher.read(url, give_up_s)
    loop = asyncio.get_running_loop()

    def part_of(address: str, part: ByteRange) -> bytes:
        """In the thread that reads the MPD."""
        reading = asyncio.run_coroutine_threadsafe(fetcher.read(address, give_up_s, part), loop)
        return reading.result()[0]

    return await asyncio.to_thread(read_mpd, text, final_url, part_of)
