"""`controls --task jobs`: what the language model is worth, by the same sessions and steps without it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policies.llm.studies.scored_controls import ScoredControls
from policies.llm.tasks.jobs.collect import sequences_of
from policies.llm.tasks.jobs.evaluate import less_in_words, scored
from policies.llm.tasks.jobs.policy import NetLLM
from policies.llm.tasks.jobs.task import TASK


class JobsControls(ScoredControls):
    """Scored by the mean job time over all sequences, beside `fair`."""

    task = TASK
    validation_sessions = 4
    columns = ("job time, s", "less fair, s")

    def over(self, args: argparse.Namespace) -> dict[str, Any]:
        return {"traces": list(args.traces), "length": args.length}

    def scored(self, name: str, adapter: Path, args: argparse.Namespace) -> dict[str, Any]:
        sequences = sequences_of(args.traces, args.length)
        (_, row) = scored(sequences, {name: NetLLM("none", adapter=str(adapter))})
        return {name: row[name] for name in ("sequences", "job_s", "less")}

    def cells(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        return f"{row['job_s']:.2f}", less_in_words(row["less"])


run = JobsControls().run
