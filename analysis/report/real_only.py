"""A report of sessions that all ran over a real network: one section, for nothing pairs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from analysis.outcomes import LeftOut
from analysis.report.page import Page
from analysis.report.parts.blocks import Bullets, Code, Section
from analysis.report.parts.session_rows import SessionRow, Unreadable
from analysis.report.parts.typed import TypedCommand, typed
from analysis.report.sections.real import RealSessions, is_real, real_section
from analysis.report.sections.repeat import REPORTED
from analysis.sessions import AnalysisError
from analysis.style import in_order
from player.qoe import scored_json
from traces.versions import typed_in
from traces.words import meant


def policies_of(real: RealSessions, baseline: str | None) -> list[str]:
    """Those that are there.

    Args:
        baseline: the one that was asked for.

    Raises:
        AnalysisError: it is none of them.
    """
    there = in_order(dict.fromkeys(one.policy for one in real.found.taken))
    if baseline is not None and baseline not in there:
        raise AnalysisError(
            f"--baseline {baseline}: no session that counts is of this policy{meant(baseline, there)};"
            f" there are {', '.join(there)}"
        )
    return there


def real_page(
    real: RealSessions,
    rows: Sequence[SessionRow],
    unreadable: Sequence[Unreadable],
    command: Sequence[str],
    **of_the_page: Any,
) -> Page:
    """The page.

    Args:
        rows: all sessions that could be read.
        of_the_page: its title, its formats, by what it was made.
    """
    said = [
        f"{Path(row.path).name}: {row.outcome.reason}"
        for row in rows
        if isinstance(row.outcome, LeftOut) and not is_real(row)
    ]
    said += [f"{Path(one.path).name}: {one.reason}" for one in unreadable]
    said += [f"{Path(one.record).name}: {one.reason}" for one in real.found.left_out]
    sections = [real_section(real)]
    if said:
        sections.append(
            Section("missing", "What is left out", (Bullets(tuple(("", text) for text in said)),))
        )
    again = Code(REPORTED, typed([TypedCommand(tuple(command), typed_in())]))
    sections.append(Section("repeat", "How to repeat it", (again,)))
    return Page(
        question="",
        facts=(
            ("Sessions that count", f"{len(real.found.taken):,} of {len(rows) + len(unreadable):,} found"),
            ("Policies", str(len(policies_of(real, None)))),
            ("QoE per chunk", real.found.weights),
            ("Network", "a real one: no session has a pair"),
        ),
        sections=tuple(sections),
        **of_the_page,
    )


def real_facts(
    real: RealSessions, page: Page, rows: Sequence[SessionRow], unreadable: Sequence[Unreadable]
) -> dict[str, Any]:
    """What `--json` says of it."""
    return {
        "title": page.title,
        "paired": False,
        "qoe": scored_json(real.found.scored),
        "policies": policies_of(real, None),
        "sessions": len(real.found.taken),
        "records": len(rows) + len(unreadable),
        "unreadable": [asdict(one) for one in unreadable],
    }
