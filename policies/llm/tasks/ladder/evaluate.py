"""`test`: an adapter beside other policies under one setting: ladder, chunk length, cap, round trip, weights.

QoE a chunk in its own units, the difference to RobustMPC over whole lines, and the stall ratio of each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from player.commands.options import scoring
from player.defaults import CHUNKS
from player.qoe import QoE
from player.registry import split_policies
from player.simulated.batch.library import KINDS, Floats, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.video.built_in import load_video
from player.video.video import Video
from policies.bootstrap import percentile_interval
from policies.hindsight.data import held_out, line_of
from policies.hindsight.validate import Selects, play, stall_ratio
from policies.llm.engine.engine import Engine
from policies.llm.tasks.abr.play import BATCH, batch_policy
from policies.llm.tasks.ladder.play import LadderEngine
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.teacher import plays, read_teacher
from traces.families.catalogue import resolve_many
from traces.trace import Trace

NAME, BASELINE, TEACHER = "adapter", "robustmpc", "teacher"
MOST_CHUNKS, CHUNK_S = 120, 4.0


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Test; what `--json` says. Without it the tables are printed.

    Raises:
        AdapterError, BaseError, OptionNetError, PolicyError, TraceError, VideoError, ValueError: something is
            not there, or a ladder that does not rise.
    """
    video = brought(load_video(args.video), args.ladder, args.chunk_s)
    qoe = scoring(args).on(video.ladder_kbps)
    engine = Engine(TASK, args.adapter, device=args.device, slots=BATCH, max_steps=64, threads=args.threads)
    found = []
    for spec in args.traces:
        traces = _traces(spec, args.held_out)
        library = Library(traces, [video])
        setup = _setup(library, qoe, args)
        makes = _policies(args, engine, setup)
        rows = {name: _played(library, setup, make, args.threads) for name, make in makes.items()}
        lines = [line_of(traces[at].name) for at in setup.trace]
        found.append(_row(f"{spec}, {video.name}", rows, lines))
        if not args.json:
            show(found[-1])
    return {
        "adapter_sha256": engine.info.adapter_sha256,
        "ladder_kbps": list(video.ladder_kbps),
        "chunk_s": video.chunk_s,
        "cap_s": args.cap_s,
        "rtt_ms": args.rtt_ms,
        "qoe": {"kind": qoe.kind, "mu": qoe.mu, "smooth": qoe.smooth},
        "settings": found,
    }


def brought(video: Video, ladder_kbps: list[int] | None, chunk_s: float | None) -> Video:
    """A video at other rates and with other chunks, whose sizes vary as its own do.

    Raises:
        ValueError: rates that do not rise.
    """
    if ladder_kbps is None and chunk_s is None:
        return video
    ladder, length = np.asarray(ladder_kbps or video.ladder_kbps), chunk_s or video.chunk_s
    if ladder[0] < 1 or (np.diff(ladder) <= 0).any():
        raise ValueError(f"--ladder {','.join(map(str, ladder))}: rates must be 1 or more and rise")
    ratios = np.asarray(video.sizes_bytes) / (np.asarray(video.ladder_kbps) * video.chunk_s * 125.0)
    columns = np.round(np.linspace(0, video.levels - 1, len(ladder))).astype(int)
    chunks = int(np.clip(round(video.chunks * video.chunk_s / length), 2, MOST_CHUNKS))
    sizes = ratios[np.arange(chunks) % video.chunks][:, columns] * (ladder * length * 125.0)
    rows = tuple(tuple(max(int(size), 1) for size in row) for row in sizes)
    return Video(f"{video.name}-brought", length, tuple(map(int, ladder)), rows)


def _traces(spec: str, only_held_out: bool) -> list[Trace]:
    found = resolve_many(spec)
    kept = [trace for trace in found if held_out(trace)] if only_held_out else found
    if not kept:
        raise ValueError(f"--held-out: none of the {len(found)} traces of {spec} is; leave it away")
    return kept


def _setup(library: Library, qoe: QoE, args: argparse.Namespace) -> Setup:
    (video,) = library.videos
    trace = np.repeat(np.arange(len(library.traces)), args.starts)
    places = np.tile(np.arange(args.starts), len(library.traces))
    start = 1 + places * (library.points()[trace] - 1) // args.starts
    published = video.chunks >= CHUNKS and video.chunk_s == CHUNK_S
    return Setup.of(
        len(trace), trace=trace, start_index=start, rtt_ms=args.rtt_ms, cap_ms=1000.0 * args.cap_s,
        kind=KINDS.index(qoe.kind), mu=qoe.mu, smooth=qoe.smooth,
        chunks=CHUNKS if published else min(video.chunks, MOST_CHUNKS),
    )  # fmt: skip


def _policies(
    args: argparse.Namespace, engine: Engine, setup: Setup
) -> dict[str, Callable[[Sessions, Setup], Selects]]:
    makes: dict[str, Callable[[Sessions, Setup], Selects]] = {
        NAME: lambda sessions, part: LadderEngine(sessions, engine)
    }
    for name in dict.fromkeys((BASELINE, *split_policies(args.policy))):
        makes[name] = lambda sessions, part, name=name: batch_policy(name, sessions, part)  # type: ignore[misc]
    if args.teacher:
        net = read_teacher(args.teacher)
        makes[TEACHER] = lambda sessions, part: plays(sessions, net)
    return makes


def _played(
    library: Library, setup: Setup, make: Callable[[Sessions, Setup], Selects], threads: int
) -> tuple[Floats, float]:
    """(sessions,) mean QoE a chunk, and the stall ratio in per cent."""
    qoe, stalled, lasted = [], 0.0, 0.0
    for begin in range(0, len(setup), BATCH):
        part = setup.part(slice(begin, begin + BATCH))
        sessions = Sessions(library, part, chunks=int(part.chunks.max()), first_level=0, threads=threads)
        selects = make(sessions, part)
        qoe.append(play(sessions, selects))
        if isinstance(selects, LadderEngine):
            selects.close()
        total = float((sessions.state.stalled_ms + sessions.state.played_ms).sum())
        stalled, lasted = stalled + stall_ratio(sessions) * total, lasted + total
    return np.concatenate(qoe), stalled / max(lasted, 1.0)


def _row(name: str, rows: dict[str, tuple[Floats, float]], lines: list[str]) -> dict[str, Any]:
    base, _ = rows[BASELINE]
    policies: dict[str, dict[str, Any]] = {}
    for policy, (qoe, stalls) in rows.items():
        policies[policy] = {"qoe": float(qoe.mean()), "stall_pct": stalls}
        if policy != BASELINE:
            policies[policy] |= {
                f"less_{BASELINE}": float((qoe - base).mean()),
                f"less_{BASELINE}_ci95": list(percentile_interval(qoe - base, lines)),
            }
    return {"setting": name, "sessions": len(base), "lines": len(set(lines)), "policies": policies}


def show(found: dict[str, Any]) -> None:
    """One setting as text."""
    print(f"{found['setting']}: {found['sessions']} sessions on {found['lines']} lines; QoE a chunk, stalls")
    for name, row in found["policies"].items():
        text = f"  {name:<12}{row['qoe']:8.3f} {row['stall_pct']:6.2f} %"
        if f"less_{BASELINE}" in row:
            low, high = row[f"less_{BASELINE}_ci95"]
            text += f"   less {BASELINE} {row[f'less_{BASELINE}']:+.3f} [{low:+.3f}, {high:+.3f}]"
        print(text)
