"""`python -m analysis unpaired`: policies compared over a real network, where no session has a pair."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.beside import AHEAD, BEHIND, MORE, TIE, beside_verdict, stall_words, verdict_of
from analysis.bootstrap import CONFIDENCE, RESAMPLES, Interval
from analysis.compare_report import LONGEST_NAME, left_out_words, say
from analysis.options import scoring_of
from analysis.sessions import AnalysisError, tell_next, tell_unreadable
from analysis.streams import FoundStreams, Stream, TimeBlock, blocks_of, read_streams
from analysis.style import in_order, short_name
from analysis.unpaired.intervals import (
    Numbers,
    Weighed,
    percentiles,
    resampled_stall_ratios,
    stall_ratio,
    weighed,
)
from analysis.unpaired.rows import MEASURED, write_unpaired
from player.qoe import scored_json
from traces.commands import PIPE_COLUMNS, tell_line
from traces.console import VisibleConsole
from traces.words import counted, meant

UNPAIRED = (
    "Unpaired: no two of these sessions met the same network, so nothing is subtracted session by session;"
    " what the hour does to all of them is held apart by blocks of time, what chance gave to one is not"
)


@dataclass(frozen=True)
class UnpairedMeans:
    """A policy over all blocks."""

    policy: str
    sessions: int
    watched_s: float
    stall_ratio: Interval
    bitrate_mbps: Interval
    qoe: Interval
    switches: Interval


@dataclass(frozen=True)
class UnpairedDifference:
    """A policy less another; each interval's verdict is in words of its own."""

    policy: str
    baseline: str
    stall_ratio: Interval
    bitrate_mbps: Interval
    qoe: Interval
    switches: Interval

    @property
    def verdicts(self) -> dict[str, str]:
        return {
            "stall_ratio": beside_verdict(self.stall_ratio),
            "bitrate_mbps": beside_verdict(self.bitrate_mbps),
            "qoe": verdict_of(self.qoe, AHEAD, BEHIND),
            "switches": beside_verdict(self.switches),
        }

    @property
    def words(self) -> str:
        """Where stalls say something else than QoE or bitrate; empty where they don't."""
        verdicts = self.verdicts
        leads = ["QoE"] * (verdicts["qoe"] == AHEAD) + ["bitrate"] * (verdicts["bitrate_mbps"] == MORE)
        stall = stall_words(AHEAD if leads else verdicts["qoe"], {"stall_ratio": self.stall_ratio})
        if not stall:
            return ""
        if leads:
            return f"{self.policy}: ahead of {self.baseline} in {' and '.join(leads)}, and {stall}"
        stands = "a tie with" if verdicts["qoe"] == TIE else "behind"
        return f"{self.policy}: {stands} {self.baseline} in QoE, {stall}"


@dataclass(frozen=True)
class UnpairedComparison:
    """All of it."""

    found: FoundStreams
    blocks: tuple[TimeBlock, ...]
    policies: tuple[UnpairedMeans, ...]
    differences: tuple[UnpairedDifference, ...]


def run_unpaired(args: argparse.Namespace) -> int:
    """Compare; the exit status."""
    scoring = scoring_of(args, args.qoe)
    if not (math.isfinite(args.block_hours) and args.block_hours > 0):
        raise AnalysisError(f"--block-hours {args.block_hours:g}: must be over 0")
    found = read_streams(args.results, scoring, args.policy, interrupted=args.interrupted)
    status = tell_unreadable(found.unreadable)
    comparison = compared(found, args.block_hours, args.baseline)
    written = write_unpaired(comparison.differences, comparison.policies, args.csv) if args.csv else []
    if args.json:
        print(json.dumps(_as_json(comparison) | {"tables": [str(path) for path in written]}))
        return status
    _show(comparison, VisibleConsole(width=None if sys.stdout.isatty() else PIPE_COLUMNS))
    for what, path in zip(("differences", "means"), written, strict=False):
        tell_line(f"{what}: {path}")
    tell_next(args.results, "collect")
    return status


def compared(found: FoundStreams, hours: float, baseline: str | None) -> UnpairedComparison:
    """Summarise and compare.

    Raises:
        AnalysisError: a baseline that is not there, too few sessions for a block.
    """
    policies = in_order(dict.fromkeys(one.policy for one in found.taken))
    if baseline is not None and baseline not in policies:
        raise AnalysisError(
            f"--baseline {baseline}: no session that counts is of it{meant(baseline, policies)};"
            f" there are {', '.join(policies)}"
        )
    blocks = blocks_of(found.taken, hours)
    if not blocks:
        counts = ", ".join(f"{sum(one.policy == name for one in found.taken)} of {name}" for name in policies)
        raise AnalysisError(f"an interval takes two sessions of each policy at least; there are {counts}")
    measured = {policy: _Measured.of(blocks, policy) for policy in policies}
    every = [(policy, other) for place, other in enumerate(policies) for policy in policies[place + 1 :]]
    pairs = every if baseline is None else [(one, baseline) for one in policies if one != baseline]
    return UnpairedComparison(
        found,
        tuple(blocks),
        tuple(measured[policy].means(policy) for policy in policies),
        tuple(measured[policy].minus(measured[other], policy, other) for policy, other in pairs),
    )


@dataclass(frozen=True)
class _Measured:
    """A policy's figures with all that intervals take."""

    streams: list[Stream]
    stall_ratio: float
    drawn: Numbers
    """Stall ratios, resampled."""
    bitrate: Weighed
    qoe: Weighed
    switches: Weighed

    @classmethod
    def of(cls, blocks: Sequence[TimeBlock], policy: str) -> _Measured:
        return cls(
            [one for block in blocks for one in block.streams[policy]],
            stall_ratio(blocks, policy),
            resampled_stall_ratios(blocks, policy),
            weighed(blocks, policy, lambda one: one.bitrate_mbps, lambda one: one.watched_s),
            weighed(blocks, policy, lambda one: one.qoe, lambda one: one.counted_chunks),
            weighed(blocks, policy, lambda one: one.switches, lambda one: 1.0),
        )

    def means(self, policy: str) -> UnpairedMeans:
        return UnpairedMeans(
            policy,
            len(self.streams),
            sum(one.watched_s for one in self.streams),
            percentiles(self.stall_ratio, self.drawn, len(self.streams)),
            self.bitrate.interval(),
            self.qoe.interval(),
            self.switches.interval(),
        )

    def minus(self, other: _Measured, policy: str, baseline: str) -> UnpairedDifference:
        stalls = percentiles(
            self.stall_ratio - other.stall_ratio,
            self.drawn - other.drawn,
            len(self.streams) + len(other.streams),
        )
        bitrate, qoe = self.bitrate.minus(other.bitrate), self.qoe.minus(other.qoe)
        switches = self.switches.minus(other.switches)
        return UnpairedDifference(
            policy, baseline, stalls, bitrate.interval(), qoe.interval(), switches.interval()
        )


def notes_of(comparison: UnpairedComparison) -> list[str]:
    """What a reader must know to read the figures right, and what is left out."""
    notes = left_out_words(comparison.found.left_out)
    videos = sorted({one.video for one in comparison.found.taken})
    if len(videos) > 1:
        notes.append(f"note: {len(videos)} videos are mixed here ({', '.join(videos[:4])})")
    if len({one.scored for one in comparison.found.taken}) > 1:
        notes.append(
            "note: QoE is a mean over several ladders, each scored by its own weights: the higher ladder"
            " weighs more"
        )
    never = [short_name(one.policy) for one in comparison.policies if one.stall_ratio.mean == 0]
    if never:
        notes.append(
            f"note: no stall was seen of {', '.join(never)}: an interval of 0 to 0 is no proof of none"
        )
    fewest = min(one.sessions for one in comparison.policies)
    if fewest < FEWEST_SESSIONS:
        notes.append(
            f"note: {counted(fewest, 'session')} of a policy say little of rare stalls: two policies"
            " 15 % apart took Puffer about two years of watching"
        )
    return notes


FEWEST_SESSIONS = 100
"""With fewer, a policy's few stalls may all be one bad evening."""


def _as_json(comparison: UnpairedComparison) -> dict[str, Any]:
    return {
        "paired": False,
        "words": UNPAIRED,
        "qoe": scored_json(comparison.found.scored),
        "bootstrap": {"confidence": CONFIDENCE, "resamples": RESAMPLES},
        "sessions": len(comparison.found.taken),
        "blocks": [
            {
                "begin": _time(block.begin_s),
                "end": _time(block.end_s),
                "sessions": {policy: len(mine) for policy, mine in block.streams.items()},
            }
            for block in comparison.blocks
        ],
        "policies": [
            {
                "policy": one.policy,
                "sessions": one.sessions,
                "watched_s": one.watched_s,
                **_intervals_json(one),
            }
            for one in comparison.policies
        ],
        "differences": [
            {
                "policy": one.policy,
                "baseline": one.baseline,
                **_intervals_json(one),
                "verdicts": one.verdicts,
                "words": one.words,
            }
            for one in comparison.differences
        ],
        "left_out": [
            {"policy": one.policy, "record": one.record, "reason": one.reason}
            for one in comparison.found.left_out
        ],
    }


def _intervals_json(one: UnpairedMeans | UnpairedDifference) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in MEASURED:
        interval: Interval = getattr(one, name)
        found |= {name: interval.mean, f"{name}_ci95": interval.bounds}
    return found


def _time(seconds: float) -> str:
    """A time since the epoch, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def head_words(comparison: UnpairedComparison) -> str:
    """How many sessions, over which time, and how the figures are made."""
    blocks = comparison.blocks
    return (
        f"{counted(len(comparison.found.taken), 'session')} in {counted(len(blocks), 'block')} of time, from"
        f" {_time(blocks[0].begin_s)} to {_time(blocks[-1].end_s)}; a block weighs the same for"
        f" all. Stall ratio: all stalled over all watched, {CONFIDENCE:.0%} by bootstrap over a block's"
        f" sessions. Bitrate: weighted by time watched, QoE ({comparison.found.weights}) by chunks, switches"
        f" of a session, {CONFIDENCE:.0%} by standard error."
    )


def _show(comparison: UnpairedComparison, console: Console) -> None:
    say(console, f"{UNPAIRED}.")
    say(console, head_words(comparison))
    console.print()
    console.print(_means_table(comparison.policies))
    if comparison.differences:
        console.print()
        console.print(_differences_table(comparison.differences))
        for one in comparison.differences:
            if one.words:
                say(console, one.words)
    console.print()
    for line in notes_of(comparison):
        say(console, line)


def _means_table(policies: Sequence[UnpairedMeans]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("policy", overflow="fold", max_width=LONGEST_NAME)
    for head in ("sessions", "watched h", "stall ratio", "bitrate Mbit/s", "QoE", "switches"):
        table.add_column(head, justify="right")
    for one in policies:
        cells = (
            short_name(one.policy),
            str(one.sessions),
            f"{one.watched_s / 3600:.2f}",
            _bounded(one.stall_ratio, ".2f", 100, " %"),
            _bounded(one.bitrate_mbps, ".3f"),
            _bounded(one.qoe, ".3f"),
            _bounded(one.switches, ".1f"),
        )
        table.add_row(*map(Text, cells))
    return table


def _differences_table(differences: Sequence[UnpairedDifference]) -> Table:
    table = Table(title="unpaired differences", title_justify="left", box=None, pad_edge=False)
    for head in ("policy", "minus"):
        table.add_column(head, overflow="fold", max_width=LONGEST_NAME)
    for head in ("stall ratio, % points", "bitrate Mbit/s", "QoE", "switches"):
        table.add_column(head, justify="right")
        table.add_column("")
    for one in differences:
        verdicts = one.verdicts
        cells = (
            short_name(one.policy),
            short_name(one.baseline),
            _bounded(one.stall_ratio, "+.2f", 100),
            verdicts["stall_ratio"],
            _bounded(one.bitrate_mbps, "+.3f"),
            verdicts["bitrate_mbps"],
            _bounded(one.qoe, "+.3f"),
            verdicts["qoe"],
            _bounded(one.switches, "+.1f"),
            verdicts["switches"],
        )
        table.add_row(*map(Text, cells))
    return table


def _bounded(interval: Interval, form: str, scale: float = 1.0, unit: str = "") -> str:
    low, high = interval.bounds or (math.nan, math.nan)
    return f"{scale * interval.mean:{form}}{unit} [{scale * low:{form}}, {scale * high:{form}}]"
