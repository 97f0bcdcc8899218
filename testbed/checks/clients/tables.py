"""The tables that `clients.py` prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from analysis.bootstrap import Interval
from testbed.checks.clients.figures import ClientRow, quantiles


def sessions_table(rows: Sequence[ClientRow], client: str) -> Table:
    """Whole sessions: ours, and the other client's less ours."""
    shown = _table(
        f"Whole sessions: {client}'s less our player's (95 % intervals over traces)",
        ("policy", "pairs", "our QoE", "QoE", "bitrate Mbit/s", "stall points", "startup s", "switches"),
    )
    for row in rows:
        differences = [
            _with_bounds(row.differences[name], digits)
            for name, digits in (
                ("qoe", 3),
                ("bitrate_mbps", 3),
                ("stall_points", 2),
                ("startup_s", 2),
                ("switches", 1),
            )
        ]
        shown.add_row(*map(Text, (row.policy, str(row.pairs), f"{row.ours['qoe']:.3f}", *differences)))
    return shown


def chunks_table(rows: Sequence[ClientRow]) -> Table:
    """Chunk by chunk: levels, and download times of the same bytes at the same moment."""
    shown = _table(
        "Chunk by chunk",
        ("policy", "chunks", "same level", "one apart", "more", "same bytes and moment", "slower by", "p95"),
    )
    for row in rows:
        same, near = row.apart.get(0, 0), row.apart.get(1, 0) + row.apart.get(-1, 0)
        spread = quantiles(row.slower)
        times = ("-", "-") if spread is None else (f"{100 * spread[0]:+.1f} %", f"{100 * spread[1]:.1f} %")
        counts = [_share(count, row.chunks) for count in (same, near, row.parted)]
        shown.add_row(*map(Text, (row.policy, str(row.chunks), *counts, str(len(row.slower)), *times)))
    return shown


def causes_table(rows: Sequence[ClientRow]) -> Table:
    """Why choices are more than a level apart."""
    causes = list(dict.fromkeys(cause for row in rows for cause in row.causes))
    shown = _table("Choices more than a level apart, by cause", ("cause", *(row.policy for row in rows)))
    for cause in causes:
        shown.add_row(*map(Text, (cause, *(str(row.causes.get(cause, 0)) for row in rows))))
    return shown


def _table(title: str, columns: Sequence[str]) -> Table:
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for place, name in enumerate(columns):
        shown.add_column(name, justify="left" if place == 0 else "right")
    return shown


def _share(count: int, of: int) -> str:
    return f"{count} ({100 * count / of:.0f} %)" if of else "0"


def _with_bounds(found: Interval, digits: int) -> str:
    if found.low is None or found.high is None:
        return f"{found.mean:+.{digits}f}"
    return f"{found.mean:+.{digits}f} ({found.low:+.{digits}f} to {found.high:+.{digits}f})"
