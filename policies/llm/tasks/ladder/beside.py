"""`beside`: the language model, a small net, their teacher and other policies on lines that were kept apart.

For each set: mean QoE and stall ratio of RobustMPC, GENET, the teacher (`hindsight`), `small`, `netllm` and
the oracle on the same sessions; what each has more than RobustMPC, and `netllm` more than `small` and than
the teacher; and which share of the way from RobustMPC to the oracle each goes. Intervals draw whole lines.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from player.commands.options import scoring
from player.qoe import QoE
from player.registry import split_policies
from player.video.built_in import load_video
from player.video.video import Video
from policies.bootstrap import share_interval
from policies.llm.tasks.ladder.batch_model import BatchModel
from policies.llm.tasks.ladder.brought import brought
from policies.llm.tasks.ladder.sets import (
    Makes,
    PlayedSet,
    SessionSet,
    Spread,
    chosen,
    made_by,
    maker,
    played,
    teacher,
)

BASELINE, TEACHER, SMALL, MODEL, ORACLE = "robustmpc", "teacher", "small", "netllm", "oracle"


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Play all sets; what `--json` says. Without it the tables are printed.

    Raises:
        AdapterError, BaseError, OptionNetError, PolicyError, TraceError, VideoError, ValueError: something is
            not there.
    """
    video = brought(load_video(args.video), args.ladder, args.chunk_s)
    qoe = scoring(args).on(video.ladder_kbps)
    words = [(spec, chosen(spec, args.all)) for spec in args.traces]
    makes = policies(args)
    if not args.json:
        print(under(args, video, qoe))
    found = []
    for spec, traces in words:
        name = "/".join(spec.rstrip("/").split("/")[-2:])
        sessions = SessionSet.of(
            name, traces, video, qoe, starts=args.starts, rtt_ms=args.rtt_ms, cap_s=args.buffer_cap_s
        )
        found.append(compared(sessions, makes, args.threads))
        if not args.json:
            show(found[-1])
    return {
        "video": video.name,
        "ladder_kbps": list(video.ladder_kbps),
        "chunk_s": video.chunk_s,
        "buffer_cap_s": args.buffer_cap_s,
        "rtt_ms": args.rtt_ms,
        "qoe": asdict(qoe),
        "starts": args.starts,
        "sets": found,
    }


def policies(args: argparse.Namespace) -> dict[str, Makes]:
    """By name, in the table's order."""
    makes = {
        name: maker(name, args.threads) for name in dict.fromkeys((BASELINE, *split_policies(args.policy)))
    }
    makes[TEACHER] = teacher(None if args.teacher is None else str(args.teacher))
    for name, folder in ((SMALL, args.small), (MODEL, args.adapter)):
        makes[name] = (
            maker(name, args.threads) if folder is None else made_by(BatchModel.of(folder, args.threads))
        )
    if not args.no_oracle:
        makes[ORACLE] = maker(ORACLE)
    return makes


def compared(sessions: SessionSet, makes: Mapping[str, Makes], threads: int) -> dict[str, Any]:
    """One set's rows, and why a policy has none."""
    rows: dict[str, PlayedSet] = {}
    refused: dict[str, str] = {}
    for name, make in makes.items():
        try:
            rows[name] = played(sessions, make, threads)
        except ValueError as error:
            if name == BASELINE:
                raise
            refused[name] = str(error)
    lines = sessions.lines
    differences = {
        f"{MODEL} - {other}": asdict(Spread.of(rows[MODEL].qoe - rows[other].qoe, lines))
        for other in (SMALL, TEACHER)
        if {MODEL, other} <= set(rows)
    }
    return {
        "set": sessions.name,
        "sessions": len(sessions.setup),
        "lines": len(set(lines)),
        "policies": {name: _row(name, rows, lines) for name in rows},
        "differences": differences,
        "refused": refused,
    }


def _row(name: str, rows: Mapping[str, PlayedSet], lines: tuple[str, ...]) -> dict[str, Any]:
    one, base = rows[name], rows[BASELINE].qoe
    row: dict[str, Any] = {"qoe": asdict(Spread.of(one.qoe, lines)), "stall_pct": one.stall_pct}
    if name == BASELINE:
        return row
    row[f"less_{BASELINE}"] = asdict(Spread.of(one.qoe - base, lines))
    if ORACLE in rows and name != ORACLE:
        gone, whole = one.qoe - base, rows[ORACLE].qoe - base
        if whole.mean() > 0.0:
            share = Spread(float(gone.mean() / whole.mean()), *share_interval(gone, whole, lines))
            row["way"] = asdict(share)
    return row


def under(args: argparse.Namespace, video: Video, qoe: QoE) -> str:
    """The setting in a line."""
    ladder = ", ".join(map(str, video.ladder_kbps))
    return (
        f"QoE a chunk: {qoe}; {video.name}, chunks of {video.chunk_s:g} s, ladder {ladder} kbit/s;"
        f" RTT {args.rtt_ms:g} ms, cap {args.buffer_cap_s:g} s; [95 %] over lines"
    )


def show(found: Mapping[str, Any]) -> None:
    """One set as text."""
    print(f"{found['set']}: {found['sessions']} sessions on {found['lines']} lines")
    print(f"  {'':<10}{'QoE':>8} {'stalls':>8}  {'less ' + BASELINE:<26}way to the oracle")
    for name, row in found["policies"].items():
        text = f"  {name:<10}{row['qoe']['mean']:>8.3f} {row['stall_pct']:>6.2f} %"
        if f"less_{BASELINE}" in row:
            text += f"  {Spread(**row[f'less_{BASELINE}']).words():<26}"
        if "way" in row:
            text += Spread(**row["way"]).words(".2f")
        print(text.rstrip())
    for name, difference in found["differences"].items():
        spread = Spread(**difference)
        print(f"  {name}: {spread.words()} {spread.verdict}")
    for name, reason in found["refused"].items():
        print(f"  {name}: {reason}")
