"""Where one watches a live stream: how far behind its making, when to ask for more, how fast to play."""

from __future__ import annotations

from player.live.stream import LiveSettings, LiveStream, playback_rate


class LivePosition:
    """Of one session. Times are its clock's.

    Args:
        stream: what is watched.
        settings: how.
        chunk_s: of one chunk.
        to_unix_s: what to add to the clock to have Unix time.
    """

    def __init__(self, stream: LiveStream, settings: LiveSettings, chunk_s: float, to_unix_s: float) -> None:
        self._stream = stream
        self._most_faster = settings.most_faster
        self._wanted_s = settings.wanted_s(chunk_s, stream.suggested_s)
        self._chunk_s = chunk_s
        self._to_unix_s = to_unix_s
        self._recovering = False

    @property
    def part_s(self) -> float | None:
        """What a part of a chunk lasts that comes as it is made; None where chunks come whole."""
        part_s = self._chunk_s - self._stream.ahead_s
        return part_s if self._stream.ahead_s > 0 and part_s > 0 else None

    def follow(self, stream: LiveStream) -> None:
        """Its MPD was read again, and tells its times anew."""
        self._stream = stream

    def latency_s(self, now_s: float, position_s: float) -> float:
        """How far behind one is."""
        return self._stream.latency_s(now_s + self._to_unix_s, position_s)

    def held_s(self, chunk: int, now_s: float) -> float:
        """How long until a chunk can be asked for."""
        at_s = self._stream.available_s(chunk, self._chunk_s)
        return max(at_s - (now_s + self._to_unix_s), 0.0)

    def rate(self, now_s: float, position_s: float, buffer_s: float) -> float:
        """How fast to play from now on; after a stall at 1, until half of the latency is buffered."""
        if buffer_s <= 0:
            self._recovering = True
        elif buffer_s > self._wanted_s / 2:
            self._recovering = False
        late_s = self.latency_s(now_s, position_s)
        return playback_rate(late_s, self._wanted_s, self._most_faster, self._recovering)
