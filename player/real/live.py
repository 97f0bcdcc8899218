"""What a person sees: a line per chunk, a live status line on a terminal, a table at the end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from player.policy import BY_FALLBACK, BY_PLAYER
from player.qoe import SessionSummary
from player.record import FINISHED, ChunkRow, EndRow
from player.video.video import Video
from traces.console import VisibleConsole
from traces.words import counted

if TYPE_CHECKING:
    from player.real.session import PlayerState


def silence(file: IO[str]) -> None:
    """Let what is still written to a broken pipe go nowhere (Python flushes stdout at its exit)."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, file.fileno())
    os.close(nowhere)


class LiveConsole(VisibleConsole):
    """A console whose reader may leave (`| head`): the session and its record go on without it."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        silence(self.file)


class LiveDisplay:
    """A sink that shows a session. Use it as a context manager."""

    def __init__(self, console: Console, video: Video) -> None:
        self._console = console
        self._video = video
        self._live = (
            Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        )

    def __enter__(self) -> LiveDisplay:
        self._shown: AbstractContextManager[Any] = self._live or nullcontext()
        self._shown.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._shown.__exit__(*error)

    def chunk(self, row: ChunkRow) -> None:
        self._console.print(Text(chunk_text(row, self._video.chunks)), soft_wrap=True)

    def state(self, state: PlayerState) -> None:
        if self._live is not None:
            self._live.update(Text(state_text(state, self._video)), refresh=True)

    def end(self, row: EndRow) -> None:
        if row.outcome != FINISHED:
            self._console.print(Text(f"{row.outcome}: {row.reason}"), soft_wrap=True)


def chunk_text(row: ChunkRow, chunks: int) -> str:
    """One chunk on one line."""
    text = (
        f"chunk {row.chunk + 1:3}/{chunks}  level {row.level} ({row.bitrate_kbps} kbit/s)  "
        f"{row.size_bytes / 1e6:.2f} MB in {row.download_s:.2f} s = {row.throughput_mbps:.2f} Mbit/s  "
        f"buffer {row.buffer_after_s:.1f} s  stall {row.stall_s:.2f} s"
    )
    if row.latency_s is not None:
        text += f"  latency {row.latency_s:.2f} s"
    if row.retries:
        text += f"  {row.retries} retries"
    return f"{text}  fallback: {row.reason_words}" if row.by == BY_FALLBACK else text


def state_text(state: PlayerState, video: Video) -> str:
    """A running session on one line."""
    level = "-" if state.level is None else f"{state.level} ({video.ladder_kbps[state.level]} kbit/s)"
    return (
        f"{state.t_s:6.1f} s  {state.phase:8}  chunk {state.chunk + 1}/{video.chunks}  level {level}  "
        f"buffer {state.buffer_s:.1f} s  stall {state.stall_s:.2f} s  {state.downloaded_bytes / 1e6:.2f} MB"
    )


def fallback_note(summary: SessionSummary, fallback: str) -> str:
    """Who decided what the policy did not, how much, and why."""
    alone = "; the policy has no QoE" if summary.by_fallback_alone else ""
    return f"{fallback_decided(fallback, summary.decided_by, summary.fallback_because)}{alone}"


def fallback_decided(fallback: str | None, decided_by: Mapping[str, int], because: str | None) -> str:
    """How much the fallback decided and why, as every command says it.

    Args:
        fallback: its spec; None where that isn't known.
        because: of the first chunk that it decided.
    """
    named = "" if fallback is None else f", {fallback},"
    return f"the fallback{named} decided {fallback_count(decided_by)}, first because {because}"


def fallback_count(decided_by: Mapping[str, int]) -> str:
    """How many chunks the fallback decided, of those that a policy decides: the player may fix the first."""
    mine = decided_by.get(BY_FALLBACK, 0)
    of = sum(decided_by.values()) - decided_by.get(BY_PLAYER, 0)
    fixed = " that a policy decides" if decided_by.get(BY_PLAYER) else ""
    share = "all " if mine == of and of > 1 else f"{mine} of "
    return f"{share}{counted(of, 'chunk')}{fixed}"


def summary_table(summary: SessionSummary, out: str) -> Table:
    """A session's figures, the QoE with its weights; none where the fallback played alone."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    decided = ", ".join(f"{by} {count}" for by, count in summary.decided_by.items())
    rows = {
        f"QoE per chunk ({summary.weights_words})": _shown(
            None if summary.by_fallback_alone else summary.qoe, "{:.3f}"
        ),
        "mean bitrate": _shown(summary.bitrate_mbps, "{:.3f} Mbit/s"),
        "stall ratio": f"{100 * summary.stall_ratio:.2f} % ({summary.stall_s:.2f} s)",
        "switches": str(summary.switches),
        "startup": f"{summary.startup_s:.2f} s",
        **({} if summary.latency_s is None else {"latency": f"{summary.latency_s:.2f} s"}),
        "decision p50 / p99": f"{_shown(summary.decision_p50_ms, '{:.1f}')}"
        f" / {_shown(summary.decision_p99_ms, '{:.1f}')} ms",
        "decided by": decided or "-",
        "outcome": f"{summary.outcome}, {summary.chunks} chunks",
        "record": out,
    }
    for name, value in rows.items():
        table.add_row(Text(name), Text(value))
    return table


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
