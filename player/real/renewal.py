"""A live MPD is read again while its stream is watched: what it did not list yet, it lists by then.

Its segments are matched by their times: the one that is wanted next is that in which its middle is expected.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time

from player.real.fetch import Fetcher, OriginError, OriginLost
from player.video.mpd import Presentation, read_mpd
from player.video.mpd_live import LiveRead
from player.video.mpd_xml import MpdError

GIVE_UP_S = 5.0
"""Without a byte; what is known already is played on."""

_log = logging.getLogger(__name__)


class Renewal:
    """Of one session.

    Args:
        fetcher: the session's; nothing else is fetched meanwhile.
    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._read_s = time.monotonic()
        self._failed = False

    def due_s(self, presentation: Presentation) -> float:
        """In how many seconds the MPD may say something new: after its `@minimumUpdatePeriod`, and half a
        chunk's time (a period of 0 says that each segment is news); infinity where it never will."""
        if presentation.live is None or presentation.update_s is None or presentation.live.moves_to:
            return math.inf
        period_s = max(presentation.update_s, presentation.video.chunk_s / 2)
        return max(self._read_s + period_s - time.monotonic(), 0.0)

    async def renewed(self, presentation: Presentation, chunk: int) -> Presentation:
        """The presentation from a chunk on as its MPD has it now; as it was where that can't be had."""
        self._read_s = time.monotonic()
        try:
            text, url = await self._fetcher.read(presentation.mpd_url, GIVE_UP_S)
            new = await asyncio.to_thread(read_mpd, text, url, None, self._read(presentation, chunk))
            found = presentation.renewed(chunk, new)
        except (OriginError, OriginLost, MpdError) as error:
            if not self._failed:
                _log.warning("the live MPD can't be read again: %s", error)
            self._failed = True
            return presentation
        self._failed = False
        return found

    @staticmethod
    def _read(presentation: Presentation, chunk: int) -> LiveRead:
        """From the middle of the chunk on; the origin's clock is known."""
        live, chunk_s = presentation.live, presentation.video.chunk_s
        assert live is not None
        within_s = live.begins_s + live.clock_ahead_s + (chunk + 0.5) * chunk_s
        left = len(presentation.urls) - chunk
        return LiveRead(time.time(), left, clock=lambda _: live.clock_ahead_s, within_s=within_s)
