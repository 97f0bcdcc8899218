"""What a sweep meant to run: its question, its settings, its sessions, from its `sweep.json`.

`analysis/sweep_state.py` says what it holds, `testbed/sweeps/state.py` writes it.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.report.parts.typed import TypedCommand
from analysis.sessions import AnalysisError
from analysis.sweep_state import (
    DONE,
    FAILED,
    INVALID,
    MISSING,
    FileEntry,
    SessionEntry,
    SweepState,
    SweepStateError,
)
from player.qoe import Scoring
from traces.safe_reading import BadFileError, read_json, toml_tables
from traces.versions import HERE
from traces.words import duration

FILE = "sweep.json"

STATUSES = (DONE, INVALID, FAILED, MISSING)


@dataclass(frozen=True)
class PlannedSetting:
    """A setting of a sweep, at one point of its axes."""

    label: str
    group: str
    """The `[[setting]]`'s own label."""
    axis: tuple[tuple[str, float], ...]
    """Where on its axes it is: key and value."""
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
    scoring: Scoring | None
    """What its file asks for; None where nothing is left of it."""
    simulated: bool
    engine: str
    link_model: str | None
    complete: bool
    begun_at: str
    updated_at: str
    commands: tuple[TypedCommand, ...]
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
    if not os.path.lexists(path):
        return None
    way_out = "remove it, and the report does without"
    try:
        found = read_json(path)
    except BadFileError as error:
        raise AnalysisError(f"{error}; {way_out}") from None
    try:
        return _sweep(path, SweepState.of(found))
    except SweepStateError as error:
        raise AnalysisError(f"{path}: {error}; {way_out}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnalysisError(f"{path}: no sweep's state ({error!r}); {way_out}") from None


def _sweep(path: Path, state: SweepState) -> Sweep:
    file = state.file or FileEntry()
    return Sweep(
        path=str(path),
        name=state.name or "",
        question=state.question or "",
        baseline=state.baseline,
        scoring=_scoring(state.qoe or {}, file.text or ""),
        simulated=bool(state.simulated),
        engine=state.engine or "",
        link_model=state.link_model,
        complete=bool(state.complete),
        begun_at=state.begun_at or "",
        updated_at=state.updated_at or "",
        commands=tuple(
            TypedCommand(command.argv or (), command.directory or HERE, emulates=not state.simulated)
            for command in state.commands or ()
        ),
        file_path=file.path or "",
        file_text=file.text or "",
        file_sha256=file.sha256 or "",
        plan_sha256=state.plan_sha256 or "",
        order_seed=state.order_seed,
        retries=state.retries,
        host=_pairs(state.host),
        versions=_pairs(state.versions),
        lanes=_lanes(state.lanes),
        spent=_spent(state.spent),
        refused=tuple(
            (entry.policy or "", entry.video or "", entry.why or "") for entry in state.refused or ()
        ),
        settings=tuple(map(_setting, state.settings or ())),
        policies=tuple(map(_policy, state.policies or ())),
        sessions=tuple(map(_session, state.sessions or ())),
    )


def _scoring(told: Mapping[str, Any], text: str) -> Scoring | None:
    """What a file asks for. Its state has what all were told: of a mu it doesn't say whether somebody asked
    for it, and it has none where each ladder has its own."""
    if not told:
        return None
    try:
        asked = toml_tables(text, FILE).get("qoe", {}).get("mu")
    except (BadFileError, AttributeError):
        asked = told["mu"]
    return Scoring(told["kind"], None if asked is None else float(asked), told["smooth"])


def _policy(told: Mapping[str, Any]) -> PlannedPolicy:
    return PlannedPolicy(
        label=str(told["label"]),
        spec=str(told.get("spec", told["label"])),
        delay_ms=float(told.get("delay_ms") or 0.0),
        left_out=told.get("left_out"),
    )


def _session(entry: SessionEntry) -> PlannedSession:
    if None in (entry.setting, entry.policy, entry.trace, entry.status):
        raise ValueError(f"session {entry.session} has no setting, policy, trace or status")
    return PlannedSession(
        record=entry.record or "",
        setting=str(entry.setting),
        policy=str(entry.policy),
        trace=str(entry.trace),
        status=str(entry.status),
        attempts=entry.attempts or 0,
        reasons=entry.reasons or (),
    )


def _setting(one: Mapping[str, Any]) -> PlannedSetting:
    seen, cap_mbps, players = one.get("seen"), one.get("cap_mbps"), one.get("players") or 1
    besides = [] if cap_mbps is None else [f"capped at {cap_mbps:g} Mbit/s"]
    if players > 1:
        besides.append(f"{players} players share it, each {one.get('stagger_s') or 0.0:g} s after the last")
    others = [str(one[name]) for name in ("beside", "cross") if one.get(name)]
    besides += [f"shared with {', '.join(others)}"] if others else []
    label = str(one["label"])
    group = str(one.get("group") or label)
    return PlannedSetting(
        label=label,
        group=group,
        axis=_axis(label, group, one.get("axis")),
        seen=seen if isinstance(seen, bool) else None,
        besides=tuple(besides),
        left_out=one.get("left_out"),
    )


def _axis(label: str, group: str, told: Any) -> tuple[tuple[str, float], ...]:
    """Where a setting is on its axes; sweeps from before the word have it in the label only."""
    if isinstance(told, dict):
        return tuple((key, value) for key, value in told.items() if type(value) in (int, float))
    found = []
    for words in label.removeprefix(group).split(", "):
        key, _, value = words.strip().rpartition(" ")
        if key and " " not in key and re.fullmatch(r"\d+(\.\d+)?(e[+-]?\d+)?", value):
            found.append((key, float(value) if not value.isdecimal() else int(value)))
    return tuple(found)


def in_words(value: Any) -> str:
    """A JSON value for a reader; of an object `name value, …`."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {in_words(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(in_words, value))
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pairs(found: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), in_words(value)) for name, value in (found or {}).items())


def _lanes(found: Mapping[str, Any] | None) -> str:
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


def _spent(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    return f"{duration(found['wall_s'])} of running for {duration(found['session_s'])} of sessions"
