"""A row a chunk: what the record says of it, which session it is of, and its QoE."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from analysis.sessions import SessionRecord
from analysis.tables.table_file import NUMBER, TEXT, TRUTH, WHOLE
from player.manifest import SweepSection, VideoSection
from player.qoe import qoe_of_chunks
from player.record import ChunkRow, RecordError

OF_THE_SESSION: dict[str, str] = {
    "record": TEXT,  # file name: with `run_id` what joins chunks with sessions
    "run_id": TEXT,
    "simulated": TRUTH,
    "sweep": TEXT,
    "setting": TEXT,
    "repetition": WHOLE,
    "policy": TEXT,
    "seed": WHOLE,
    "trace": TEXT,
    "start_s": NUMBER,
    "video": TEXT,
    "chunk_s": NUMBER,
    "outcome": TEXT,
    "valid": TRUTH,
}
"""The same in every row of a session; column -> kind."""


def _columns() -> dict[str, str]:
    """Those of a chunk, as the record has them."""
    kinds = {int: WHOLE, float: NUMBER, str: TEXT}
    hints = get_type_hints(ChunkRow)
    return {
        field.name: kinds[(get_args(hints[field.name]) or (hints[field.name],))[0]]
        for field in fields(ChunkRow)
    }


CHUNK_COLUMNS: dict[str, str] = {
    **OF_THE_SESSION,
    **_columns(),
    "qoe": NUMBER,  # by the weights that the policy was told; null for the first chunk
}
"""Column -> kind, in order."""


def chunk_rows(session: SessionRecord) -> list[dict[str, Any]]:
    """A session's chunks, a row each; None where the record does not say.

    Raises:
        RecordError: a manifest that no figures can be made of.
    """
    same = _of_the_session(session)
    try:
        values = qoe_of_chunks(session.weights, session.chunks, session.record.ladder_kbps)
    except ValueError as error:
        raise RecordError(f"{session.path}:1: {error}") from None
    return [
        {**same, **asdict(row), "qoe": qoe} for row, qoe in zip(session.chunks, [None, *values], strict=False)
    ]


def _of_the_session(session: SessionRecord) -> dict[str, Any]:
    told = session.told
    sweep, video = told.sweep or SweepSection(), told.video or VideoSection()
    return {
        "record": Path(session.path).name,
        "run_id": told.run_id,
        "simulated": bool(told.simulated),
        "sweep": sweep.name,
        "setting": sweep.setting,
        "repetition": sweep.repetition,
        "policy": session.policy,
        "seed": told.seed,
        "trace": session.trace.name if session.trace else None,
        "start_s": session.trace.start_s if session.trace else None,
        "video": video.name,
        "chunk_s": None if video.chunk_s is None else float(video.chunk_s),
        "outcome": session.end.outcome,
        "valid": session.end.valid,
    }
