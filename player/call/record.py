"""The record of a call: JSON Lines, facts only, one file a call.

Line 1 is the manifest, with `"task": "call"`; then a line a decision and a line a second, as they came; the
last line says how the call ended. Scores are not in it: `player/call/scored` computes them afterwards.
Emulated and simulated calls have the same lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from player.call.checks import CallError
from player.call.settings import CallSettings
from player.manifest import SCHEMA, Manifest, ManifestError
from player.record import LineWriter, RecordError
from player.record_checks import RowFault, far_number, network_fault, typed_row
from traces.safe_reading import BadFileError, json_object, read_text, shown
from traces.trace import Trace, TraceError

TASK = "call"
OVERTIME_S = 60.0
"""No call goes on for longer after its end."""
_DIGITS = 6
"""Microseconds, and bits per second of a Mbit/s."""


@dataclass(frozen=True)
class DecisionRow:
    """A rate was decided. What the controller saw is of the interval that the feedback ended."""

    at_s: float
    """When the feedback came, since the call began."""
    kbps: float
    """In force from then on, or when the answer was there."""
    by: str
    """`policy`, `llm`, `light`, `guard` (GCC's overuse cut a rate that held) or `fallback` (GCC)."""
    reason: str = ""
    decision_ms: float = 0.0
    """How long it took, in which the old rate held."""
    probe_kbps: float = 0.0
    heard: bool = True
    receive_mbps: float = 0.0
    queue_ms: float = 0.0
    loss_ratio: float = 0.0
    rtt_ms: float = 0.0
    pacer_ms: float = 0.0


@dataclass(frozen=True)
class SecondRow:
    """A second of the call, counted from 0. Bytes are of datagrams' payload, our header in it."""

    second: int
    sent_packets: int
    sent_bytes: int
    resent_packets: int
    padding_bytes: int
    frames: int
    """Encoded."""
    key_frames: int
    frames_dropped: int
    """Not encoded, for the pacer was full."""
    packets: int
    bytes: int
    """That came."""
    media_bytes: int
    """That came for the first time, without padding."""
    missed: int
    """Packets that had not come when a later one did."""
    delay_mean_ms: float | None
    delay_least_ms: float | None
    delay_most_ms: float | None
    """One-way delay of the packets that came; None: there were none."""
    shown_s: list[float]
    """When frames were seen, since the call began."""
    captured_s: list[float]
    """When these had been captured."""


@dataclass(frozen=True)
class CallEnd:
    """How the call ended."""

    outcome: str
    """`finished`, or in a word what cut it short."""
    reason: str
    elapsed_s: float
    """Of the call's clock: its duration, unless it was cut short."""
    decisions: int
    frames_decoded: int
    frames_given_up: int
    frames_overtaken: int
    """Decoded, but the next one was to be seen at the same moment."""
    delay_least_ms: float | None
    delay_p50_ms: float | None
    delay_p95_ms: float | None
    delay_p99_ms: float | None
    """Of all packets after the warm-up, to a millisecond (rounded down); None: none came."""
    valid: bool = True
    """False when the link was not what the manifest says (only the testbed can tell)."""
    link: dict[str, Any] = field(default_factory=dict)
    """The link self-check's verdict and figures; empty for a simulated call."""
    sender: dict[str, Any] = field(default_factory=dict)
    """How late an emulated sender was; empty for a simulated one."""


@dataclass(frozen=True)
class CallRecord:
    """A whole call as read back."""

    path: str
    manifest: dict[str, Any]
    """The first line as the file has it; `told` is the same, typed."""
    decisions: tuple[DecisionRow, ...]
    seconds: tuple[SecondRow, ...]
    end: CallEnd

    @cached_property
    def told(self) -> Manifest:
        """What the first line says."""
        return Manifest.of_line(self.manifest)

    @cached_property
    def call(self) -> CallSettings:
        """The call's settings.

        Raises:
            RecordError: they make no call.
        """
        return call_of(self.manifest, self.path)


def call_of(manifest: dict[str, Any], path: str) -> CallSettings:
    """The settings of the call that a manifest tells of.

    Raises:
        RecordError: they make no call.
    """
    told, names = manifest.get("call"), {each.name for each in fields(CallSettings)}
    if not isinstance(told, dict) or set(told) - names:
        raise RecordError(f"{path}:1: call is {shown(told)}; expected a call's settings")
    try:
        return CallSettings(**told)
    except (CallError, TypeError) as error:
        raise RecordError(f"{path}:1: {error}") from None


def row_line(kind: str, row: DecisionRow | SecondRow | CallEnd) -> dict[str, Any]:
    """A row as a line of the record, its numbers rounded to what can be measured."""
    return {"line": kind, **{name: _rounded(value) for name, value in vars(row).items()}}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DIGITS)
    return [round(each, _DIGITS) for each in value] if isinstance(value, list) else value


class CallWriter(LineWriter):
    """Writes the record of a call, line by line as it goes; see `LineWriter`.

    Args:
        manifest: a manifest's fields; `task` and `call` are added.
    """

    def __init__(self, path: Path, call: CallSettings, manifest: dict[str, Any]) -> None:
        super().__init__(path, {"task": TASK, **manifest, "call": asdict(call)})

    def decision(self, row: DecisionRow) -> None:
        self.write(row_line("decision", row))

    def second(self, row: SecondRow) -> None:
        self.write(row_line("second", row))

    def finish(self, row: CallEnd) -> None:
        """Write the last line, sync, and let the file appear under its final name."""
        self.end(row_line("end", row))


def is_call(manifest: dict[str, Any]) -> bool:
    """Whether a record's first line is that of a call."""
    return manifest.get("line") == "manifest" and manifest.get("task") == TASK


def read_call(path: Path) -> CallRecord:
    """Read the whole record of a call.

    Raises:
        RecordError: cut off, not JSON, no call's, seconds out of order, a field that is missing, unknown or
            of the wrong type, a link that there can't be.
        OSError: the file cannot be read.
    """
    lines = _lines(path)
    manifest = lines[0] if lines else {}
    if not is_call(manifest) or manifest.get("schema") != SCHEMA:
        raise RecordError(f"{path}:1: no manifest of a call of schema {SCHEMA}; this is no call's record")
    try:
        told = Manifest.of_line(manifest)
    except ManifestError as error:
        raise RecordError(f"{path}:1: {error}") from None
    if fault := network_fault(manifest, told) or _trace_fault(told):
        raise RecordError(f"{path}:1: {fault}")
    most_s = call_of(manifest, str(path)).duration_s + OVERTIME_S
    if len(lines) < 2 or lines[-1].get("line") != "end":
        raise RecordError(f"{path}:{len(lines)}: no end line; the call was cut off")
    record = CallRecord(str(path), manifest, *_rows(path, lines))
    if record.end.elapsed_s > most_s:
        raise RecordError(f"{path}:{len(lines)}: elapsed_s is {record.end.elapsed_s}; at most {most_s:g}")
    return record


def _trace_fault(told: Manifest) -> str:
    """Why what the link was to carry is no trace; empty where it is one, or not told."""
    trace = told.trace
    if trace is None or not trace.time_s or not trace.rate_mbps:
        return ""
    try:
        Trace("trace", trace.time_s, trace.rate_mbps)
    except TraceError as error:
        return str(error)
    return ""


def _rows(
    path: Path, lines: Sequence[dict[str, Any]]
) -> tuple[tuple[DecisionRow, ...], tuple[SecondRow, ...], CallEnd]:
    decisions: list[DecisionRow] = []
    seconds: list[SecondRow] = []
    for number, line in enumerate(lines[1:-1], start=2):
        if line.get("line") == "decision":
            decision: DecisionRow = _row(DecisionRow, "decision", line, path, number)
            before_s = decisions[-1].at_s if decisions else 0.0
            if decision.kbps <= 0 or decision.at_s < before_s:
                raise RecordError(
                    f"{path}:{number}: {decision.kbps:g} kbit/s at {decision.at_s:g} s, after {before_s:g} s;"
                    " expected a rate above 0, in order of time"
                )
            decisions.append(decision)
            continue
        row = _row(SecondRow, "second", line, path, number)
        if row.second != len(seconds):
            raise RecordError(f"{path}:{number}: second {row.second} where {len(seconds)} is due")
        if len(row.shown_s) != len(row.captured_s):
            raise RecordError(f"{path}:{number}: {len(row.shown_s)} shown, {len(row.captured_s)} captured")
        seconds.append(row)
    end = _row(CallEnd, "end", lines[-1], path, len(lines))
    if fault := far_number(end.link, "link") or far_number(end.sender, "sender"):
        raise RecordError(f"{path}:{len(lines)}: {fault}")
    return tuple(decisions), tuple(seconds), end


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = read_text(path)
        written = text.removesuffix("\n").split("\n") if text else []
        return [json_object(line, str(path), number) for number, line in enumerate(written, start=1)]
    except BadFileError as error:
        raise RecordError(f"{error}; this is no call's record, or a damaged one") from None


def _row(kind: Any, expected: str, line: dict[str, Any], path: Path, number: int) -> Any:
    try:
        return typed_row(kind, expected, line)
    except RowFault as error:
        raise RecordError(f"{path}:{number}: {error}") from None
