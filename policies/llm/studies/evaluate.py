"""`test`: an adapter in simulated sessions beside other policies (Test), each pair on the same session.

One session a trace, from its beginning, or several spread over it; 48 chunks, first level 0, the `published`
link, linear QoE with the ladder's top as mu where nothing else is asked for; the first chunk is not counted.
Every combination of `--traces` and `--video` is a setting of its own, so that seen and unseen ones stand
beside each other. Differences are paired, their intervals percentiles of a bootstrap over measured lines (a
trace that belongs to none is its own).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from player.commands.options import scoring
from player.defaults import CHUNKS
from player.qoe import QoE, Scored, Scoring, scored_words
from player.registry import split_policies
from player.simulated.batch.library import Floats, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.video.built_in import load_video
from player.video.video import Video
from policies.bootstrap import percentile_interval
from policies.hindsight.data import held_out, line_of
from policies.llm.engine.engine import Engine
from policies.llm.tasks.abr import play
from policies.llm.tasks.abr.task import TASK
from traces.families.catalogue import resolve_many
from traces.trace import Trace

NAME = "netllm"


@dataclass(frozen=True)
class EvaluatedSetting:
    """Sessions over some traces with one video."""

    name: str
    library: Library
    setup: Setup
    qoe: QoE

    @classmethod
    def of(
        cls, spec: str, traces: Sequence[Trace], video: Video, starts: int, asked: Scoring | None = None
    ) -> EvaluatedSetting:
        """A setting; without `asked`, linear QoE with the ladder's top as mu.

        Raises:
            ValueError: a ladder that the QoE asked for does not know.
        """
        qoe = (asked or Scoring()).on(video.ladder_kbps)
        library = Library(traces, [video], qoe)
        trace = np.repeat(np.arange(len(traces)), starts)
        places = np.tile(np.arange(starts), len(traces))
        start = 1 + places * (library.points()[trace] - 1) // starts
        setup = Setup.of(len(trace), trace=trace, start_index=start)
        return cls(f"{spec}, {video.name}", library, setup, qoe)

    @property
    def scored(self) -> Scored:
        """What sessions are scored by."""
        (video,) = self.library.videos
        return video.name, video.ladder_kbps, self.qoe

    @property
    def chunks(self) -> int:
        return min(CHUNKS, self.library.chunks)

    def lines(self) -> list[str]:
        """(sessions,) what each was measured on."""
        return [line_of(self.library.traces[at].name) for at in self.setup.trace]


def mean_interval(values: Floats, lines: Sequence[str]) -> tuple[float, float, float]:
    """Mean, and the percentile bootstrap's bounds when whole lines are drawn."""
    return float(values.mean()), *percentile_interval(values, lines)


def table(
    setting: EvaluatedSetting,
    engine: Engine | None,
    policies: Sequence[str],
    baseline: str,
    threads: int = 1,
) -> dict[str, Any]:
    """What every policy makes of a setting.

    Args:
        engine: under the name `netllm`; None leaves it out.
        policies: registered ones; one that refuses the video is named with its reason.
        baseline: one of them.
    """
    scores: dict[str, play.PlayedSessions] = {}
    refused: dict[str, str] = {}
    report: dict[str, Any] = {"setting": setting.name, "sessions": len(setting.setup)}
    report["weights"] = scored_words([setting.scored])
    lines = setting.lines()
    report["lines"] = len(set(lines))
    if engine is not None:
        began = time.monotonic()
        scores[NAME] = play.engine_played(engine, setting.library, setting.setup, setting.chunks, threads)
        report["seconds"] = round(time.monotonic() - began, 2)
    for name in dict.fromkeys((*policies, baseline)):
        try:
            scores[name] = play.policy_played(name, setting.library, setting.setup, setting.chunks, threads)
        except ValueError as error:
            if name == baseline:
                raise
            refused[name] = str(error)
    return report | {"policies": _rows(scores, baseline, lines), "refused": refused}


def _rows(scores: dict[str, play.PlayedSessions], baseline: str, lines: Sequence[str]) -> dict[str, Any]:
    """Each policy's mean, and its difference to the baseline and to the model."""
    rows: dict[str, dict[str, Any]] = {}
    for name, (values, stall_ratio) in scores.items():
        mean, low, high = mean_interval(values, lines)
        rows[name] = {"qoe": mean, "qoe_ci95": [low, high], "stall_ratio": float(stall_ratio.mean())}
        if name != baseline:
            mean, low, high = mean_interval(values - scores[baseline].qoe, lines)
            rows[name] |= {f"less_{baseline}": mean, f"less_{baseline}_ci95": [low, high]}
        if name != NAME and NAME in scores:
            mean, low, high = mean_interval(scores[NAME].qoe - values, lines)
            rows[name] |= {"netllm_less_this": mean, "netllm_less_this_ci95": [low, high]}
    return rows


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Test; what `--json` says. Without it the tables are printed.

    Raises:
        AdapterError, BaseError, PolicyError, TraceError, VideoError, ValueError: something is not there.
    """
    policies = [*split_policies(args.policy), *(["oracle"] if args.oracle else [])]
    settings = [
        EvaluatedSetting.of(spec, _traces(spec, args.held_out), load_video(video), args.starts, scoring(args))
        for video in args.video
        for spec in args.traces
    ]
    slots = min(play.BATCH, max(len(setting.setup) for setting in settings))
    engine = Engine(
        TASK,
        args.adapter,
        device=args.device,
        slots=slots,
        max_steps=CHUNKS,
        threads=args.threads,
        dtype=args.dtype,
    )
    tables = []
    for setting in settings:
        found = table(setting, engine, policies, args.baseline, args.threads)
        tables.append(found)
        if not args.json:
            show(found, args.baseline, print)
    info = engine.info
    return {
        "adapter": str(args.adapter) if args.adapter else "shipped",
        "adapter_sha256": info.adapter_sha256,
        "base": info.base,
        "layers": info.layers,
        "dtype": info.dtype,
        "qoe": scored_words(setting.scored for setting in settings),
        "link": "published",
        "chunks": CHUNKS,
        "starts": args.starts,
        "close_decisions": engine_close(engine, settings[0]),
        "settings": tables,
    }


def engine_close(engine: Engine, setting: EvaluatedSetting) -> float:
    """Share of a setting's decisions whose two best logits are closer than bfloat16 can tell."""
    part = play.part_of(setting.setup, 0, engine.slots)
    sessions = Sessions(setting.library, part, chunks=setting.chunks, first_level=0, threads=1)
    player = play.BatchEngine(sessions, engine, engine.info.target)
    close = total = 0
    while not sessions.done.all():
        levels = player.select()
        close += int(player.close_calls().sum())
        total += len(levels)
        sessions.step(levels)
    player.close()
    return close / max(total, 1)


def show(found: dict[str, Any], baseline: str, line: Callable[[str], None]) -> None:
    """One setting as text."""
    line(
        f"{found['setting']}: {found['sessions']} sessions on {found['lines']} lines;"
        f" QoE a chunk [95 %]: {found['weights']}"
    )
    for name, row in found["policies"].items():
        text = f"  {name:<12}{row['qoe']:8.3f} {_bounds(row['qoe_ci95'])}"
        text += f"  stalls {100 * row['stall_ratio']:5.2f} %"
        if f"less_{baseline}" in row:
            ahead = _bounds(row[f"less_{baseline}_ci95"], "+")
            text += f"   less {baseline} {row[f'less_{baseline}']:+.3f} {ahead}"
        line(text)
    for name, reason in found["refused"].items():
        line(f"  {name}: {reason}")


def _bounds(pair: Sequence[float], sign: str = "") -> str:
    return f"[{pair[0]:{sign}.3f}, {pair[1]:{sign}.3f}]"


def _traces(spec: str, only_held_out: bool) -> list[Trace]:
    found = resolve_many(spec)
    if not only_held_out:
        return found
    kept = [trace for trace in found if held_out(trace)]
    if not kept:
        raise ValueError(f"--held-out: none of the {len(found)} traces of {spec} is; leave it away")
    return kept
