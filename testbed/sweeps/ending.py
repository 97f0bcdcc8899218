"""What a sweep ends with: the table of its policies by setting."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from analysis import table
from analysis.clusters import ClusterRule
from analysis.outcomes import read_outcomes
from analysis.sessions import AnalysisError
from testbed.sweeps.experiment.schema import SweepFile

MOST_READ = 2_000
"""With more records, a table would keep its reader waiting for half a minute."""


def show_table(console: Console, out: Path, file: SweepFile, sessions: int) -> None:
    """Print mean QoE with intervals and who is ahead of the baseline, or why there is no table."""
    if sessions > MOST_READ:
        return
    try:
        outcomes = read_outcomes([out], file.qoe)
        baseline = file.baseline if file.baseline in outcomes.policies else None
        if baseline in outcomes.without_figures:
            baseline = None
        found = table.matrix(outcomes, "setting", baseline, ClusterRule())
    except AnalysisError as error:
        console.print(Text(f"no table yet: {error}"), soft_wrap=True)
        return
    console.print()
    table.show(found, console)
    console.print()
