"""What a person sees while calls run: a live table on a terminal, a line a second and call on a pipe."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from player.record import FINISHED
from testbed.calling.plan import CallPlan

REFRESH_S = 0.25
_KBPS = 8 / 1000


class CallsDisplay:
    """Shows calls side by side. A context manager, and the watcher of `lane_call.py`."""

    def __init__(self, console: Console, names: Sequence[str], first: CallPlan, live: bool = True) -> None:
        self._console = console
        self._names = list(names)
        self._width = max(map(len, names), default=0)
        self._first = first
        self._states: list[dict[str, Any]] = [{} for _ in names]
        self._rows: list[dict[str, Any]] = [{} for _ in names]
        self._ends: list[Any] = [None] * len(names)
        self._t0 = time.monotonic()
        self._shown_at = 0.0
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal and live else None

    def begin(self, t0: float) -> None:
        """The calls begin at monotonic time `t0`."""
        self._t0 = t0

    def __enter__(self) -> CallsDisplay:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.update(self.table(), refresh=True)
            self._live.__exit__(kind, error, where)

    def state(self, index: int, state: Mapping[str, Any]) -> None:
        """A glance at one of a call's ends."""
        if state.get("who") == "sender":
            self._states[index].update(state)
        now = time.monotonic()
        if self._live is not None and now - self._shown_at >= REFRESH_S:
            self._shown_at = now
            self._live.update(self.table(), refresh=True)

    def decision(self, index: int, row: Mapping[str, Any]) -> None:
        """A rate is set."""
        self._states[index]["by"] = row["by"]

    def second(self, index: int, row: Mapping[str, Any]) -> None:
        """A second is over."""
        self._rows[index] = dict(row)
        if self._live is None:
            self._say(index, f"{row['second'] + 1:>4} s  {'  '.join(self._cells(index)[1:])}")

    def end(self, index: int, row: Any) -> None:
        """A call is over."""
        self._ends[index] = row
        if self._live is None or row.outcome != FINISHED:
            self._say(index, row.outcome + (f": {row.reason}" if row.reason else ""))

    def _say(self, index: int, words: str) -> None:
        self._console.print(Text(f"{self._names[index]:<{self._width}}  {words}"), soft_wrap=True)

    def table(self) -> Table:
        """A line a call."""
        elapsed_s = max(time.monotonic() - self._t0, 0.0)
        rate = self._first.trace.rate_at(self._first.start_s + elapsed_s)
        title = f"{self._first.trace.name}  {elapsed_s:6.1f} s  link {rate:.2f} Mbit/s"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for name in ("policy", "target", "received", "frames", "delay", "lost", "by"):
            table.add_column(name, justify="left" if name in ("policy", "by") else "right")
        for index in range(len(self._names)):
            table.add_row(*map(Text, self._cells(index)))
        return table

    def _cells(self, index: int) -> list[str]:
        state, came = self._states[index], self._rows[index].get("came") or {}
        end = self._ends[index]
        packets = came.get("packets", 0)
        delay_ms = 1000 * came["delay_sum_s"] / packets if packets else 0.0
        return [
            self._names[index],
            f"{state.get('target_kbps', 0):.0f} kbit/s",
            f"{came.get('bytes', 0) * _KBPS:.0f} kbit/s" if came else "-",
            f"{len(came.get('at_s', ()))} frames",
            f"{delay_ms:.0f} ms" if packets else "-",
            f"{came.get('missed', 0)} lost",
            end.outcome if end else str(state.get("by", "")),
        ]
