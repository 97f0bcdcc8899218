"""`test`: an adapter beside other policies under any setting: ladder, chunk length, cap, round trip, weights.

Every combination of `--traces` and `--video` is a setting of its own, so that seen and unseen ones stand
side by side. QoE a chunk in its own units, the difference to RobustMPC over whole lines, and the stall ratio
of each. What can't play a ladder is named with its reason.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from player.commands.options import scoring
from player.qoe import Scored, scored_words
from player.registry import split_policies
from player.video.built_in import load_video
from player.video.video import Video
from policies.hindsight.data import held_out
from policies.llm.tasks.ladder.batch_model import BatchModel
from policies.llm.tasks.ladder.brought import brought
from policies.llm.tasks.ladder.sets import (
    Makes,
    PlayedSet,
    SessionSet,
    Spread,
    made_by,
    maker,
    played,
    teacher,
)
from traces.families.catalogue import resolve_many
from traces.trace import Trace

NAME, BASELINE, TEACHER, ORACLE = "adapter", "robustmpc", "teacher", "oracle"


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Test; what `--json` says. Without it the tables are printed.

    Raises:
        AdapterError, BaseError, OptionNetError, PolicyError, TraceError, VideoError, ValueError: something is
            not there, or a ladder that does not rise.
    """
    videos = [brought(load_video(name), args.ladder, args.chunk_s) for name in args.video]
    model = BatchModel.of(args.adapter, args.threads, args.device, args.dtype)
    makes, found, scored = _policies(args, model), [], []
    for video in videos:
        for spec in args.traces:
            sessions, weights = _set(spec, video, args)
            scored.append(weights)
            found.append(compared(sessions, makes, args.threads) | {"weights": scored_words([weights])})
            if not args.json:
                show(found[-1])
    info = model.engine.info
    return {
        "adapter": str(args.adapter) if args.adapter else "shipped",
        "adapter_sha256": info.adapter_sha256,
        "base": info.base,
        "layers": info.layers,
        "dtype": info.dtype,
        "ladders_kbps": {video.name: list(video.ladder_kbps) for video in videos},
        "chunks_s": {video.name: video.chunk_s for video in videos},
        "buffer_cap_s": args.buffer_cap_s,
        "rtt_ms": args.rtt_ms,
        "qoe": scored_words(scored),
        "settings": found,
    }


def _set(spec: str, video: Video, args: argparse.Namespace) -> tuple[SessionSet, Scored]:
    """A setting's sessions, and what they are scored by."""
    qoe = scoring(args).on(video.ladder_kbps)
    sessions = SessionSet.of(
        f"{spec}, {video.name}", _traces(spec, args.held_out), video, qoe,
        starts=args.starts, rtt_ms=args.rtt_ms, cap_s=args.buffer_cap_s,
    )  # fmt: skip
    return sessions, (video.name, video.ladder_kbps, qoe)


def _traces(spec: str, only_held_out: bool) -> list[Trace]:
    found = resolve_many(spec)
    kept = [trace for trace in found if held_out(trace)] if only_held_out else found
    if not kept:
        raise ValueError(f"--held-out: none of the {len(found)} traces of {spec} is; leave it away")
    return kept


def _policies(args: argparse.Namespace, model: BatchModel) -> dict[str, Makes]:
    names = (BASELINE, *split_policies(args.policy), *([ORACLE] if args.oracle else []))
    makes = {NAME: made_by(model)} | {name: maker(name, args.threads) for name in dict.fromkeys(names)}
    return makes | ({TEACHER: teacher(str(args.teacher))} if args.teacher else {})


def compared(sessions: SessionSet, makes: Mapping[str, Makes], threads: int = 1) -> dict[str, Any]:
    """What every policy makes of a setting, and why one makes nothing of it."""
    rows: dict[str, PlayedSet] = {}
    refused: dict[str, str] = {}
    for name, make in makes.items():
        try:
            rows[name] = played(sessions, make, threads)
        except ValueError as error:
            if name in (NAME, BASELINE):
                raise
            refused[name] = str(error)
    return {
        "setting": sessions.name,
        "sessions": len(sessions.setup),
        "lines": len(set(sessions.lines)),
        "policies": {name: _row(name, rows, sessions.lines) for name in rows},
        "refused": refused,
    }


def _row(name: str, rows: Mapping[str, PlayedSet], lines: tuple[str, ...]) -> dict[str, Any]:
    mine, base = rows[name], rows[BASELINE].qoe
    row: dict[str, Any] = {"qoe": float(mine.qoe.mean()), "stall_pct": mine.stall_pct}
    if name != BASELINE:
        less = Spread.of(mine.qoe - base, lines)
        row |= {f"less_{BASELINE}": less.mean, f"less_{BASELINE}_ci95": [less.low, less.high]}
    if name != NAME:
        row[f"{NAME}_less_this"] = asdict(Spread.of(rows[NAME].qoe - mine.qoe, lines))
    return row


def show(found: Mapping[str, Any]) -> None:
    """One setting as text."""
    print(f"{found['setting']}: {found['sessions']} sessions on {found['lines']} lines; QoE a chunk, stalls;")
    print(f"  {found['weights']}")
    for name, row in found["policies"].items():
        text = f"  {name:<12}{row['qoe']:8.3f} {row['stall_pct']:6.2f} %"
        if f"less_{BASELINE}" in row:
            spread = Spread(row[f"less_{BASELINE}"], *row[f"less_{BASELINE}_ci95"])
            text += f"   less {BASELINE} {spread.words()}"
        if f"{NAME}_less_this" in row and name != BASELINE:
            text += f"   {NAME} less this {Spread(**row[f'{NAME}_less_this']).words()}"
        print(text)
    for name, reason in found["refused"].items():
        print(f"  {name}: {reason}")
