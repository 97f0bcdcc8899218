"""`sweep.json`: a sweep's plan and how far it is, for whoever reads its results.

It lies in the folder of records and is rewritten whole (aside, synced, renamed) at the start, every few
seconds, and at the end; `testbed/sweeps/state.py` makes it. Policies and settings go by their labels, traces
by their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from player.section import JsonSection

SCHEMA = 1
DONE, INVALID, FAILED, MISSING = "done", "invalid", "failed", "missing"
"""Finished over a true link and not by the fallback alone; its link was never what it should be, and the last
record is kept; cut short, or no record came of it; not run yet, or to be tried again."""


class SweepStateError(ValueError):
    """No state of a sweep that this version reads; the message names the fault."""


@dataclass(frozen=True)
class _Part(JsonSection):
    NULLS: ClassVar[bool] = True


@dataclass(frozen=True)
class FileEntry(_Part):
    """The experiment's file."""

    path: str | None = None
    sha256: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class CommandEntry(_Part):
    """A command that worked on the folder."""

    at: str | None = None
    argv: tuple[str, ...] | None = None
    host: str | None = None
    directory: str | None = None
    """Where it was typed: seen from Streambed's folder, absolute where that is elsewhere."""


@dataclass(frozen=True)
class RefusedEntry(_Part):
    """A policy that cannot stream a video; there are no such sessions."""

    policy: str | None = None
    video: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class TraceEntry(_Part):
    """A trace of the sweep."""

    name: str | None = None
    spec: str | None = None
    family: str | None = None
    sha256: str | None = None
    mean_mbps: float | None = None


@dataclass(frozen=True)
class SessionEntry(_Part):
    """A session that is expected, and what has become of it."""

    session: str | None = None
    record: str | None = None
    setting: str | None = None
    policy: str | None = None
    trace: str | None = None
    start_s: float | None = None
    video: str | None = None
    chunks: int | None = None
    seed: int | None = None
    repetition: int | None = None
    players: int | None = None
    index: int | None = None
    group: str | None = None
    """Players that shared a bottleneck; None for one that has it to itself."""
    block: int | None = None
    identity: str | None = None
    """Hash of all that makes it this session."""
    status: str | None = None
    attempts: int | None = None
    reasons: tuple[str, ...] | None = None
    """The last attempt's, in words."""


@dataclass(frozen=True)
class SweepState(_Part):
    """The whole of it."""

    schema: int | None = SCHEMA
    name: str | None = None
    question: str | None = None
    baseline: str | None = None
    """A policy's label."""
    engine: str | None = None
    """`processes` (simulated here), `lanes` (emulated here) or `ray`."""
    complete: bool | None = None
    """Whether nothing is left to run: every session is done, or was tried in vain often enough."""
    begun_at: str | None = None
    updated_at: str | None = None
    commands: tuple[CommandEntry, ...] | None = None
    """The one that made it first."""
    file: FileEntry | None = None
    plan_sha256: str | None = None
    """Hash of all sessions' identities."""
    simulated: bool | None = None
    link_model: str | None = None
    """Of computed sessions."""
    qoe: Mapping[str, Any] | None = None
    """What policies are told: `kind`, `mu`, `smooth`; where each ladder has its own mu, that is null, and
    `by_video` has all three of each video."""
    decision_deadline_s: float | None = None
    order_seed: int | None = None
    retries: int | None = None
    versions: Mapping[str, Any] | None = None
    code: Mapping[str, Any] | None = None
    """Streambed's tree at the last command: `commit`, and `dirty`, whether it was changed since."""
    host: Mapping[str, Any] | None = None
    lanes: Mapping[str, Any] | None = None
    """`asked` ("auto" or N), `used` (what a command begins with), `measured` (rows of `testbed/fidelity.py`),
    `now`, and `changes` ([{"at", "lanes", "why"}]); older sweeps lack the last two."""
    estimate: Mapping[str, Any] | None = None
    """What the plan was expected to take: `sessions`, `wall_s`, `disk_bytes`."""
    spent: Mapping[str, Any] | None = None
    """All commands together, and the sessions' own lengths: `wall_s`, `session_s`."""
    refused: tuple[RefusedEntry, ...] | None = None
    settings: tuple[Mapping[str, Any], ...] | None = None
    """One a point: `label`, `group` (the [[setting]] that it is a point of), `axis` (where on its axes, by
    key; older sweeps lack it), `seen`, `link`, `video`, `chunks`, `players`, `left_out` (why the engine
    cannot do it), `stress` where the file says so, …"""
    policies: tuple[Mapping[str, Any], ...] | None = None
    """`label`, `spec`, `name`, `delay_ms`, `weights_sha256`, `source_sha256`, `left_out`, and `fallback`
    where it is not `bba`, which it once was for all."""
    traces: tuple[TraceEntry, ...] | None = None
    sessions: tuple[SessionEntry, ...] | None = None
    """All that are expected, in the order in which they run."""
    counts: Mapping[str, Any] | None = None
    """`expected`, `done`, `invalid`, `failed`, `missing`, `left_out`."""
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, held: object) -> SweepState:
        """What a file of any schema that there was holds.

        Raises:
            SweepStateError: another one.
        """
        if not isinstance(held, Mapping) or held.get("schema") != SCHEMA:
            schema = held.get("schema") if isinstance(held, Mapping) else None
            raise SweepStateError(f"schema {schema!r}, where this version reads {SCHEMA}")
        state = cls.from_json(held)
        parts = None if state is None else (state.settings, state.policies, state.sessions)
        if state is None or parts is None or None in parts:
            raise SweepStateError("no sweep's state: no settings, policies or sessions")
        state._check()
        return state

    def _check(self) -> None:
        """Refuse what nobody could go on from.

        Raises:
            SweepStateError: which part it is.
        """
        for what, entries in (("setting", self.settings or ()), ("policy", self.policies or ())):
            if not all(isinstance(entry.get("label"), str) for entry in entries):
                raise SweepStateError(f"no sweep's state: a {what} without a label")
        for entry in self.sessions or ():
            told = (entry.session, entry.record, entry.setting, entry.policy, entry.trace, entry.status)
            if None in told:
                named = entry.session or entry.record or "a session"
                raise SweepStateError(
                    f"no sweep's state: {named} has no name, record, setting, policy, trace or status"
                )
        spent = (self.spent or {}).values()
        if not all(type(value) in (int, float) for value in spent):
            raise SweepStateError("no sweep's state: what it spent is no number of seconds")
        changes = (self.lanes or {}).get("changes", [])
        if not (isinstance(changes, list) and all(isinstance(change, Mapping) for change in changes)):
            raise SweepStateError("no sweep's state: its lanes' changes are no list of them")
