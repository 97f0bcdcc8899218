"""A comparison of calls as one object (`--json`) and as two tables (`--csv`).

Intervals are `…_low` and `…_high`, of 95 %; null where one trace or line leaves nothing to resample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from analysis.beside import beside_verdict
from analysis.bootstrap import CONFIDENCE, RESAMPLES
from analysis.calls.comparison import CallComparison, CallMeans, CallPair
from analysis.calls.measures import BITRATE, MEASURES, STALL
from analysis.calls.said import notes
from analysis.cases.case import Case
from analysis.tables.comparison_rows import BOUNDS, bounded, means_beside
from analysis.tables.table_file import NUMBER, TEXT, WHOLE, write_table


def as_json(compared: CallComparison) -> dict[str, Any]:
    """The object of `--json`."""
    found = compared.found
    return {
        "task": "call",
        "qoe": {**asdict(found.qoe), "words": found.qoe.in_words},
        "baseline": compared.baseline,
        "by": compared.by,
        "clusters": str(compared.rule),
        "clusters_made": compared.rule.counted(found.traces),
        "bootstrap": {"confidence": CONFIDENCE, "resamples": RESAMPLES},
        "calls": len(found.counted),
        "invalid": len(found.invalid),
        "groups": [
            {
                "group": group.name,
                "cases": group.cases,
                "traces": group.traces,
                "clusters": group.clusters,
                "policies": list(map(_means_json, group.policies)),
                "pairs": list(map(pair_json, group.pairs)),
            }
            for group in compared.groups
        ],
        "missing": [
            {"policy": one.policy, **_case_json(one.case), "reason": one.reason} for one in compared.missing
        ],
        "left_out": [
            {"policy": one.policy, "record": one.record, "reason": one.reason} for one in found.left_out
        ],
        "notes": notes(compared),
    }


def _case_json(case: Case) -> dict[str, Any]:
    link = {"link": case.link_label, "besides": list(case.besides)}
    return {"trace": case.trace, "start_s": case.start_s, "call": case.video, "seed": case.seed, **link}


def _means_json(one: CallMeans) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in ("policy", "cases", "calls", "unfinished", "invalid")},
        **asdict(one.figures),
        **{f"{name}_ci95": interval.bounds for name, interval in one.intervals.items()},
    }


def pair_json(pair: CallPair) -> dict[str, Any]:
    """A pair, as `--json` has it."""
    return {
        **{name: getattr(pair, name) for name in ("policy", "baseline", "cases", "traces", "verdict")},
        "clusters": pair.intervals[BITRATE].clusters,
        "doubtful": pair.doubtful,
        "words": pair.words,
        "differences": {
            name: {"difference": found.mean, "ci95": found.bounds, "verdict": beside_verdict(found)}
            for name, found in pair.intervals.items()
        },
        "tests": {name: asdict(held) | {"holm_p": pair.holm_p[name]} for name, held in pair.tests.items()},
        "worst": [
            {**_case_json(worst.case), "name": worst.name, "difference": worst.difference}
            for worst in pair.worst
        ],
    }


_NAMES = tuple(one.name for one in MEASURES)
PAIR_COLUMNS: dict[str, str] = {
    "group": TEXT,
    "policy": TEXT,
    "baseline": TEXT,
    "pairs": WHOLE,
    "traces": WHOLE,
    "clusters": WHOLE,
    "verdict": TEXT,
    **{f"{name}_difference{end}": NUMBER for name in _NAMES for end in ("", *(f"_{one}" for one in BOUNDS))},
    **{f"{name}_verdict": TEXT for name in _NAMES},
    **{f"{name}_{p}": NUMBER for name in (BITRATE, STALL) for p in ("wilcoxon_p", "holm_p")},
}
"""Column -> kind, in order."""
MEAN_COLUMNS: dict[str, str] = {
    "group": TEXT,
    "policy": TEXT,
    "cases": WHOLE,
    "calls": WHOLE,
    "unfinished": WHOLE,
    "invalid": WHOLE,
    **{f"{name}{end}": NUMBER for name in _NAMES for end in ("", *(f"_{one}" for one in BOUNDS))},
    "link_share": NUMBER,
}


def write_csv(compared: CallComparison, path: Path) -> list[Path]:
    """Write the differences to `path`, and the means beside it; what was written.

    Raises:
        TableFileError: a name that ends as no table does.
        OSError: one of them cannot be written.
    """
    means = means_beside(path)
    rows = {path: write_table(path, PAIR_COLUMNS, [list(_pair_rows(compared))])}
    rows[means] = write_table(means, MEAN_COLUMNS, [list(_mean_rows(compared))])
    return [written for written, count in rows.items() if count]


def _pair_rows(compared: CallComparison) -> Iterator[dict[str, Any]]:
    for group in compared.groups:
        for pair in group.pairs:
            row: dict[str, Any] = {
                "group": group.name,
                "pairs": pair.cases,
                "clusters": pair.intervals[BITRATE].clusters,
                **{name: getattr(pair, name) for name in ("policy", "baseline", "traces", "verdict")},
            }
            for name, interval in pair.intervals.items():
                row |= bounded(f"{name}_difference", interval) | {f"{name}_verdict": beside_verdict(interval)}
            for name, held in pair.tests.items():
                row |= {f"{name}_wilcoxon_p": held.wilcoxon_p, f"{name}_holm_p": pair.holm_p[name]}
            yield row


def _mean_rows(compared: CallComparison) -> Iterator[dict[str, Any]]:
    for group in compared.groups:
        for one in group.policies:
            row = {name: getattr(one, name) for name in ("policy", "cases", "calls", "unfinished", "invalid")}
            row |= {"group": group.name, "link_share": one.figures.link_share}
            for name, interval in one.intervals.items():
                row |= bounded(name, interval)
            yield row
