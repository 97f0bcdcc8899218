"""`python -m analysis collect DIR`: a table of sessions, a row each, or of their chunks.

For pandas, polars, DuckDB or a spreadsheet. `sessions.parquet` holds what comparisons and reports ask for,
computed from the records alone; `COLUMNS` names the columns with their units. QoE is by the weights that the
policies were told; with other weights, the linear one is
``bitrate_mbps - mu * stall_s_per_chunk - smooth * smoothness_mbps``. The columns of chunks are in
`analysis/tables/chunk_rows.py`, the forms of files in `analysis/tables/table_file.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from analysis.options import add_command
from analysis.outcomes import utilisation
from analysis.reading import WORTH_PROCESSES, each, processes_here
from analysis.sessions import (
    AnalysisError,
    SessionRecord,
    each_once,
    record_files,
    refuse_other_schemas,
    tell_next,
    tell_unreadable,
)
from analysis.tables.chunk_rows import CHUNK_COLUMNS, chunk_rows
from analysis.tables.next_command import Use, next_command, use_of
from analysis.tables.table_file import (
    ENDINGS,
    NUMBER,
    TEXT,
    TEXTS,
    TRUTH,
    WHOLE,
    TableFileError,
    ending_of,
    write_table,
)
from player.manifest import (
    CodeSection,
    LinkSection,
    PolicySection,
    SharedSection,
    SweepSection,
    TraceSection,
    VideoSection,
)
from player.record import RecordError, read_record
from traces.bound_processes import worker_pool
from traces.commands import add_json_option, said_of, tell_line
from traces.words import counted

TABLE, CHUNK_TABLE = "sessions.parquet", "chunks.parquet"

ROWS_AT_ONCE = 1000
"""Written together; no more are held in memory."""

DECIDERS = ("policy", "llm", "light", "fallback", "player")

COLUMNS: dict[str, str] = {
    "record": TEXT,  # file name
    "run_id": TEXT,
    "started_at": TEXT,
    "simulated": TRUTH,
    # which session of a sweep; null where no sweep made it
    "sweep": TEXT,
    "setting": TEXT,
    "seen": TRUTH,
    "stress": TRUTH,  # null where the sweep is older than the word
    "repetition": WHOLE,
    "block": WHOLE,
    "attempt": WHOLE,
    "session": TEXT,
    # who decided
    "policy": TEXT,  # as asked for, options included
    "policy_label": TEXT,  # the sweep's name for it
    "policy_name": TEXT,
    "delay_ms": NUMBER,
    "weights_sha256": TEXT,
    "source_sha256": TEXT,  # of the file that its class stands in
    "seed": WHOLE,
    # what was streamed over what
    "trace": TEXT,
    "trace_spec": TEXT,
    "family": TEXT,
    "trace_sha256": TEXT,
    "trace_mean_mbps": NUMBER,
    "start_s": NUMBER,
    "video": TEXT,
    "video_sha256": TEXT,
    "chunk_s": NUMBER,
    "chunks_asked": WHOLE,
    "link_model": TEXT,
    "delay_backend": TEXT,
    "rtt_ms": NUMBER,
    "jitter_ms": NUMBER,
    "loss": TEXT,  # none, uniform or gemodel
    "loss_pct": NUMBER,
    "queue_ms": NUMBER,
    "queue_bytes": NUMBER,  # the limit in force
    "cc": TEXT,
    "aqm": TEXT,  # at the bottleneck; null: its queue drops its tail
    "transport": TEXT,  # as negotiated; null of HTTP/1.1 as ever
    "group": TEXT,  # players that shared a bottleneck; null for one alone
    "players": WHOLE,
    "player_index": WHOLE,
    "offset_s": NUMBER,  # began so much after the group's first
    # how it ended
    "outcome": TEXT,
    "reason": TEXT,
    "valid": TRUTH,
    "invalid_reasons": TEXTS,
    "chunks": WHOLE,
    # how it went: means over all chunks but the first
    "qoe": NUMBER,
    "qoe_kind": TEXT,
    "mu": NUMBER,
    "smooth": NUMBER,
    "latency_weight": NUMBER,  # of a live stream's QoE; null else
    "bitrate_mbps": NUMBER,
    "smoothness_mbps": NUMBER,  # mean change of bitrate from chunk to chunk
    "stall_s": NUMBER,
    "stall_s_per_chunk": NUMBER,
    "stall_ratio": NUMBER,
    "switches": WHOLE,
    "startup_s": NUMBER,
    "latency_s": NUMBER,  # behind the making of a live stream; null else
    "played_s": NUMBER,
    "elapsed_s": NUMBER,
    "downloaded_bytes": WHOLE,
    "retries": WHOLE,
    "utilisation": NUMBER,
    "decision_mean_ms": NUMBER,
    "decision_p50_ms": NUMBER,
    "decision_p99_ms": NUMBER,
    "decision_max_ms": NUMBER,
    **{f"share_{who}": NUMBER for who in DECIDERS},  # of the chunks that each of these decided
    # how true the link was; null where it was computed
    "link_steps": WHOLE,
    "link_error_median": NUMBER,
    "link_error_p95": NUMBER,
    "link_late_p99_ms": NUMBER,
    "link_late_max_ms": NUMBER,
    "link_drops": WHOLE,
    "host": TEXT,
    "streambed": TEXT,  # version
    "commit": TEXT,  # of its tree
    "dirty": TRUTH,  # whether files of the tree differed from it
}
"""Column -> kind, in order."""


@dataclass(frozen=True)
class Collected:
    """What came of it."""

    table: Path
    rows: int
    sessions: int
    """Records that could be read."""
    unreadable: tuple[str, ...]
    """Records that could not be read, with their faults."""
    next_command: str | None
    """What of `analysis` runs on these records: `report`, `unpaired`, or nothing."""


def session_row(session: SessionRecord) -> dict[str, Any]:
    """One session's row; None where the record does not say.

    Raises:
        RecordError: a manifest that no figures can be made of.
    """
    code = session.told.code or CodeSection()
    return {
        "record": Path(session.path).name,
        **_of_the_run(session),
        **_of_the_policy(session),
        **_of_the_network(session),
        **_of_the_end(session),
        **_of_the_decisions(session),
        **_of_the_link(session),
        "host": session.told.host,
        "streambed": (session.told.versions or {}).get("streambed"),
        "commit": code.commit,
        "dirty": code.dirty,
    }


def _of_the_run(session: SessionRecord) -> dict[str, Any]:
    """Which session of which sweep it is."""
    told, sweep = session.told, session.told.sweep or SweepSection()
    names = ("setting", "seen", "stress", "repetition", "block", "attempt", "session")
    return {
        "run_id": told.run_id,
        "started_at": told.started_at,
        "simulated": bool(told.simulated),
        "sweep": sweep.name,
        **{name: getattr(sweep, name) for name in names},
    }


def _of_the_policy(session: SessionRecord) -> dict[str, Any]:
    policy, sweep = session.told.policy or PolicySection(), session.told.sweep or SweepSection()
    return {
        "policy": session.policy,
        "policy_label": sweep.policy,
        "policy_name": policy.name,
        "delay_ms": _number((policy.parameters or {}).get("delay_ms", 0.0)),
        "weights_sha256": policy.weights_sha256,
        "source_sha256": policy.source_sha256,
        "seed": session.told.seed,
    }


def _of_the_network(session: SessionRecord) -> dict[str, Any]:
    """What was streamed over what."""
    told = session.told
    trace, video = told.trace or TraceSection(), told.video or VideoSection()
    link, shared = told.link or LinkSection(), told.shared or SharedSection(players=1, index=0, offset_s=0.0)
    loss = link.loss or {}
    return {
        "trace": trace.name,
        "trace_spec": trace.spec,
        "family": trace.family,
        "trace_sha256": trace.sha256,
        "trace_mean_mbps": _number(trace.mean_mbps),
        "start_s": _number(trace.start_s),
        "video": video.name,
        "video_sha256": video.sha256,
        "chunk_s": _number(video.chunk_s),
        "chunks_asked": video.chunks,
        "link_model": link.model,
        "delay_backend": link.delay_backend,
        "rtt_ms": _number(link.rtt_ms),
        "jitter_ms": _number(link.jitter_ms),
        "loss": loss.get("kind"),
        "loss_pct": _number(loss.get("p")),
        "queue_ms": _number(link.queue_ms),
        "queue_bytes": _number(link.queue_limit_bytes),
        "cc": link.congestion_control,
        "aqm": link.aqm,
        "transport": (told.player.transport or {}).get("negotiated") if told.player else None,
        "group": shared.group,
        "players": shared.players,
        "player_index": shared.index,
        "offset_s": _number(shared.offset_s),
    }


MEANS = (
    "bitrate_mbps",
    "smoothness_mbps",
    "stall_s",
    "stall_s_per_chunk",
    "stall_ratio",
    "switches",
    "startup_s",
    "latency_s",
)
"""Of `SessionSummary`, in the table under the same names."""


def _of_the_end(session: SessionRecord) -> dict[str, Any]:
    """How it ended, and how it went."""
    end, summary = session.end, session.summary
    return {
        "outcome": end.outcome,
        "reason": end.reason,
        "valid": end.valid,
        "invalid_reasons": [str(reason) for reason in end.link.get("reasons", [])],
        "chunks": summary.chunks,
        "qoe": summary.qoe,
        "qoe_kind": summary.weights.kind,
        "mu": summary.weights.mu,
        "smooth": summary.weights.smooth,
        "latency_weight": getattr(summary.weights, "latency", None),
        **{name: getattr(summary, name) for name in MEANS},
        "played_s": end.played_s,
        "elapsed_s": end.elapsed_s,
        "downloaded_bytes": sum(row.size_bytes for row in session.chunks),
        "retries": sum(row.retries for row in session.chunks),
        "utilisation": utilisation(session),
    }


def _of_the_decisions(session: SessionRecord) -> dict[str, Any]:
    summary = session.summary
    decisions_ms = [1000.0 * row.decision_s for row in session.chunks]
    return {
        "decision_mean_ms": sum(decisions_ms) / len(decisions_ms) if decisions_ms else None,
        "decision_p50_ms": summary.decision_p50_ms,
        "decision_p99_ms": summary.decision_p99_ms,
        "decision_max_ms": max(decisions_ms, default=None),
        **{
            f"share_{who}": summary.decided_by.get(who, 0) / summary.chunks if summary.chunks else None
            for who in DECIDERS
        },
    }


def _of_the_link(session: SessionRecord) -> dict[str, Any]:
    """How true the link was."""
    verdict = session.end.link
    return {
        "link_steps": verdict.get("steps"),
        "link_error_median": _number(verdict.get("error_median")),
        "link_error_p95": _number(verdict.get("error_p95")),
        "link_late_p99_ms": _number(verdict.get("late_p99_ms")),
        "link_late_max_ms": _number(verdict.get("late_max_ms")),
        "link_drops": verdict.get("drops"),
    }


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def collect(places: Sequence[Path], table: Path, *, chunks: bool = False) -> Collected:
    """Write the table of all records of folders and record files.

    Args:
        places: folders that directly hold records (`*.jsonl`), or records.
        table: the file to be written, which appears complete or not at all; its ending says the form.
        chunks: a row a chunk, instead of one a session.

    Raises:
        AnalysisError: nothing to read in a place, no record that can be read, no chunk in any, an ending
            that is no table's.
        OSError: a place cannot be read, or the table not written.
    """
    files, copies = each_once(record_files(places))
    unreadable: list[str] = []
    uses: Counter[Use] = Counter()
    look = partial(_rows_or_fault, chunk_rows if chunks else _row_of_session)
    try:
        ending_of(table)
        batches = _batches(look, files, unreadable, uses)
        rows = write_table(table, CHUNK_COLUMNS if chunks else COLUMNS, batches)
    except TableFileError as error:
        raise AnalysisError(str(error)) from None
    unreadable += [fault for _, fault in copies]
    if not rows and unreadable:
        raise AnalysisError(f"none of {len(files)} records can be read: {unreadable[0]}")
    if not rows:
        raise AnalysisError(f"no chunk is in any of {len(files)} records; leave --chunks out")
    sessions = len(files) + len(copies) - len(unreadable)
    return Collected(table, rows, sessions, tuple(unreadable), next_command(uses.elements()))


Rows = list[dict[str, Any]]


def _batches(
    look: Callable[[Path], tuple[Rows, Use] | str],
    files: Sequence[Path],
    unreadable: list[str],
    uses: Counter[Use],
) -> Iterator[Rows]:
    """Rows of all records that can be read; the faults of others are added to `unreadable`, and what
    the sessions are good for to `uses`."""
    batch: Rows = []
    with contextlib.ExitStack() as stack:
        pool = None
        if len(files) >= WORTH_PROCESSES and processes_here() > 1:
            pool = stack.enter_context(worker_pool(processes_here()))
        for path, found in zip(files, each(look, files, pool), strict=True):
            if isinstance(found, str):
                refuse_other_schemas([(path, found)], len(files))
                unreadable.append(found)
            else:
                batch += found[0]
                uses[found[1]] += 1
            if len(batch) >= ROWS_AT_ONCE:
                yield batch
                batch = []
    if batch:
        yield batch


def _rows_or_fault(rows_of: Callable[[SessionRecord], Rows], path: Path) -> tuple[Rows, Use] | str:
    try:
        session = SessionRecord(read_record(path))
        return rows_of(session), use_of(session)
    except RecordError as error:
        return str(error)
    except OSError as error:
        return said_of(error)


def _row_of_session(session: SessionRecord) -> Rows:
    return [session_row(session)]


def add_collect(commands: Any) -> None:
    """The command `collect`."""
    command = add_command(
        commands,
        "collect",
        "write a table of sessions, a row each, or of their chunks (Parquet or CSV)",
        _collect,
    )
    command.add_argument(
        "results",
        nargs="+",
        type=Path,
        metavar="RESULTS",
        help="folders of records (the *.jsonl directly in them), or records",
    )
    command.add_argument("--chunks", action="store_true", help="a row a chunk, instead of one a session")
    command.add_argument(
        "--out",
        type=table_path,
        metavar="FILE",
        help=f"the table; its ending says the form: {', '.join(ENDINGS)}"
        f" (default: {TABLE} in the first folder, with --chunks {CHUNK_TABLE})",
    )
    add_json_option(command)


def table_path(text: str) -> Path:
    """A table's name, for argparse."""
    try:
        ending_of(Path(text))
    except TableFileError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)


def _collect(args: argparse.Namespace) -> int:
    first: Path = args.results[0]
    folder = first if first.is_dir() else first.parent
    found = collect(
        args.results, args.out or folder / (CHUNK_TABLE if args.chunks else TABLE), chunks=args.chunks
    )
    status = tell_unreadable(found.unreadable)
    if args.json:
        facts = {
            "table": str(found.table),
            "rows": found.rows,
            "sessions": found.sessions,
            "unreadable": list(found.unreadable),
        }
        print(json.dumps(facts))
        return status
    chunks = f"{counted(found.rows, 'chunk')} of " if args.chunks else ""
    tell_line(
        f"{chunks}{counted(found.sessions, 'session')}, {len(found.unreadable)} unreadable: {found.table}"
    )
    if found.next_command is None:
        print("no session here counts in a comparison yet; the table says why (outcome, valid, shares)")
    else:
        tell_next(args.results, found.next_command)
    return status
