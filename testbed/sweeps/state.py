"""`sweep.json`: a sweep's plan and how far it is, for whoever reads its results.

`analysis/sweep_state.py` says what it holds; here it is made of a plan and of how far it is.

A record's manifest says under `sweep` which of these it is: `name`, `setting` (the label, with the values of
its lists), `group` (the label of the `[[setting]]` that it is a point of), `axis` (where on the axes of that
one it is, by key), `seen`, `stress`, `policy`, `repetition`, `block`, `attempt`, `session`, `identity` (older
records lack `group`, `axis`, `stress`, `identity`); and under `shared`, where players shared a bottleneck:
`group`, `players`, `index`, `stagger_s`, and `offset_s`, by which this one began after the first.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.sweep_state import (
    DONE,
    FAILED,
    INVALID,
    MISSING,
    CommandEntry,
    FileEntry,
    RefusedEntry,
    SessionEntry,
    SweepState,
    TraceEntry,
)
from player.fallback import FALLBACK_ONCE
from player.qoe import scored_json
from testbed.process.errors import TestbedError
from testbed.sweeps.experiment.plan import SweepPlan
from testbed.sweeps.experiment.schema import SweepFile
from testbed.sweeps.experiment.units import SweptTrace, Unit
from traces.safe_reading import line_of
from traces.versions import code_version, package_version, typed_in

STATE = "sweep.json"


MOST_NAMED = 6
"""Changes that a refusal names; the others it counts."""


@dataclass
class Progress:
    """Where a unit stands."""

    status: str = MISSING
    attempts: int = 0
    reasons: tuple[str, ...] = ()


@dataclass
class SweepFacts:
    """What is known of the commands beside the plan."""

    engine: str
    begun_at: str
    commands: list[CommandEntry]
    estimate: dict[str, Any]
    lanes: dict[str, Any] | None = None
    wall_s: float = 0.0
    """Of all commands so far."""
    session_s: float = 0.0


def utc_now() -> str:
    """As manifests have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def state_of(plan: SweepPlan, progress: Mapping[str, Progress], facts: SweepFacts) -> SweepState:
    """The content of `sweep.json`."""
    file = plan.file
    sessions = tuple(row for unit in plan.units for row in session_rows(plan, unit, progress[unit.name]))
    statuses = (DONE, INVALID, FAILED, MISSING)
    counts = {status: sum(row.status == status for row in sessions) for status in statuses}
    return SweepState(
        name=file.name,
        question=file.question,
        baseline=file.baseline,
        engine=facts.engine,
        complete=counts[MISSING] == 0,
        begun_at=facts.begun_at,
        updated_at=utc_now(),
        commands=tuple(facts.commands),
        file=_file_entry(file),
        plan_sha256=plan.sha256,
        **_common(plan),
        order_seed=file.order_seed,
        retries=file.retries,
        versions=_versions(),
        code=dataclasses.asdict(code_version()),
        host=host_facts(),
        lanes=facts.lanes,
        estimate=facts.estimate,
        spent={"wall_s": round(facts.wall_s, 1), "session_s": round(facts.session_s, 1)},
        refused=tuple(RefusedEntry(*pair, why) for pair, why in plan.refused.items()),
        settings=tuple(setting.told for setting in plan.settings),
        policies=tuple(policy.facts for policy in plan.policies),
        traces=tuple(_trace_entry(swept) for swept in plan.traces),
        sessions=sessions,
        counts={"expected": len(sessions), **counts, "left_out": plan.left_out},
    )


def _file_entry(file: SweepFile) -> FileEntry:
    return FileEntry(str(file.path), hashlib.sha256(file.text.encode()).hexdigest(), file.text)


def _common(plan: SweepPlan) -> dict[str, Any]:
    """What all sessions have in common."""
    return {
        "simulated": plan.simulated,
        "link_model": plan.link_model,
        "qoe": scored_json(plan.scored),
        "decision_deadline_s": plan.file.decision_deadline_s,
    }


def _trace_entry(swept: SweptTrace) -> TraceEntry:
    trace = swept.trace
    return TraceEntry(trace.name, swept.spec, trace.family, trace.sha256, trace.mean_mbps)


def session_rows(plan: SweepPlan, unit: Unit, progress: Progress) -> list[SessionEntry]:
    """A row for each session of a unit."""
    return [
        SessionEntry(
            session=session,
            record=record,
            setting=unit.setting.label,
            policy=unit.policy.label,
            trace=unit.swept.trace.name,
            start_s=unit.start.at_s,
            video=unit.video_spec,
            chunks=unit.chunks,
            seed=unit.seed,
            repetition=unit.repetition,
            players=unit.players,
            index=index,
            group=unit.name if unit.players > 1 else None,
            block=unit.block,
            identity=plan.identity(unit),
            status=progress.status,
            attempts=progress.attempts,
            reasons=tuple(progress.reasons),
        )
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
            "group": setting.group,
            "axis": dict(setting.axis),
            "seen": setting.seen,
            "stress": setting.stress,
            "policy": unit.policy.label,
            "repetition": unit.repetition,
            "block": unit.block,
            "attempt": attempt,
            "session": unit.sessions[index],
            "identity": plan.identity(unit),
        }
    }
    if unit.players > 1 or setting.others:
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


def command_entry(argv: Sequence[str]) -> CommandEntry:
    """A command that works on a sweep."""
    return CommandEntry(utc_now(), ("testbed/sweep.py", *argv), platform.node(), typed_in())


def refuse_changes(plan: SweepPlan, before: SweepState, recorded: Sequence[SessionEntry], out: Path) -> None:
    """Refuse to go on where sessions that are recorded are not those that the plan asks for now.

    Sessions that are only new are welcome; sessions that were never recorded are not missed.

    Args:
        before: `sweep.json` as it was found.
        recorded: those of its sessions whose records are there.

    Raises:
        TestbedError: what has changed.
    """
    now = {record: plan.identity(unit) for unit in plan.units for record in unit.records}
    stale = [row for row in recorded if now.get(row.record or "") != row.identity]
    if not stale:
        return
    changes = _changes(plan, before, stale) or [f"session {row.session}" for row in stale]
    named = "; ".join(changes[:MOST_NAMED])
    more = f"; and {len(changes) - MOST_NAMED} more changes" if len(changes) > MOST_NAMED else ""
    raise TestbedError(
        f"{out}: {len(stale)} of the {len(recorded)} sessions recorded there no longer match"
        f" {plan.file.path}: {named}{more}. {_way_out(plan, before)}"
    )


def _way_out(plan: SweepPlan, before: SweepState) -> str:
    """What to do about changes; what it is where the fallback was another one."""
    mu = (before.qoe or {}).get("mu")
    if plan.file.scoring.mu is None and mu is not None and any(qoe.mu != mu for _, _, qoe in plan.scored):
        return (
            f"Stalls had another weight: write mu = {mu} under [qoe] to go on with it, or name another --out"
        )
    then = {str(entry["label"]): entry.get("fallback", FALLBACK_ONCE) for entry in before.policies or ()}
    changed = {
        str(then[policy.label])
        for policy in plan.policies
        if then.get(policy.label, policy.fallback) != policy.fallback
    }
    if len(changed) != 1:
        return "Take the changes back, or name another --out"
    return (
        f'The fallback was another one: write fallback = "{changed.pop()}" at the top of the file to go on'
        " with it, or name another --out"
    )


def _changes(plan: SweepPlan, before: SweepState, stale: Sequence[SessionEntry]) -> list[str]:
    """What of the plan is not as it was, as far as the stale sessions go."""
    then = _plain(before.to_json())
    common = {key: value for key, value in _common(plan).items() if key != "qoe"}
    found = list(_differences(_plain(common), {key: then.get(key) for key in common}))
    found += _told_otherwise(plan, then.get("qoe") or {}, {row.record for row in stale})
    now = _plain(
        {
            "settings": [setting.facts for setting in plan.settings],
            "policies": [policy.facts for policy in plan.policies],
            "traces": [_trace_entry(swept).to_json() for swept in plan.traces],
        }
    )
    for section, word, key in (
        ("settings", "setting", "label"),
        ("policies", "policy", "label"),
        ("traces", "trace", "name"),
    ):
        known = {"fallback": FALLBACK_ONCE} if section == "policies" else {}
        old = {entry[key]: {**known, **_without_axis(entry)} for entry in then.get(section) or []}
        new = {entry[key]: {**known, **entry} for entry in now[section]}
        for name in dict.fromkeys(getattr(row, word) for row in stale):
            if name not in new:
                found.append(f"{word} {name!r} is gone")
            else:
                found += [f"{word} {name!r}: {line}" for line in _differences(new[name], old.get(name, {}))]
    seeds = {(unit.seed, unit.repetition, unit.start.at_s) for unit in plan.units}
    if not found and any((row.seed, row.repetition, row.start_s) not in seeds for row in stale):
        found.append("some seeds, repetitions or start_s are gone")
    return found


def _told_otherwise(plan: SweepPlan, then: Mapping[str, Any], records: Set[str | None]) -> list[str]:
    """What of QoE these sessions were told otherwise than they would be now; by video, if videos differ."""
    units = {unit.video_spec: unit for unit in plan.units if not records.isdisjoint(unit.records)}
    several = len({qoe for _, _, qoe in plan.scored}) > 1
    found = []
    for unit in units.values():
        name = unit.whole.name
        was = (then.get("by_video") or {}).get(name, then)
        now = dataclasses.asdict(plan.qoe_of(unit))
        lines = _differences(now, {key: was.get(key) for key in now}, "qoe")
        found += [f"{line} ({name})" if several else line for line in lines]
    return list(dict.fromkeys(found))


def _without_axis(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a session what it is: where a point is among others does not."""
    return {key: value for key, value in entry.items() if key != "axis"}


def _plain(value: Any) -> Any:
    return json.loads(line_of(value))


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
