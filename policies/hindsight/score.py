"""What weights are worth: the gain over RobustMPC on the same sessions, in any setting."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from player.commands.options import scoring
from player.defaults import CHUNKS
from player.qoe import QoE
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.video.built_in import load_video
from player.video.video import Video
from policies.bootstrap import percentile_interval
from policies.hindsight.data import DataError, generated, held_out, line_of
from policies.hindsight.draws import sizes_like
from policies.hindsight.net import OptionNet
from policies.hindsight.policy import WEIGHTS, BatchHindsight
from policies.hindsight.validate import Selects, play, stall_ratio
from policies.rules.batch_mpc import BatchMPC
from traces.families.catalogue import resolve_many
from traces.trace import Trace


@dataclass(frozen=True)
class SettingScore:
    """One row of the table."""

    traces: str
    sessions: int
    lines: int
    robustmpc: float
    """Mean QoE a chunk."""
    gain: float
    low: float
    high: float
    """The middle 95 % of the gain, lines resampled."""
    stalls: float
    """The weights' stall ratio, in per cent, …"""
    robustmpc_stalls: float
    """… and RobustMPC's."""

    @property
    def verdict(self) -> str:
        if self.low > 0.0:
            return "ahead"
        return "behind" if self.high < 0.0 else "a tie"


def score(args: argparse.Namespace) -> dict[str, Any]:
    """Score, and print a table; what `--json` says.

    Raises:
        DataError, TraceError, VideoError, OptionNetError, ValueError: something is not there.
    """
    net = OptionNet.read(args.weights or WEIGHTS)
    video = video_of(args)
    qoe = scoring(args).on(video.ladder_kbps)
    rows = [score_of(word, args, net, video, qoe) for word in args.traces]
    if not args.json:
        _print(rows, args, video, qoe)
    return {"weights": net.sha256, "qoe": str(qoe), "rows": [vars(row) for row in rows]}


def video_of(args: argparse.Namespace) -> Video:
    """`--video`, brought to `--ladder` and `--chunk-s` where these are given."""
    video = load_video(args.video)
    if args.ladder is None and args.chunk_s is None:
        return video.first(min(CHUNKS, video.chunks))
    ladder = tuple(args.ladder or video.ladder_kbps)
    chunk_s = args.chunk_s or video.chunk_s
    chunks = max(round(CHUNKS * video.chunk_s / chunk_s), 2)
    return Video(video.name, chunk_s, ladder, sizes_like(video, np.array(ladder), chunk_s, chunks, 0))


def score_of(word: str, args: argparse.Namespace, net: OptionNet, video: Video, qoe: QoE) -> SettingScore:
    """The sessions of one word: starts spread evenly over each trace; of measured ones those held out."""
    traces = [each for each in resolve_many(word) if args.all or generated(word) or held_out(each)]
    if not traces:
        raise DataError(f"{word}: none of its traces is held out; --all takes them all")
    library = Library(traces, [video], qoe)
    trace = np.repeat(np.arange(len(traces)), args.starts)
    places = np.tile(np.arange(args.starts), len(traces))
    start = 1 + places * (library.points()[trace] - 1) // args.starts
    setup = Setup.of(
        len(trace), trace=trace, start_index=start, rtt_ms=args.rtt_ms, cap_ms=1000.0 * args.buffer_cap_s
    )

    def played(make: type[BatchMPC] | type[BatchHindsight]) -> tuple[np.ndarray, float]:
        sessions = Sessions(library, setup, chunks=video.chunks, first_level=0, threads=args.threads)
        selects: Selects = BatchHindsight(sessions, net) if make is BatchHindsight else BatchMPC(sessions)
        return play(sessions, selects).reshape(-1, args.starts).mean(axis=1), stall_ratio(sessions)

    theirs, their_stalls = played(BatchMPC)
    mine, my_stalls = played(BatchHindsight)
    return _row(word, len(trace), traces, mine - theirs, float(theirs.mean()), my_stalls, their_stalls)


def _row(
    word: str, sessions: int, traces: list[Trace], gains: np.ndarray, robust: float, mine: float, its: float
) -> SettingScore:
    lines = [line_of(trace.name) for trace in traces]
    low, high = percentile_interval(gains, lines)
    name = "/".join(word.rstrip("/").split("/")[-2:])
    gain = float(gains.mean())
    return SettingScore(name, sessions, len(set(lines)), robust, gain, low, high, mine, its)


def _print(rows: list[SettingScore], args: argparse.Namespace, video: Video, qoe: QoE) -> None:
    ladder = ", ".join(map(str, video.ladder_kbps))
    print(
        f"QoE {qoe}; {Path(args.video).name}, {video.chunks} x {video.chunk_s:g} s, ladder {ladder} kbit/s;"
        f" RTT {args.rtt_ms:g} ms, cap {args.buffer_cap_s:g} s"
    )
    print(f"{'traces':<26} {'n':>5} {'lines':>5} {'robustmpc':>9}  {'gain':>6}  {'95 %':<18} stalls / its")
    for row in rows:
        interval = f"[{row.low:+.3f}, {row.high:+.3f}]"
        print(
            f"{row.traces:<26} {row.sessions:>5} {row.lines:>5} {row.robustmpc:>9.3f}  {row.gain:>+6.3f}"
            f"  {interval:<18} {row.stalls:>5.2f} / {row.robustmpc_stalls:.2f} %  {row.verdict}"
        )
