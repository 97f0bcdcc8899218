"""`RECORD.explain.json`: why each level of a recorded session was chosen, as who can ask the model has said.

Whoever draws or lists sessions reads it without a model. It names the record by its hash, so that it is not
taken for another's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from player.section import JsonSection
from traces.files import write_aside
from traces.ownership import give_to_caller
from traces.safe_reading import BadFileError, line_of, read_json_object, sha256_of, shown

ENDING = ".explain.json"
FORMAT = 1
LARGEST = 1e9
"""Of a contribution or a margin."""
MAKES_IT = "make it anew with: python -m policies.llm explain"


@dataclass(frozen=True)
class ChangedInput(JsonSection):
    """The nearest value of one input, to one side, with which another level is chosen."""

    input: str | None = None
    unit: str | None = None
    was: float | None = None
    becomes: float | None = None
    level: int | None = None
    """Chosen then."""


@dataclass(frozen=True)
class WhyLevel(JsonSection):
    """One decision."""

    chunk: int | None = None
    level: int | None = None
    """That the model chooses."""
    recorded: int | None = None
    """The record's, who decided it being `by`."""
    by: str | None = None
    margin: float | None = None
    """Logits that it was ahead of the runner-up; None where no other level might be taken."""
    runner_up: int | None = None
    modalities: Mapping[str, float] = field(default_factory=dict)
    """What each contributed to the margin, in logits."""
    chunks: Mapping[str, float] = field(default_factory=dict)
    """The same of recent chunks, by their numbers."""
    without: Mapping[str, int] = field(default_factory=dict)
    """The level that is chosen without a modality or a chunk, where it is another one."""
    otherwise: tuple[ChangedInput, ...] = ()
    tree_level: int | None = None
    tree_path: tuple[str, ...] | None = None
    """What the distilled tree says, and why."""


@dataclass(frozen=True)
class Explanation(JsonSection):
    """All of a session's decisions that were asked about."""

    format: int | None = None
    record_sha256: str | None = None
    task: str | None = None
    adapter_sha256: str | None = None
    arithmetic: str | None = None
    modalities: tuple[str, ...] | None = None
    decisions: tuple[WhyLevel, ...] | None = None
    tree: Mapping[str, Any] | None = None
    """The distilled tree with its fidelity."""
    more: Mapping[str, Any] = field(default_factory=dict)


def explanation_path(record: Path) -> Path:
    """Where a record's explanation stands."""
    return record.with_name(record.name.removesuffix(".jsonl") + ENDING)


def write_explanation(record: Path, explanation: Explanation) -> Path:
    """Put it beside its record; where it is.

    Raises:
        OSError: it can't be written.
    """
    path = explanation_path(record)
    write_aside(path, line_of(explanation.to_json()) + "\n")
    give_to_caller(path)
    return path


def read_explanation(record: Path) -> Explanation | None:
    """What stands beside a record; None where nothing does.

    Raises:
        BadFileError: it is damaged, or of another record.
        OSError: it can't be read.
    """
    path = explanation_path(record)
    try:
        given = read_json_object(path)
    except FileNotFoundError:
        return None
    found = Explanation.from_json(given)
    fault = "no explanation" if found is None else _fault(found)
    if not fault and found is not None and found.record_sha256 != sha256_of(record):
        fault = f"of another record than {record.name}, or of what that was before"
    if fault:
        raise BadFileError(str(path), f"{fault}; {MAKES_IT} {record.name}")
    return found


def _fault(found: Explanation) -> str:
    """What is wrong; empty where nothing is."""
    if found.format != FORMAT:
        return f"format {shown(found.format)}; this version reads {FORMAT}"
    if found.modalities is None or found.decisions is None:
        return "without modalities or decisions"
    for place, each in enumerate(found.decisions):
        where = f"decisions[{place}]"
        if each.chunk is None or each.chunk < 0 or each.level is None or each.level < 0:
            return f"{where} without a chunk and a level"
        if each.margin is not None and not abs(each.margin) <= LARGEST:
            return f"{where}.margin is {shown(each.margin)}"
        for name, values in (("modalities", each.modalities), ("chunks", each.chunks)):
            # an older field that is missing is read as None
            if not isinstance(values, Mapping) or not all(map(_is_contribution, values.values())):
                return f"{where}.{name} holds what is no contribution"
    return ""


def _is_contribution(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
