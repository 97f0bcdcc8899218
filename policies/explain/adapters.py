"""Which adapter decided a record: found among the shipped ones by its hash, or named, and held against it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from player.record import RecordError
from policies.explain.replayed import PlayedSession
from policies.llm.arithmetic import AUTO, DTYPES
from policies.llm.model.adapter import read
from policies.llm.tasks.ladder.small import WEIGHTS as SMALL
from policies.llm.tasks.ladder.task import TASK
from traces.escaping import visible

ANYWAY = "--anyway explains what this adapter would have chosen"
SIX_LEVELS = (
    "497862bfb9ff4e8c510662374d4dfae6c519fd8122e378eadb1df0889dca6095",
    "d6bcac34488b03591a14f62f07907006a578019a5efe6eea6f57e7090ee4c543",
)
"""Hashes that records of `netllm` and of `small` have whose task is gone."""


@dataclass(frozen=True)
class Decider:
    """An adapter."""

    folder: Path
    sha256: str


def adapter_in(folder: Path) -> Decider:
    """The adapter of a folder.

    Raises:
        AdapterError: it is none, or decides something else than bitrates.
    """
    return Decider(folder, read(folder, TASK).sha256)


def shipped() -> list[Decider]:
    """Every adapter that comes along and chooses bitrates: of `netllm`, of `small`."""
    assert TASK.shipped is not None
    return [adapter_in(folder) for folder in (TASK.shipped, SMALL)]


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
        return known[0]
    who = visible(str((policy.name if policy else None) or "?"))
    if not told:
        raise RecordError(f"{session.path}: decided by {who}, which has no adapter; {ANYWAY}")
    if named is not None:
        raise RecordError(
            f"{session.path}: decided by {who} with weights {visible(told[:12])}, not by {named}"
            f" ({known[0].sha256[:12]}); {ANYWAY}"
        )
    if told in SIX_LEVELS:
        raise RecordError(
            f"{session.path}: decided by {who} with weights {visible(told[:12])}, which chose among six"
            f" levels alone and are not shipped any more; decide it again with today's, or {ANYWAY}"
        )
    raise RecordError(
        f"{session.path}: decided by {who} with weights {visible(told[:12])}, no shipped adapter's; name its"
        f" folder with --adapter (of apc the hash covers its scheduler, too), or {ANYWAY}"
    )


def arithmetic_of(session: PlayedSession) -> str:
    """What a record says that its model was computed in, where that can be had."""
    policy = session.record.told.policy
    told = policy.arithmetic if policy else None
    return told if told in DTYPES else AUTO
