"""An answer that comes over a stream of HTTP/2 or HTTP/3, as its connection hears it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from http import HTTPStatus

from player.transport.answer import Broken, Unusable

_INFORMS = range(100, 200)


class StreamAnswer:
    """One answer. The connection tells what comes (`head`, `data`, `end`, `fail`), whoever fetches awaits it.

    Args:
        url: that was asked for.
        read_s: without a byte, after which the stream counts as broken.
    """

    def __init__(self, url: str, read_s: float) -> None:
        self.url = url
        self.status = 0
        self.over = False
        """Nothing more can come."""
        self.silent = False
        """Nothing came for so long that its connection counts as broken, too."""
        self._read_s = read_s
        self._fields: dict[str, str] = {}
        self._coming: asyncio.Queue[bytes | None] = asyncio.Queue()
        """The body; None: look what else has happened."""
        self._headed = asyncio.Event()
        self._fault: Exception | None = None

    @property
    def reason(self) -> str:
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ""

    @property
    def length(self) -> int | None:
        text = self._fields.get("content-length", "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None

    def header(self, name: str) -> str | None:
        return self._fields.get(name.lower())

    def head(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """The head has come; interim ones and trailers say nothing that anybody asks."""
        told = {name.decode("latin-1"): value.decode("latin-1") for name, value in fields}
        status = told.pop(":status", "")
        if self._headed.is_set() or (status.isdecimal() and int(status) in _INFORMS):
            return
        if not (status.isascii() and status.isdecimal() and len(status) == 3):
            self.fail(Unusable(f"not a usable HTTP answer: status {status[:20]!r}"))
            return
        self.status, self._fields = int(status), told
        self._headed.set()

    def data(self, piece: bytes) -> None:
        """A piece of the body has come."""
        if piece:
            self._coming.put_nowait(piece)

    def end(self) -> None:
        """That was all of it."""
        if not self._headed.is_set():
            self.fail(Unusable("not a usable HTTP answer: it ends without a head"))
        self.over = True
        self._coming.put_nowait(None)

    def fail(self, fault: Exception) -> None:
        """Nothing more will come, and why; only the first word counts."""
        if not self.over:
            self.over, self._fault = True, fault
            self._headed.set()
            self._coming.put_nowait(None)

    async def begun(self) -> None:
        """Wait for the head.

        Raises:
            Broken, Unusable: it will not come.
        """
        try:
            async with asyncio.timeout(self._read_s):
                await self._headed.wait()
        except TimeoutError:
            self.silent = True
            raise Broken(f"no answer for {self._read_s:.3g} s") from None
        if self.status == 0 and self._fault is not None:
            raise self._fault

    async def pieces(self) -> AsyncIterator[bytes]:
        """See `Answer`."""
        while True:
            try:
                async with asyncio.timeout(self._read_s):
                    piece = await self._coming.get()
            except TimeoutError:
                self.silent = True
                raise Broken(f"no byte for {self._read_s:.3g} s") from None
            if piece is None:
                if self._fault is not None:
                    raise self._fault
                return
            yield piece

    async def parts(self) -> AsyncIterator[tuple[bytes, bool]]:
        """See `Answer`. Only HTTP/1.1 says where a part ends: all of the body is one."""
        async for piece in self.pieces():
            yield piece, False
        yield b"", True
