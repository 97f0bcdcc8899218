"""Records of jobs and viewports whose figures are known, without anything having been played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from player.jobs.record import JOBS_RECORD, JobRow
from player.tasks.record import TaskEnd, write_task
from player.viewport.errors import NAMES
from player.viewport.record import VIEWPORT_RECORD, ViewerRow

END = TaskEnd("finished", "", 10, {"policy": 10})
WINDOWS = {"history": 10, "future": 20}


def manifest(policy: str, trace: str, family: str, content: str = "", **more: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "run_id": "made",
        "simulated": True,
        "policy": {"spec": policy, "name": policy, "parameters": {}},
        "seed": 0,
        "trace": {"name": trace, "family": family, "spec": trace, "sha256": f"{trace}{content}"},
        "command_line": ["testbed/simulate.py", "--policy", policy],
        "host": "a machine",
        "versions": {"streambed": "0"},
        **more,
    }


def write_jobs(
    folder: Path, policy: str, job_s: Sequence[float], executors: int = 50, content: str = ""
) -> None:
    """A sequence of three jobs for each mean time.

    Args:
        content: what tells sequences of one name apart.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, mean in enumerate(job_s):
        rows = [
            JobRow(f"job{place}", 1, 1, 10.0 * place, 10.0 * place + mean + place - 1.0) for place in range(3)
        ]
        cluster = {"executors": executors, "mode": "common"}
        told = manifest(policy, f"tpch/{number}", "tpch", content, cluster=cluster)
        write_task(folder / f"{policy}-{executors}-{number}.jsonl", JOBS_RECORD, told, rows, END)


def write_views(folder: Path, policy: str, mae: Mapping[str, Mapping[str, float]], source: str) -> None:
    """A record of two windows for each video -> viewer -> mean error; 1, 2 and 4 s ahead 1, 2 and 4 times it.

    Args:
        source: the family or folder that the videos are of.
    """
    folder.mkdir(parents=True, exist_ok=True)
    times = {"at_1s": 1.0, "at_2s": 2.0, "at_4s": 4.0, "inside": 0.05}
    for video, viewers in mae.items():
        rows = []
        for viewer, mean in viewers.items():
            values = {name: [times.get(name, 1.0) * (mean + more) for more in (-0.5, 0.5)] for name in NAMES}
            rows.append(ViewerRow(viewer, 2, **values))
        told = manifest(policy, f"{source}/{video}", source, windows=WINDOWS)
        write_task(folder / f"{policy}-{source}-{video}.jsonl", VIEWPORT_RECORD, told, rows, END)
