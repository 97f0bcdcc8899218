"""What a person sees while sessions run: a live table on a terminal, plain lines on a pipe."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from player.real.live import chunk_text
from player.record import FINISHED, ChunkRow, EndRow
from player.video.video import Video
from traces.trace import Trace

REFRESH_S = 0.25


class SessionsDisplay:
    """Shows sessions side by side. A context manager, and the `Watcher` of `testbed.session.session_plan`."""

    def __init__(
        self,
        console: Console,
        names: Sequence[str],
        video: Video,
        trace: Trace,
        start_s: float,
        live: bool = True,
    ) -> None:
        self._console = console
        self._names = list(names)
        self._width = max(map(len, names), default=0)
        self._video = video
        self._trace = trace
        self._start_s = start_s
        self._states: list[dict[str, Any]] = [{} for _ in names]
        self._rows: list[ChunkRow | None] = [None] * len(names)
        self._ends: list[EndRow | None] = [None] * len(names)
        self._t0 = time.monotonic()
        self._shown_at = 0.0
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal and live else None

    def begin(self, t0: float) -> None:
        """The sessions begin at monotonic time `t0`."""
        self._t0 = t0

    def __enter__(self) -> SessionsDisplay:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.update(self.table(), refresh=True)
            self._live.__exit__(kind, error, where)

    def state(self, index: int, state: dict[str, Any]) -> None:
        self._states[index] = state
        self._refresh()

    def chunk(self, index: int, row: ChunkRow) -> None:
        self._rows[index] = row
        if self._live is None:
            link = self._trace.rate_at(self._start_s + row.request_s)
            self._say(index, f"{chunk_text(row, self._video.chunks)}  link {link:.2f} Mbit/s")

    def end(self, index: int, row: EndRow) -> None:
        self._ends[index] = row
        if self._live is None or row.outcome != FINISHED:
            self._say(index, row.outcome + (f": {row.reason}" if row.reason else ""))

    def _say(self, index: int, words: str) -> None:
        """A line about a session, under the others'."""
        self._console.print(Text(f"{self._names[index]:<{self._width}}  {words}"), soft_wrap=True)

    def _refresh(self) -> None:
        now = time.monotonic()
        if self._live is not None and now - self._shown_at >= REFRESH_S:
            self._shown_at = now
            self._live.update(self.table(), refresh=True)

    def table(self) -> Table:
        """A line a session."""
        elapsed_s = max(time.monotonic() - self._t0, 0.0)
        rate = self._trace.rate_at(self._start_s + elapsed_s)
        title = f"{self._trace.name}  {elapsed_s:6.1f} s  link {rate:.2f} Mbit/s"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for name in ("policy", "phase", "chunk", "level", "buffer", "stall", "throughput"):
            table.add_column(name, justify="left" if name in ("policy", "phase") else "right")
        for index, name in enumerate(self._names):
            table.add_row(*map(Text, self._cells(index, name)))
        return table

    def _cells(self, index: int, name: str) -> list[str]:
        state, row, end = self._states[index], self._rows[index], self._ends[index]
        phase = end.outcome if end else str(state.get("phase", "starting"))
        chunk = row.chunk + 1 if row else 0
        level = state.get("level")
        kbps = "-" if level is None else f"{level} ({self._video.ladder_kbps[level]} kbit/s)"
        throughput = f"{row.throughput_mbps:.2f} Mbit/s" if row else "-"
        buffer_s, stall_s = state.get("buffer_s", 0.0), end.stall_s if end else state.get("stall_s", 0.0)
        return [
            name,
            phase,
            f"{chunk}/{self._video.chunks}",
            kbps,
            f"{buffer_s:.1f} s",
            f"{stall_s:.2f} s",
            throughput,
        ]
