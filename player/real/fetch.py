"""Fetches chunks over one lasting HTTP connection, whatever its protocol, and gets over broken ones.

What is a broken connection, and what a slow one? A connection that the kernel reports as reset or
closed is broken at once. A silent one may only be slow: TCP itself repairs a dark link, and every
byte that comes proves it alive. But TCP's retransmission timer doubles at each try, so that after a
minute of darkness the sender may sleep for another (measured: 60 s dark, bytes again 47 s after the
link's return), while a new connection's SYNs go out every few seconds (bytes again after 5 s). Hence
after `read_s` without a byte the connection is given up, new ones are tried, each for `connect_s`,
and the body goes on where it broke (Range, RFC 9110 section 14). Only `give_up_s` without a single
new byte ends the session.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from player.real.cmsd import HEADER, SenderInfo, decode
from player.real.settings import Timeouts
from player.transport.answer import Answer, Broken, Carrier, SaidNo, Unusable
from player.transport.carriers import carrier_of
from player.transport.names import H1
from player.video.byte_range import ByteRange

BACKOFF_FIRST_S = 0.25
REFUSED_GIVE_UP_S = 2.0
"""Of a small file that somebody waits for: a server that is just starting is there by then (tries at 0,
0.25, 0.75 and 1.75 s), and a closed port or a name that nobody has stays what it is."""

BACKOFF_LONGEST_S = 4.0
"""Between tries that fail at once (connection refused); a chunk's length at most."""

MOST_KEPT_BYTES = 64 * 1024 * 1024
"""Of a body that is kept. The MPD of a day in 2-s chunks, six levels, each with its URL, is some 15 MB."""

AWAITED_S = 5.0
"""So long after it was first asked for, or since something of it came, a chunk of a live stream may not be
there yet."""

LEAST_BUSY_S = 0.005
"""Of parts on their way, to tell by them how fast the link is."""

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,20})-([0-9]{1,20})/([0-9]{1,20}|\*)")
_TRY_AGAIN = {408, 425, 429}
"""Client-error codes that say "later" (RFC 9110, RFC 8470, RFC 6585); so do all 5xx."""


class OriginLost(Exception):
    """No new byte for too long; the message names the last fault."""


class OriginError(Exception):
    """The origin answers, but not with what was asked for; trying again would not help."""


@dataclass(frozen=True)
class FetchResult:
    """One body that has arrived whole."""

    requested_s: float
    """time.monotonic() when the (first) request was sent."""
    ttfb_s: float
    """From the request to the headers of the first good answer."""
    download_s: float
    """From the request to the last byte, retries included."""
    size_bytes: int
    """Of the body; bytes that came twice count once."""
    retries: int
    """Requests after the first."""
    rtt_ms: float | None
    """Our end's smoothed RTT when the body was in."""
    rcv_rtt_ms: float | None
    """Our end's receive-side RTT estimate then."""
    server_rtt_ms: float | None
    """What the origin said of its end when it began to answer."""
    server_retransmits: int | None
    server_delivery_mbps: float | None
    link_mbps: float | None = None
    """Of a body that came in parts as it was made: how fast each part came, from its first bytes on; None
    where too little came so to tell."""


@dataclass
class PartsArrival:
    """How the parts of a body came, each of them at once, with pauses between."""

    parts: int = 0
    busy_s: float = 0.0
    busy_bytes: int = 0
    """What came in that time: of each part all but what came first."""
    _first_s: float | None = None
    _last_s: float = 0.0
    _since_first: int = 0

    def take(self, count: int, now_s: float) -> None:
        """So many bytes have come."""
        if self._first_s is None:
            self._first_s, self._since_first = now_s, 0
        else:
            self._since_first += count
        self._last_s = now_s

    def end(self) -> None:
        """A part is whole."""
        self.parts += 1
        if self._first_s is not None:
            self.busy_s += self._last_s - self._first_s
            self.busy_bytes += self._since_first
        self._first_s = None

    @property
    def mbps(self) -> float | None:
        """None where too little came so."""
        if self.busy_s < LEAST_BUSY_S:
            return None
        return self.busy_bytes * 8 / self.busy_s / 1e6


@dataclass
class _Download:
    """The state of one body across connections."""

    url: str
    expected_bytes: int | None
    requested_s: float
    last_new_s: float
    """When a byte came that had not come before."""
    keep: bytearray | None = None
    most_bytes: int | None = None
    """Of a body that is kept; None: `MOST_KEPT_BYTES`."""
    part: ByteRange | None = None
    """Of the file; None: all of it."""
    awaited: bool = False
    """It is about to be made: that it is not there yet is no answer."""
    received: int = 0
    furthest: int = 0
    """The most that was ever received: a body that starts over brings nothing new below it."""
    total: int | None = None
    """Bytes of the whole body."""
    etag: str | None = None
    first_byte_s: float | None = None
    retries: int = 0
    final_url: str = ""
    sender: SenderInfo = field(default_factory=SenderInfo)
    heard: Callable[[int], None] | None = None
    """Is told how many parts (chunks of HTTP) have come."""
    arrival: PartsArrival = field(default_factory=PartsArrival)


class Fetcher:
    """An HTTP client with one connection. Use it as an async context manager, one fetch at a time.

    Args:
        transport: one of `player.transport.names.TRANSPORTS`.
        trusted: of https, the certificate to believe, as PEM; None: the system's authorities.

    Raises:
        TransportError: as a context manager: the protocol, or the certificate, can't be had.
    """

    def __init__(
        self, timeouts: Timeouts | None = None, transport: str = H1, trusted: str | None = None
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._transport, self._trusted = transport, trusted
        self._carrier: Carrier | None = None
        self._now: _Download | None = None

    async def __aenter__(self) -> Fetcher:
        self._carrier = carrier_of(self._transport, self._trusted)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._carrier is not None:
            await self._carrier.close()

    @property
    def negotiated(self) -> Mapping[str, Any] | None:
        """See `Carrier`."""
        return None if self._carrier is None else self._carrier.negotiated

    @property
    def datagrams(self) -> tuple[int, int] | None:
        """See `Carrier`."""
        return None if self._carrier is None else self._carrier.datagrams

    @property
    def progress_bytes(self) -> int:
        """Of the body that is being fetched, how much has arrived; 0 between bodies."""
        return self._now.received if self._now else 0

    @property
    def first_byte_s(self) -> float | None:
        """time.monotonic() when the answer to the request under way began; None before that and between."""
        return self._now.first_byte_s if self._now else None

    async def fetch(
        self,
        url: str,
        expected_bytes: int | None = None,
        part: ByteRange | None = None,
        heard: Callable[[int], None] | None = None,
        awaited: bool = False,
    ) -> FetchResult:
        """Fetch a body and throw it away.

        Args:
            expected_bytes: its length where that is known for sure.
            part: of the file, which is then all that is fetched; None: all of it.
            heard: is told how many parts have come of a body that is sent in parts (chunks of HTTP).
            awaited: it is about to be made; one that is not there is asked for again, for a while.

        Raises:
            OriginLost: no new byte for `give_up_s`.
            OriginError: a 4xx, a body of another length, a file that ends before the part does, a server that
                serves no parts, an answer that is not HTTP, a bad URL.
        """
        now_s = time.monotonic()
        job = _Download(url, expected_bytes, now_s, now_s, part=part, awaited=awaited, heard=heard)
        await self._run(job, self._timeouts.give_up_s)
        done_s = time.monotonic()
        ours = None if self._carrier is None else self._carrier.connection
        first_s = job.first_byte_s if job.first_byte_s is not None else done_s
        return FetchResult(
            requested_s=job.requested_s,
            ttfb_s=first_s - job.requested_s,
            download_s=done_s - job.requested_s,
            size_bytes=job.received,
            retries=job.retries,
            rtt_ms=ours.rtt_ms if ours else None,
            rcv_rtt_ms=ours.rcv_rtt_ms if ours else None,
            server_rtt_ms=job.sender.rtt_ms,
            server_retransmits=job.sender.retransmits,
            server_delivery_mbps=job.sender.delivery_mbps,
            link_mbps=job.arrival.mbps,
        )

    async def read(
        self, url: str, give_up_s: float, part: ByteRange | None = None, most_bytes: int | None = None
    ) -> tuple[bytes, str]:
        """Fetch a small file (an MPD), or a small part of one, and keep it; a part is shorter where the file
        ends.

        A host that says no (a closed port, no such name) is given up after `REFUSED_GIVE_UP_S` already.

        Returns:
            the body, and the URL that it came from in the end, redirects followed.

        Raises:
            OriginLost: no new byte for `give_up_s`.
            OriginError: a 4xx, a bad URL, a body over `most_bytes` or `MOST_KEPT_BYTES`, …
        """
        body = bytearray()
        now_s = time.monotonic()
        job = _Download(url, None, now_s, now_s, keep=body, most_bytes=most_bytes, part=part)
        await self._run(job, give_up_s)
        return bytes(body), job.final_url

    async def _run(self, job: _Download, give_up_s: float) -> None:
        """Carry a download to its end, over as many connections as it takes."""
        self._now = job
        backoff_s = BACKOFF_FIRST_S
        try:
            while True:
                before = job.furthest
                try:
                    await self._attempt(job, give_up_s)
                    return
                except (Broken, _TryAgain) as error:
                    fault = error
                if job.furthest > before:
                    backoff_s = BACKOFF_FIRST_S
                soon = isinstance(fault, SaidNo) and job.keep is not None
                bears_s = min(give_up_s, REFUSED_GIVE_UP_S) if soon else give_up_s
                if job.last_new_s + bears_s - time.monotonic() <= backoff_s:
                    raise OriginLost(f"{job.url}: no byte for {bears_s:g} s; last: {fault}")
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, BACKOFF_LONGEST_S)
                job.retries += 1
        finally:
            self._now = None

    async def _attempt(self, job: _Download, give_up_s: float) -> None:
        """One request for what is still missing.

        Raises:
            OriginError: see `fetch`.
            Broken, _TryAgain: it broke.
        """
        assert self._carrier is not None, "use the fetcher as a context manager"
        left_s = max(job.last_new_s + give_up_s - time.monotonic(), 0.001)
        connect_s, read_s = min(self._timeouts.connect_s, left_s), min(self._timeouts.read_s, left_s)
        try:
            async with self._carrier.get(job.url, _headers(job), connect_s, read_s) as answer:
                _begin_body(job, answer)
                job.final_url = answer.url
                if job.heard is None:
                    async for data in answer.pieces():
                        _take(job, data)
                else:
                    async for data, ends in answer.parts():
                        _take(job, data)
                        _hear(job, job.heard, len(data), ends)
        except Unusable as error:
            raise OriginError(f"{job.url}: {error}") from None
        _check_whole(job)

    @property
    def congestion_control(self) -> str | None:
        """Of our end of the connection; None without one, or where nobody says."""
        return None if self._carrier is None else self._carrier.congestion_control


class _TryAgain(Exception):
    """The origin is there but cannot answer now, or stopped short."""


def _headers(job: _Download) -> dict[str, str]:
    """Ask for the rest, on condition that the file is still the same (RFC 9110 section 13.1.5)."""
    headers = {"Accept-Encoding": "identity"}
    if not job.received and job.part is None:
        return headers
    first, last = (job.received, "") if job.part is None else (job.part.first + job.received, job.part.last)
    headers["Range"] = f"bytes={first}-{last}"
    if job.received and job.etag and not job.etag.startswith("W/"):  # a weak tag cannot promise equal bytes
        headers["If-Range"] = job.etag
    return headers


def _begin_body(job: _Download, answer: Answer) -> None:
    """Check an answer's head and set the download to where its body begins."""
    status = f"{answer.status} {answer.reason}"
    if answer.status in _TRY_AGAIN or answer.status >= 500 or _awaited_yet(job, answer.status):
        raise _TryAgain(f"{job.url}: {status}")
    if job.part is not None:
        _begin_part(job, job.part, answer, status)
    elif answer.status == 206 and job.received:
        start, _, total = _content_range(job, answer)
        if start != job.received or (job.total is not None and total not in (None, job.total)):
            raise OriginError(
                f"{job.url}: asked for bytes {job.received}- of {job.total}, "
                f"got {answer.header('Content-Range')}"
            )
        job.total = total if job.total is None else job.total
    elif answer.status == 200:  # the first answer, or one that ignores Range: the body from its start
        job.received = 0
        job.arrival = PartsArrival()
        if job.keep is not None:
            job.keep.clear()
        job.total = answer.length
    else:
        raise OriginError(f"{job.url}: {status}")
    if job.expected_bytes is not None and job.total not in (None, job.expected_bytes):
        raise OriginError(f"{job.url}: has {job.total} bytes where the MPD says {job.expected_bytes}")
    job.etag = answer.header("ETag")
    if job.first_byte_s is None:
        job.first_byte_s = time.monotonic()
        job.sender = decode(answer.header(HEADER))


def _awaited_yet(job: _Download, status: int) -> bool:
    """Whether somebody else's clock may be behind ours, who makes what is asked for."""
    return job.awaited and status == 404 and time.monotonic() - job.last_new_s < AWAITED_S


def _begin_part(job: _Download, part: ByteRange, answer: Answer, status: str) -> None:
    """The same of a part of a file. The whole file instead of it is not taken: it may be a film."""
    if answer.status == 200:
        why = "the file has changed" if job.received else "its server serves no byte ranges"
        raise OriginError(f"{job.url}: asked for bytes {part}, got the whole file; {why}")
    if answer.status != 206:
        raise OriginError(f"{job.url}: bytes {part}: {status}")
    start, last, _ = _content_range(job, answer)
    if start != part.first + job.received or last > part.last:
        raise OriginError(
            f"{job.url}: asked for bytes {part.first + job.received}-{part.last},"
            f" got {answer.header('Content-Range')}"
        )
    if last < part.last and job.keep is None:
        raise OriginError(f"{job.url}: ends at byte {last}, before its bytes {part} do")
    job.total = last - part.first + 1


def _content_range(job: _Download, answer: Answer) -> tuple[int, int, int | None]:
    """First byte, last byte and whole length that a 206 names."""
    text = answer.header("Content-Range") or ""
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if not match:
        raise OriginError(f"{job.url}: 206 with Content-Range {text[:80]!r}")
    return int(match[1]), int(match[2]), None if match[3] == "*" else int(match[3])


def _take(job: _Download, data: bytes) -> None:
    job.received += len(data)
    if job.keep is not None:
        if job.most_bytes is not None and job.received > job.most_bytes:
            raise OriginError(f"{job.url}: over {job.most_bytes} bytes where a few were due")
        if job.received > MOST_KEPT_BYTES:
            raise OriginError(f"{job.url}: over {MOST_KEPT_BYTES // 2**20} MiB; that is no MPD")
        job.keep += data
    if job.received > job.furthest:
        job.furthest = job.received
        job.last_new_s = time.monotonic()


def _hear(job: _Download, heard: Callable[[int], None], count: int, ends: bool) -> None:
    """Some bytes have come, and perhaps with them a part's last one."""
    if count:
        job.arrival.take(count, time.monotonic())
    if ends:
        job.arrival.end()
        heard(job.arrival.parts)


def _check_whole(job: _Download) -> None:
    """An answer has ended without a fault: was it all?"""
    whole = job.total if job.total is not None else job.expected_bytes
    if whole is not None and job.received < whole:
        raise _TryAgain(f"{job.url}: the body stopped at {job.received} of {whole} bytes")
    if whole is not None and job.received > whole:
        raise OriginError(f"{job.url}: {job.received} bytes came where {whole} were due")
