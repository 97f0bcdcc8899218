"""What a sweep meant to run: its question, its settings, its sessions, from its `sweep.json`.

`testbed/sweeps/state.py` writes the file and describes it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.sessions import AnalysisError
from player.qoe import QoE

FILE = "sweep.json"
SCHEMA = 1

DONE, INVALID, FAILED, MISSING = "done", "invalid", "failed", "missing"
STATUSES = (DONE, INVALID, FAILED, MISSING)


@dataclass(frozen=True)
class PlannedSetting:
    """A setting of a sweep."""

    label: str
    seen: bool | None
    besides: tuple[str, ...]
    """What a record's link does not say of it, in words: a cap, how many players share it."""
    left_out: str | None
    """Why it has no sessions, if the engine cannot do it."""


@dataclass(frozen=True)
class PlannedPolicy:
    """A policy of a sweep."""

    label: str
    spec: str
    delay_ms: float
    left_out: str | None


@dataclass(frozen=True)
class PlannedSession:
    """A session that is expected, and what has become of it."""

    record: str
    setting: str
    policy: str
    trace: str
    status: str
    attempts: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Sweep:
    """A sweep as its file tells it."""

    path: str
    name: str
    question: str
    baseline: str | None
    qoe: QoE | None
    simulated: bool
    engine: str
    link_model: str | None
    complete: bool
    begun_at: str
    updated_at: str
    commands: tuple[tuple[str, ...], ...]
    file_path: str
    file_text: str
    file_sha256: str
    plan_sha256: str
    order_seed: int | None
    retries: int | None
    host: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    lanes: str
    """How many were used, in words; empty where nothing says so."""
    spent: str
    """What it took so far, in words."""
    refused: tuple[tuple[str, str, str], ...]
    """Policy, video, and why the policy does not play it."""
    settings: tuple[PlannedSetting, ...]
    policies: tuple[PlannedPolicy, ...]
    sessions: tuple[PlannedSession, ...]

    def count(self, status: str) -> int:
        """How many sessions are in a state."""
        return sum(one.status == status for one in self.sessions)

    def counts(self) -> dict[tuple[str, str], Counter[str]]:
        """How many sessions of each setting and policy are in which state."""
        found: dict[tuple[str, str], Counter[str]] = {}
        for one in self.sessions:
            found.setdefault((one.setting, one.policy), Counter())[one.status] += 1
        return found


def read_sweep(folder: Path) -> Sweep | None:
    """The sweep of a folder; None where no sweep made it.

    Raises:
        AnalysisError: a file of that name that is no sweep's of this version.
        OSError: it cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    way_out = "remove it, and the report does without"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AnalysisError(f"{path}: not JSON ({error}); {way_out}") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        schema = found.get("schema") if isinstance(found, dict) else None
        raise AnalysisError(f"{path}: schema {schema!r}, where this version reads {SCHEMA}; {way_out}")
    try:
        return _sweep(path, found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnalysisError(f"{path}: no sweep's state ({error!r}); {way_out}") from None


def _sweep(path: Path, found: dict[str, Any]) -> Sweep:
    qoe, file = found.get("qoe"), found.get("file") or {}
    return Sweep(
        path=str(path),
        name=str(found.get("name") or ""),
        question=str(found.get("question") or ""),
        baseline=found.get("baseline"),
        qoe=QoE(**qoe) if qoe else None,
        simulated=bool(found.get("simulated")),
        engine=str(found.get("engine") or ""),
        link_model=found.get("link_model"),
        complete=bool(found.get("complete")),
        begun_at=str(found.get("begun_at") or ""),
        updated_at=str(found.get("updated_at") or ""),
        commands=tuple(tuple(map(str, one["argv"])) for one in found.get("commands", ())),
        file_path=str(file.get("path") or ""),
        file_text=str(file.get("text") or ""),
        file_sha256=str(file.get("sha256") or ""),
        plan_sha256=str(found.get("plan_sha256") or ""),
        order_seed=found.get("order_seed"),
        retries=found.get("retries"),
        host=_pairs(found.get("host")),
        versions=_pairs(found.get("versions")),
        lanes=_lanes(found.get("lanes")),
        spent=_spent(found.get("spent")),
        refused=tuple(
            (str(one["policy"]), str(one["video"]), str(one["why"])) for one in found.get("refused") or ()
        ),
        settings=tuple(_setting(one) for one in found["settings"]),
        policies=tuple(map(_policy, found["policies"])),
        sessions=tuple(map(_session, found["sessions"])),
    )


def _policy(told: dict[str, Any]) -> PlannedPolicy:
    return PlannedPolicy(
        label=str(told["label"]),
        spec=str(told.get("spec", told["label"])),
        delay_ms=float(told.get("delay_ms") or 0.0),
        left_out=told.get("left_out"),
    )


def _session(told: dict[str, Any]) -> PlannedSession:
    return PlannedSession(
        record=str(told.get("record") or ""),
        setting=str(told["setting"]),
        policy=str(told["policy"]),
        trace=str(told["trace"]),
        status=str(told["status"]),
        attempts=int(told.get("attempts") or 0),
        reasons=tuple(map(str, told.get("reasons") or ())),
    )


def _setting(one: dict[str, Any]) -> PlannedSetting:
    seen, cap_mbps, players = one.get("seen"), one.get("cap_mbps"), one.get("players") or 1
    besides = [] if cap_mbps is None else [f"capped at {cap_mbps:g} Mbit/s"]
    if players > 1:
        besides.append(f"{players} players share it, each {one.get('stagger_s') or 0.0:g} s after the last")
    return PlannedSetting(
        label=str(one["label"]),
        seen=seen if isinstance(seen, bool) else None,
        besides=tuple(besides),
        left_out=one.get("left_out"),
    )


def in_words(value: Any) -> str:
    """A JSON value for a reader; of an object `name value, …`."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {in_words(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(in_words, value))
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pairs(found: dict[str, Any] | None) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), in_words(value)) for name, value in (found or {}).items())


def _lanes(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    measured = found.get("measured") or ()
    tried = ", ".join(
        f"{one['lanes']} ({'held' if one.get('within_bounds') else 'out of bounds'})" for one in measured
    )
    asked = f", asked for: {in_words(found.get('asked'))}"
    changes = ", ".join(
        f"{one['lanes']} from {one['at']} on ({one['why']})" for one in found.get("changes") or ()
    )
    return (
        f"{found.get('used')} at once{asked}"
        + (f"; measured under load: {tried}" if tried else "")
        + (f"; then {changes}" if changes else "")
    )


def _spent(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    return f"{duration(found['wall_s'])} of running for {duration(found['session_s'])} of sessions"


def duration(seconds: float) -> str:
    """`3.2 s`, `4 min 5 s`, `6 h 7 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
