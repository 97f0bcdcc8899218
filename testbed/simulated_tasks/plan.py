"""What a command is to play: its command line, checked and turned into cases."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from player.manifest import Manifest, TraceSection
from player.provenance import code_section, decided_by
from player.registry import LoadedPolicy, load_policy, split_policies
from player.sections import policy_section
from testbed.process.errors import TestbedError
from testbed.simulated.record_names import record_name
from testbed.simulated.simulation import RunFacts
from testbed.simulated_tasks.task import Playable, Task

RESULTS = Path("results")


@dataclass(frozen=True)
class CaseToPlay:
    """One sequence, or video, by one policy."""

    policy: str
    playable: Playable
    record: Path


@dataclass(frozen=True)
class TaskPlan:
    """All of a command."""

    task: Task
    cases: tuple[CaseToPlay, ...]
    """A policy's stand together."""
    policies: Mapping[str, LoadedPolicy]
    facts: Mapping[str, Any]
    seed: int
    run: RunFacts
    out: Path

    def manifest_of(self, case: CaseToPlay) -> dict[str, Any]:
        """A record's first line."""
        policy = self.policies[case.policy]
        decided = decided_by(policy.spec, policy.policy)
        playable = case.playable
        whole = Manifest(
            run_id=self.run.run_id,
            started_at=self.run.started_at,
            simulated=True,
            policy=policy_section(policy, decided),
            seed=self.seed,
            run_seed=self.seed,
            trace=TraceSection(
                name=playable.name,
                spec=playable.spec,
                family=playable.family,
                sha256=playable.sha256,
                start_index=0,
            ),
            command_line=tuple(self.run.command_line),
            directory=self.run.directory,
            host=platform.platform(),
            versions=decided.versions,
            code=code_section(self.run.code),
        )
        return {**whole.to_json(), **self.facts}


def plan_task(task: Task, args: argparse.Namespace, words: Sequence[str]) -> TaskPlan:
    """Check everything that can be checked before anything is made.

    Raises:
        TestbedError, PolicyError, TraceError: what is wrong and the way out; or the task's own.
    """
    facts, playables = task.facts(args), task.playables(args)
    names = [playable.name for playable in playables]
    for name in names:
        if names.count(name) > 1:
            raise TestbedError(f"{name} is named twice; what is computed comes out the same")
    specs = [spec for text in args.policy or [task.default_policy] for spec in split_policies(text)]
    for spec in specs:
        if specs.count(spec) > 1:
            raise TestbedError(f"policy {spec} is given twice; what is computed comes out the same")
    with contextlib.redirect_stdout(sys.stderr):  # a user's file may print; stdout is for --json
        policies = {spec: load_policy(spec, kind=task.kind, seed=args.seed) for spec in specs}
    stem = f"simulated-{task.records.task}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    out = args.out or RESULTS / stem
    return TaskPlan(
        task,
        tuple(
            CaseToPlay(spec, playable, out / record_name(playable.name, 0, spec, None))
            for spec in specs
            for playable in playables
        ),
        policies,
        facts,
        args.seed,
        RunFacts(
            run_id=out.name,
            started_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            command_line=("testbed/simulate.py", *words),
        ),
        out,
    )


def of_options(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What of a manifest two runs of the same options have in common."""
    left_out = {"run_id", "started_at", "command_line", "directory", "host", "versions", "code"}
    kept = {
        name: value for name, value in manifest.items() if name not in {*left_out, "line", "schema", "task"}
    }
    trace = kept.get("trace")
    return {**kept, "trace": {name: value for name, value in (trace or {}).items() if name != "spec"}}
