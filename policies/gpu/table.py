"""The report of `gpu` as Markdown, for docs/results.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def markdown(report: Mapping[str, Any]) -> str:
    """Every part that was measured, one table each."""
    made = report["machine"]
    lines = [f"Measured on {made['device']}, torch {made['torch']}, CUDA {made['cuda']}.", ""]
    for name, part in (
        ("decisions", _decisions),
        ("steps", _steps),
        ("load", _load),
        ("learning", _learning),
    ):
        if name in report:
            lines += [*part(report[name]), ""]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "| --- " * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _decisions(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from _table(
        ("beside the CPU's in float32", "decisions", "differ", "of them nearly equal", "widest margin"),
        [
            (f"{each['dtype']} on {each['device']}", str(each["decisions"]), str(each["differ"]),
             str(each["close"]), f"{each['widest']:.4f}")
            for each in found
        ],
    )  # fmt: skip


def _steps(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from _table(
        ("shape", "sessions", "a batch, ms", "decisions/s", "the model alone, ms", "as a CUDA graph, ms"),
        [
            (f"{each['shape']} ({each['layers']} layers, {each['dtype']})", str(each["sessions"]),
             f"{each['engine_ms']:.2f}", f"{each['decisions_per_s']:.0f}", f"{each['model_ms']:.2f}",
             "-" if each["graph_ms"] is None else f"{each['graph_ms']:.2f}")
            for each in found
        ],
    )  # fmt: skip
    pays = [each for each in found if each["graph_ms"] is not None and each["graph_ms"] < each["model_ms"]]
    if any(each["graph_ms"] is not None for each in found):
        most = {each["shape"]: each["sessions"] for each in pays}
        said = ", ".join(f"{shape} up to {sessions} sessions" for shape, sessions in most.items())
        yield ""
        yield f"A CUDA graph pays for {said}." if pays else "A CUDA graph pays nowhere here."


def _load(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from _table(
        ("who decides", "sessions", "mean, ms", "p99, ms", "by the model", "over budget", "QoE"),
        [
            (each["way"], str(each["sessions"]), _number(each["mean_ms"], 1), _number(each["p99_ms"], 1),
             f"{100 * each['llm_share']:.1f} %", f"{100 * each['missed_share']:.2f} %",
             _number(each["qoe"], 3))
            for each in rows
        ],
    )  # fmt: skip


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _learning(found: Mapping[str, Any]) -> Iterator[str]:
    yield from _table(
        ("a step of training", "learned, M", "s", "memory, MiB"),
        [
            (f"{each['train']}, {each['layers']} layers", f"{each['learned'] / 1e6:.2f}",
             f"{each['step_s']:.3f}", f"{each['peak_mib']:.0f}")
            for each in found["kinds"]
        ],
    )  # fmt: skip
