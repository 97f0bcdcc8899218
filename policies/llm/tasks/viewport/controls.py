"""`controls --task viewport`: what the language model is worth, by the same windows and steps without it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policies.llm.studies.scored_controls import ScoredControls
from policies.llm.tasks.viewport.evaluate import BASELINE, scored
from policies.llm.tasks.viewport.policy import NetLLM
from policies.llm.tasks.viewport.task import TASK
from policies.viewport.rules import Static
from traces.heads.catalogue import watched_videos
from traces.heads.files import viewers_in


class ViewportControls(ScoredControls):
    """Scored by the mean error over all windows, beside the head that stays."""

    task = TASK
    validation_sessions = 256
    columns = ("MAE", "less static, by viewer")

    def over(self, args: argparse.Namespace) -> dict[str, Any]:
        earlier = None if args.earlier is None else str(args.earlier)
        return {"traces": list(args.traces), "earlier": earlier}

    def scored(self, name: str, adapter: Path, args: argparse.Namespace) -> dict[str, Any]:
        earlier = viewers_in(args.earlier) if args.earlier else frozenset()
        videos = [video for spec in args.traces for video in watched_videos(spec, earlier)]
        (_, row) = scored(videos, {BASELINE: Static(), name: NetLLM("none", adapter=str(adapter))})
        return {name: row[name] for name in ("windows", "mae", "less_by_viewer", "less_by_video")}

    def cells(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        mean, low, high = row["less_by_viewer"]
        return f"{row['mae']:.3f}", f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


run = ViewportControls().run
