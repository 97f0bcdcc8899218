"""`collect` of calls: a row a call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from analysis.calls.outcomes import CallSession
from analysis.sessions import complaint, each_once, record_files, refuse_other_schemas
from analysis.tables.table_file import NUMBER, TEXT, TEXTS, TRUTH, WHOLE, write_table
from player.call.record import read_call
from player.call.scored.kinds import KINDS
from player.call.scored.outcomes import CallOutcomes, of_record
from player.call.scored.qoe import CallQoE
from player.manifest import CodeSection, LinkSection, PolicySection, SweepSection, TraceSection
from player.record import RecordError
from traces.commands import said_of

TABLE = "calls.parquet"
ROWS_AT_ONCE = 1000

DECIDERS = ("policy", "llm", "light", "guard", "fallback")

COLUMNS: dict[str, str] = {
    "record": TEXT,  # file name
    "run_id": TEXT,
    "started_at": TEXT,
    "simulated": TRUTH,
    "sweep": TEXT,
    "setting": TEXT,
    "repetition": WHOLE,
    "policy": TEXT,  # as asked for, options included; or the sweep's name for it
    "policy_name": TEXT,
    "weights_sha256": TEXT,
    "source_sha256": TEXT,
    "seed": WHOLE,
    "trace": TEXT,
    "family": TEXT,
    "trace_sha256": TEXT,
    "trace_mean_mbps": NUMBER,
    "start_s": NUMBER,
    "link_model": TEXT,
    "rtt_ms": NUMBER,
    "jitter_ms": NUMBER,
    "queue_ms": NUMBER,
    "loss": TEXT,
    "loss_pct": NUMBER,
    "decision_delay_s": NUMBER,
    "duration_s": NUMBER,
    "fps": NUMBER,
    "start_kbps": NUMBER,
    "min_kbps": NUMBER,
    "max_kbps": NUMBER,
    "warm_up_s": NUMBER,
    "outcome": TEXT,
    "reason": TEXT,
    "valid": TRUTH,
    "invalid_reasons": TEXTS,
    "elapsed_s": NUMBER,
    **{f"qoe_{kind}": NUMBER for kind in KINDS},  # by each kind's usual weights
    **{each.name: NUMBER for each in fields(CallOutcomes)},  # of the scored time
    "decisions": WHOLE,
    "decision_mean_ms": NUMBER,
    **{f"share_{who}": NUMBER for who in DECIDERS},  # of the decisions
    "host": TEXT,
    "streambed": TEXT,
    "commit": TEXT,
    "dirty": TRUTH,
}
"""Column -> kind, in order."""


def call_row(session: CallSession) -> dict[str, Any]:
    """One call's row; None where the record does not say.

    Raises:
        RecordError: a manifest that no figures can be made of.
    """
    record = session.record
    outcomes, end, told = of_record(record), record.end, record.told
    code, call = told.code or CodeSection(), record.call
    return {
        "record": Path(session.path).name,
        **_of_the_run(session),
        **_of_the_network(session),
        **{name: float(getattr(call, name)) for name in _OF_THE_CALL},
        "outcome": end.outcome,
        "reason": end.reason,
        "valid": end.valid,
        "invalid_reasons": [str(reason) for reason in end.link.get("reasons", [])],
        "elapsed_s": end.elapsed_s,
        **{f"qoe_{kind}": CallQoE(kind).of(outcomes) for kind in KINDS},
        **asdict(outcomes),
        **_of_the_decisions(session),
        "host": told.host,
        "streambed": (told.versions or {}).get("streambed"),
        "commit": code.commit,
        "dirty": code.dirty,
    }


_OF_THE_CALL = ("duration_s", "fps", "start_kbps", "min_kbps", "max_kbps", "warm_up_s")


def _of_the_run(session: CallSession) -> dict[str, Any]:
    told = session.told
    sweep, policy = told.sweep or SweepSection(), told.policy or PolicySection()
    return {
        "run_id": told.run_id,
        "started_at": told.started_at,
        "simulated": bool(told.simulated),
        "sweep": sweep.name,
        "setting": sweep.setting,
        "repetition": sweep.repetition,
        "policy": session.policy,
        "policy_name": policy.name,
        "weights_sha256": policy.weights_sha256,
        "source_sha256": policy.source_sha256,
        "seed": told.seed,
    }


def _of_the_network(session: CallSession) -> dict[str, Any]:
    told = session.told
    trace, link = told.trace or TraceSection(), told.link or LinkSection()
    return {
        "trace": trace.name,
        "family": trace.family,
        "trace_sha256": trace.sha256,
        "trace_mean_mbps": trace.mean_mbps,
        "start_s": trace.start_s,
        "link_model": link.model,
        "rtt_ms": link.rtt_ms,
        "jitter_ms": link.jitter_ms,
        "queue_ms": link.queue_ms,
        "loss": (link.loss or {}).get("kind"),
        "loss_pct": _number((link.loss or {}).get("p")),
        "decision_delay_s": _number(session.record.manifest.get("decision_delay_s")),
    }


def _of_the_decisions(session: CallSession) -> dict[str, Any]:
    rows = session.record.decisions
    by = Counter(row.by for row in rows)
    return {
        "decisions": len(rows),
        "decision_mean_ms": sum(row.decision_ms for row in rows) / len(rows) if rows else None,
        **{f"share_{who}": by[who] / len(rows) if rows else None for who in DECIDERS},
    }


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def collect_calls(places: Sequence[Path], table: Path) -> tuple[int, tuple[str, ...]]:
    """Write the table of all calls of folders and record files.

    Returns:
        how many rows, and the faults of records that could not be read.

    Raises:
        AnalysisError: nothing to read in a place, a record of another version.
        RecordError: no record can be read.
        TableFileError: an ending that is no table's.
        OSError: a place cannot be read, or the table not written.
    """
    files, copies = each_once(record_files(places))
    faults = list(copies)
    rows = write_table(table, COLUMNS, _batches(files, faults))
    if not rows:
        raise RecordError(complaint(faults, len(files) + len(copies)))
    return rows, tuple(fault for _, fault in faults)


def _batches(files: Sequence[Path], faults: list[tuple[Path, str]]) -> Iterator[list[dict[str, Any]]]:
    """Rows of all records that can be read; the faults of others are added to `faults`."""
    batch: list[dict[str, Any]] = []
    for path in files:
        try:
            batch.append(call_row(CallSession(read_call(path))))
        except (RecordError, OSError) as error:
            faults.append((path, said_of(error) if isinstance(error, OSError) else str(error)))
            refuse_other_schemas(faults[-1:], len(files))
        if len(batch) >= ROWS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
