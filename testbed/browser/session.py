"""What the page tells, as a record's rows.

Times are the page's, by the browser's clock (`performance.now()`), moved to the scale of our session's clock.
Stalls are the video element's own: from its `waiting` to its `playing`. A chunk's request, first and last
byte are those of the browser's network stack (Resource Timing).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from player.observation import PastChunk
from player.real.cmsd import HEADER, SenderInfo, decode
from player.real.fetch import LEAST_BUSY_S
from player.real.session import ENDED, PlayerState
from player.record import FINISHED, PLAYER_ERROR, ChunkRow, EndRow
from player.video.video import Video

BY_POLICY = "policy"
_SHORTEST_S = 1e-6


@dataclass(frozen=True)
class Decided:
    """Who decided a chunk's level."""

    by: str
    reason: str
    decision_s: float


@dataclass(frozen=True)
class ClientRequest:
    """A request of the client's, as it tells of it."""

    path: str
    status: int | None


class PageSession:
    """Hears the page; tells rows, states and, once, how it ended.

    Args:
        decided: who decided a chunk.
        chunk, state: are told of what happened.
    """

    def __init__(
        self,
        video: Video,
        decided: Callable[[int], Decided],
        chunk: Callable[[ChunkRow], None],
        state: Callable[[PlayerState], None],
    ) -> None:
        self._video = video
        self._decided = decided
        self._tell_chunk = chunk
        self._tell_state = state
        self._began_s = self._offset_s = 0.0
        self._charged_ms = 0.0
        self._last_in_s = 0.0
        self._given_up: dict[int, list[str]] = {}
        self._startup_s: float | None = None
        self._stall_s = self._buffer_s = 0.0
        self.history: list[PastChunk] = []
        self.requests: tuple[ClientRequest, ...] = ()
        """Of segments, once it has ended."""
        self.protocols: dict[str, int] = {}
        """How many segments came by which protocol, by the names of ALPN, once it has ended."""
        self.ended: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
        """Outcome and reason."""
        self._end_s: float | None = None
        self._played_s: float | None = None

    def begin(self, began_s: float, offset_s: float) -> None:
        """The session begins at monotonic time `began_s`; the page's seconds plus `offset_s` are such."""
        self._began_s, self._offset_s = began_s, offset_s

    def hear(self, facts: Mapping[str, Any]) -> None:
        """A thing that the page tells."""
        what = facts["what"]
        if what == "chunk":
            self._chunk(facts)
        elif what == "abandoned":
            said = f"level {facts['level']} given up after {facts['bytes']} bytes"
            self._given_up.setdefault(int(facts["chunk"]), []).append(said)
        elif what == "started":
            self._startup_s = self._since_begin_s(facts["at"])
        elif what == "state":
            self._state(facts)
        elif what in ("ended", "failed") and not self.ended.done():
            self._end(facts)

    def end_row(self, outcome: str, reason: str) -> EndRow:
        """The last line, now or as of the page's end."""
        elapsed_s = self._end_s if self._end_s is not None else max(time.monotonic() - self._began_s, 0.0)
        startup_s = min(self._startup_s if self._startup_s is not None else elapsed_s, elapsed_s)
        stall_s = min(self._stall_s, elapsed_s - startup_s)
        played_s = self._played_s if self._played_s is not None else elapsed_s - startup_s - stall_s
        self._tell_state(self._shown(ENDED, elapsed_s, 0))
        return EndRow(
            outcome=outcome,
            reason=reason,
            chunks=len(self.history),
            startup_s=startup_s,
            stall_s=stall_s,
            played_s=played_s,
            elapsed_s=elapsed_s,
        )

    def _since_begin_s(self, at_ms: float) -> float:
        return max(at_ms / 1000.0 + self._offset_s - self._began_s, 0.0)

    def _chunk(self, facts: Mapping[str, Any]) -> None:
        chunk, level = int(facts["chunk"]), int(facts["level"])
        if chunk != len(self.history):
            said = f"dash.js fetched chunk {chunk} where {len(self.history)} was due"
            self._fail(PLAYER_ERROR, said, facts["at"])
            return
        sender = _sender(facts.get("headers") or "")
        past = self._past(level, facts)
        self._tell_chunk(self._row(chunk, past, facts, sender))
        self.history.append(past)
        self._charged_ms = float(facts["stall_ms"])
        self._last_in_s = self._since_begin_s(facts["appended"])

    def _past(self, level: int, facts: Mapping[str, Any]) -> PastChunk:
        """As a policy sees it. A page can't ask its own end for a round trip: the time to the first byte is
        what is nearest to it. The origin's end would say several times as much, for what waits in the
        bottleneck's queue, which ours does not see (our player's kernel times requests)."""
        download_s = _link_s(facts) or max((facts["last"] - facts["sent"]) / 1000.0, _SHORTEST_S)
        return PastChunk(
            level=level,
            size_bytes=int(facts["size_bytes"]),
            download_s=download_s,
            throughput_mbps=8 * int(facts["size_bytes"]) / download_s / 1e6,
            rtt_ms=_ttfb_ms(facts),
            stall_s=(facts["stall_ms"] - self._charged_ms) / 1000.0,
            buffer_s=facts["buffer_after_ms"] / 1000.0,
        )

    def _row(self, chunk: int, past: PastChunk, facts: Mapping[str, Any], sender: SenderInfo) -> ChunkRow:
        decided = self._decided(chunk)
        given_up = self._given_up.pop(chunk, [])
        request_s = self._since_begin_s(facts["sent"])
        return ChunkRow(
            chunk=chunk,
            level=past.level,
            bitrate_kbps=self._video.ladder_kbps[past.level],
            size_bytes=past.size_bytes,
            request_s=request_s,
            ttfb_s=_ttfb_ms(facts) / 1000.0,
            download_s=max((facts["last"] - facts["sent"]) / 1000.0, _SHORTEST_S),
            throughput_mbps=past.throughput_mbps,
            buffer_before_s=facts["buffer_before_ms"] / 1000.0,
            buffer_after_s=past.buffer_s,
            wait_s=max(request_s - self._last_in_s - decided.decision_s, 0.0),
            stall_s=past.stall_s,
            decision_s=decided.decision_s,
            by=decided.by,
            reason="; ".join(filter(None, [decided.reason, *given_up])),
            retries=len(given_up),
            server_rtt_ms=sender.rtt_ms,
            server_retransmits=sender.retransmits,
            server_delivery_mbps=sender.delivery_mbps,
            latency_s=None if facts.get("latency_s") is None else float(facts["latency_s"]),
        )

    def _state(self, facts: Mapping[str, Any]) -> None:
        self._stall_s, self._buffer_s = facts["stall_ms"] / 1000.0, facts["buffer_ms"] / 1000.0
        shown = self._shown(str(facts["phase"]), self._since_begin_s(facts["at"]), int(facts["bytes"] or 0))
        level = facts["level"]
        self._tell_state(
            replace(shown, chunk=int(facts["chunk"]), level=None if level is None else int(level))
        )

    def _shown(self, phase: str, t_s: float, downloaded_bytes: int) -> PlayerState:
        return PlayerState(
            t_s=t_s,
            phase=phase,
            chunk=min(len(self.history), self._video.chunks - 1),
            level=self.history[-1].level if self.history else None,
            buffer_s=0.0 if phase == ENDED else self._buffer_s,
            stall_s=self._stall_s,
            downloaded_bytes=downloaded_bytes,
        )

    def _fail(self, outcome: str, reason: str, at_ms: float) -> None:
        if not self.ended.done():
            self._end_s = self._since_begin_s(at_ms)
            self.ended.set_result((outcome, reason))

    def _end(self, facts: Mapping[str, Any]) -> None:
        self._end_s = self._since_begin_s(facts["at"])
        self._stall_s = facts["stall_ms"] / 1000.0
        self._played_s = None if facts["played_ms"] is None else facts["played_ms"] / 1000.0
        self.requests = _requests(facts.get("requests", ()))
        self.protocols = {str(name): int(count) for name, count in dict(facts.get("protocols") or {}).items()}
        if facts["what"] == "failed":
            self.ended.set_result((str(facts["outcome"]), " ".join(str(facts["reason"]).split())))
        else:
            self.ended.set_result((FINISHED, ""))


def _link_s(facts: Mapping[str, Any]) -> float | None:
    """How long a chunk that came as it was made would have taken over the link alone, by how fast its parts
    came; None of any other, or where too little came so to tell."""
    busy_s = facts.get("busy_ms", 0.0) / 1000.0
    if busy_s < LEAST_BUSY_S or not facts["busy_bytes"]:
        return None
    return float(facts["size_bytes"] * busy_s / facts["busy_bytes"])


def _ttfb_ms(facts: Mapping[str, Any]) -> float:
    return max(float(facts["first"] - facts["sent"]), 0.0)


def _requests(told: Sequence[Mapping[str, Any]]) -> tuple[ClientRequest, ...]:
    return tuple(ClientRequest(urlsplit(str(one["url"])).path, one["status"]) for one in told)


def _sender(headers: str) -> SenderInfo:
    """What the origin said of its end, of an answer's headers, one a line."""
    for line in headers.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == HEADER.lower():
            return decode(value)
    return SenderInfo()
