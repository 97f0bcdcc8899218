"""Which adapter decided a record: found among the shipped ones by its hash, or named, and held against it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from player.record import RecordError
from policies.explain.replayed import PlayedSession
from policies.llm.arithmetic import AUTO, DTYPES
from policies.llm.model.adapter import AdapterError, made_for, read
from policies.llm.task import SHIPPED, task_named
from policies.llm.tasks.abr.small import WEIGHTS as SMALL
from policies.llm.tasks.abr.task import Bitrates
from traces.escaping import visible

ANYWAY = "--anyway explains what this adapter would have chosen"


@dataclass(frozen=True)
class Decider:
    """An adapter and its task."""

    folder: Path
    task: Bitrates
    sha256: str


def adapter_in(folder: Path) -> Decider:
    """The adapter of a folder.

    Raises:
        AdapterError: it is none, or decides something else than bitrates.
    """
    name = made_for(folder)
    task = task_named(name) if name in SHIPPED else task_named("abr")
    if not isinstance(task, Bitrates):
        raise AdapterError(f"{folder}: made for {visible(str(name))}, which is no choice of bitrates")
    return Decider(folder, task, read(folder, task).sha256)


def shipped() -> list[Decider]:
    """Every adapter that comes along and chooses bitrates."""
    tasks = [task for name in SHIPPED if isinstance(task := task_named(name), Bitrates)]
    folders = [task.shipped for task in tasks if task.shipped is not None]
    return [adapter_in(folder) for folder in (*folders, SMALL)]


def decider_of(session: PlayedSession, named: Path | None, anyway: bool) -> Decider:
    """Who decided a session.

    Args:
        named: a folder to take; None looks among the shipped ones.
        anyway: take it, or the default one, though the record's hash is another.

    Raises:
        RecordError: the record was decided by another adapter, or by none.
        AdapterError: the folder's is none.
    """
    policy = session.record.told.policy
    told = (policy.weights_sha256 if policy else None) or ""
    known = [adapter_in(named.absolute())] if named is not None else shipped()
    for each in known:
        if each.sha256 == told:
            return each
    if anyway:
        return next((each for each in known if _plays(each, session)), known[0])
    who = visible(str((policy.name if policy else None) or "?"))
    if not told:
        raise RecordError(f"{session.path}: decided by {who}, which has no adapter; {ANYWAY}")
    if named is not None:
        raise RecordError(
            f"{session.path}: decided by {who} with weights {visible(told[:12])}, not by {named}"
            f" ({known[0].sha256[:12]}); {ANYWAY}"
        )
    raise RecordError(
        f"{session.path}: decided by {who} with weights {visible(told[:12])}, no shipped adapter's; name its"
        f" folder with --adapter (of apc the hash covers its scheduler, too), or {ANYWAY}"
    )


def _plays(decider: Decider, session: PlayedSession) -> bool:
    try:
        decider.task.context_of(session.video, session.qoe)
    except ValueError:
        return False
    return True


def arithmetic_of(session: PlayedSession) -> str:
    """What a record says that its model was computed in, where that can be had."""
    policy = session.record.told.policy
    told = policy.arithmetic if policy else None
    return told if told in DTYPES else AUTO
