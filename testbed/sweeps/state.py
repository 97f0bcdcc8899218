"""`sweep.json`: a sweep's plan and how far it is, for whoever reads its results.

It lies in the folder of records and is rewritten whole (aside, synced, renamed) at the start, every
few seconds, and at the end. One object:

    schema            1
    name, question    of the file
    baseline          a policy's label, or null
    simulated         whether sessions are computed
    engine            "processes" (simulated here), "lanes" (emulated here) or "ray"
    link_model        of computed sessions, else null
    complete          whether nothing is left to run: every session is done, or was tried in vain often enough
    begun_at, updated_at
    commands          [{"at", "argv", "host"}]: all that worked on the folder, the one that made it first
    file              {"path", "sha256", "text"}: the TOML
    plan_sha256       hash of all sessions' identities
    order_seed, retries, decision_deadline_s
    qoe               {"kind", "mu", "smooth"}: what policies are told
    versions          {"python", "streambed", …};  host  {"platform", "kernel", "cpus", "cpu", "memory_bytes"}
    lanes             null, or {"asked": "auto" | N, "used": N, "measured": [rows of `testbed/fidelity.py`],
                      "now": N, "changes": [{"at", "lanes", "why"}]}: used is what a command begins with, now
                      what it streams on since the last change (older sweeps lack both)
    estimate          {"sessions", "wall_s", "disk_bytes"}: what the plan was expected to take
    spent             {"wall_s", "session_s"}: all commands together, and the sessions' own lengths
    settings          [{"label", "group", "seen", "link", "video", "chunks", "players", …, "left_out"}]
                      group: the [[setting]] that it is a point of; left_out: why the engine cannot do it;
                      "stress": true where the file says so, else not there
    policies          [{"label", "spec", "name", "delay_ms", "weights_sha256", "source_sha256", "left_out"}]
    refused           [{"policy", "video", "why"}]: policies that cannot stream a video; no such sessions
    traces            [{"name", "spec", "family", "sha256", "mean_mbps"}]
    sessions          [{"session", "record", "setting", "policy", "trace", "start_s", "video", "chunks",
                        "seed", "repetition", "players", "index", "group", "block", "identity", "status",
                        "attempts", "reasons"}]: all that are expected, in the order in which they run
    counts            {"expected", "done", "invalid", "failed", "missing", "left_out"}

Policies and settings go by their labels, traces by their names. A session's status is `done` (finished
over a true link, not by the fallback alone), `invalid` (its link was never what it should be; the last
record is kept), `failed` (cut short, or no record came of it; the last is kept, if any) or `missing` (not
run yet, or to be tried again). `reasons` are the last attempt's, in words. `group` names players that
shared a bottleneck; null for a player that has one to itself.

A record's manifest says under `sweep` which of these it is: `name`, `setting`, `seen`, `stress` (older
records lack it: false), `policy`, `repetition`, `block`, `attempt`, `session`; and under `shared`, where
players shared a bottleneck: `group`, `players`, `index`, `stagger_s`, and `offset_s`, by which this one
began after the first.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from player.real.manifest import package_version
from testbed.process.errors import TestbedError
from testbed.sweeps.experiment.plan import SweepPlan, Unit
from testbed.sweeps.experiment.schema import SweepFile

STATE = "sweep.json"
SCHEMA = 1

DONE, INVALID, FAILED, MISSING = "done", "invalid", "failed", "missing"

MOST_NAMED = 6
"""Changes that a refusal names; the others it counts."""


@dataclass
class Progress:
    """Where a unit stands."""

    status: str = MISSING
    attempts: int = 0
    reasons: tuple[str, ...] = ()


@dataclass
class RunFacts:
    """What is known of the commands beside the plan."""

    engine: str
    begun_at: str
    commands: list[dict[str, Any]]
    estimate: dict[str, Any]
    lanes: dict[str, Any] | None = None
    wall_s: float = 0.0
    """Of all commands so far."""
    session_s: float = 0.0


def utc_now() -> str:
    """As manifests have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def state_of(plan: SweepPlan, progress: Mapping[str, Progress], facts: RunFacts) -> dict[str, Any]:
    """The object of `sweep.json`."""
    file = plan.file
    sessions = [row for unit in plan.units for row in session_rows(plan, unit, progress[unit.name])]
    counts = {
        status: sum(row["status"] == status for row in sessions)
        for status in (DONE, INVALID, FAILED, MISSING)
    }
    return {
        "schema": SCHEMA,
        "name": file.name,
        "question": file.question,
        "baseline": file.baseline,
        "engine": facts.engine,
        "complete": counts[MISSING] == 0,
        "begun_at": facts.begun_at,
        "updated_at": utc_now(),
        "commands": facts.commands,
        "file": _file_facts(file),
        "plan_sha256": plan.sha256,
        **_common(plan),
        "order_seed": file.order_seed,
        "retries": file.retries,
        "versions": _versions(),
        "host": host_facts(),
        "lanes": facts.lanes,
        "estimate": facts.estimate,
        "spent": {"wall_s": round(facts.wall_s, 1), "session_s": round(facts.session_s, 1)},
        "refused": [
            {"policy": policy, "video": video, "why": why} for (policy, video), why in plan.refused.items()
        ],
        "settings": [setting.facts for setting in plan.settings],
        "policies": [dataclasses.asdict(policy) for policy in plan.policies],
        "traces": [_trace_facts(plan, name) for name in range(len(plan.traces))],
        "sessions": sessions,
        "counts": {"expected": len(sessions), **counts, "left_out": plan.left_out},
    }


def _file_facts(file: SweepFile) -> dict[str, str]:
    return {
        "path": str(file.path),
        "sha256": hashlib.sha256(file.text.encode()).hexdigest(),
        "text": file.text,
    }


def _common(plan: SweepPlan) -> dict[str, Any]:
    """What all sessions have in common."""
    return {
        "simulated": plan.simulated,
        "link_model": plan.link_model,
        "qoe": dataclasses.asdict(plan.qoe),
        "decision_deadline_s": plan.file.decision_deadline_s,
    }


def _trace_facts(plan: SweepPlan, index: int) -> dict[str, Any]:
    swept = plan.traces[index]
    trace = swept.trace
    return {
        "name": trace.name,
        "spec": swept.spec,
        "family": trace.family,
        "sha256": trace.sha256,
        "mean_mbps": trace.mean_mbps,
    }


def session_rows(plan: SweepPlan, unit: Unit, progress: Progress) -> list[dict[str, Any]]:
    """A row for each session of a unit."""
    return [
        {
            "session": session,
            "record": record,
            "setting": unit.setting.label,
            "policy": unit.policy.label,
            "trace": unit.swept.trace.name,
            "start_s": unit.start.at_s,
            "video": unit.video_spec,
            "chunks": unit.chunks,
            "seed": unit.seed,
            "repetition": unit.repetition,
            "players": unit.players,
            "index": index,
            "group": unit.name if unit.players > 1 else None,
            "block": unit.block,
            "identity": plan.identity(unit),
            "status": progress.status,
            "attempts": progress.attempts,
            "reasons": list(progress.reasons),
        }
        for index, (session, record) in enumerate(zip(unit.sessions, unit.records, strict=True))
    ]


def manifest_facts(plan: SweepPlan, unit: Unit, index: int, attempt: int) -> dict[str, Any]:
    """What a record's manifest says of its place in the sweep.

    Args:
        index: of the player.
        attempt: from 1.
    """
    setting = unit.setting
    facts: dict[str, Any] = {
        "sweep": {
            "name": plan.file.name,
            "setting": setting.label,
            "seen": setting.seen,
            "stress": setting.stress,
            "policy": unit.policy.label,
            "repetition": unit.repetition,
            "block": unit.block,
            "attempt": attempt,
            "session": unit.sessions[index],
        }
    }
    if unit.players > 1:
        facts["shared"] = {
            "group": unit.name,
            "players": unit.players,
            "index": index,
            "stagger_s": setting.stagger_s,
            "offset_s": index * setting.stagger_s,
        }
    return facts


def _versions() -> dict[str, str]:
    names = ("streambed", "numpy", "aiohttp", "mininet", "numba")
    return {"python": platform.python_version(), **{name: package_version(name) for name in names}}


def host_facts() -> dict[str, Any]:
    """The machine, as far as it matters to a reader of results."""
    return {
        "platform": platform.platform(),
        "kernel": platform.release(),
        "cpus": len(os.sched_getaffinity(0)),
        "cpu": _cpu(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def command_facts(argv: Sequence[str]) -> dict[str, Any]:
    """A command that works on a sweep."""
    return {"at": utc_now(), "argv": [Path(sys.argv[0]).name, *argv], "host": platform.node()}


def refuse_changes(
    plan: SweepPlan, before: Mapping[str, Any], recorded: Sequence[Mapping[str, Any]], out: Path
) -> None:
    """Refuse to go on where sessions that are recorded are not those that the plan asks for now.

    Sessions that are only new are welcome; sessions that were never recorded are not missed.

    Args:
        before: `sweep.json` as it was found.
        recorded: those of its session rows whose records are there.

    Raises:
        TestbedError: what has changed.
    """
    now = {record: plan.identity(unit) for unit in plan.units for record in unit.records}
    stale = [row for row in recorded if now.get(row["record"]) != row["identity"]]
    if not stale:
        return
    changes = _changes(plan, before, stale) or [f"session {row['session']}" for row in stale]
    named = "; ".join(changes[:MOST_NAMED])
    more = f"; and {len(changes) - MOST_NAMED} more changes" if len(changes) > MOST_NAMED else ""
    raise TestbedError(
        f"{out}: {len(stale)} of the {len(recorded)} sessions recorded there no longer match"
        f" {plan.file.path}: {named}{more}. Take the changes back, or name another --out"
    )


def _changes(plan: SweepPlan, before: Mapping[str, Any], stale: Sequence[Mapping[str, Any]]) -> list[str]:
    """What of the plan is not as it was, as far as the stale sessions go."""
    found = list(_differences(_plain(_common(plan)), {key: before.get(key) for key in _common(plan)}))
    parts: tuple[tuple[str, str, str, list[Any]], ...] = (
        ("settings", "setting", "label", [setting.facts for setting in plan.settings]),
        ("policies", "policy", "label", [dataclasses.asdict(policy) for policy in plan.policies]),
        ("traces", "trace", "name", [_trace_facts(plan, index) for index in range(len(plan.traces))]),
    )
    for section, word, key, present in parts:
        old = {one[key]: one for one in before.get(section, [])}
        new = {one[key]: _plain(one) for one in present}
        for name in dict.fromkeys(row[word] for row in stale):
            if name not in new:
                found.append(f"{word} {name!r} is gone")
            else:
                found += [f"{word} {name!r}: {line}" for line in _differences(new[name], old.get(name, {}))]
    seeds = {(unit.seed, unit.repetition, unit.start.at_s) for unit in plan.units}
    if not found and any((row["seed"], row["repetition"], row["start_s"]) not in seeds for row in stale):
        found.append("some seeds, repetitions or start_s are gone")
    return found


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _differences(new: Mapping[str, Any], old: Mapping[str, Any], place: str = "") -> list[str]:
    """Where two tables differ, in words."""
    found: list[str] = []
    for key in dict.fromkeys([*new, *old]):
        here = f"{place}.{key}" if place else key
        there, wanted = old.get(key), new.get(key)
        if isinstance(there, dict) and isinstance(wanted, dict):
            found += _differences(wanted, there, here)
        elif there != wanted:
            found.append(f"{here} was {_shown(there)}, is {_shown(wanted)}")
    return found


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 20 else f"{text[:16]}…"
