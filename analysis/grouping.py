"""What `--by` can group by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis.outcomes import Case


@dataclass(frozen=True)
class Grouping:
    """What makes cases a group."""

    name: str
    of: Callable[[Case], str]
    """A case's group."""
    order: tuple[str, ...] = ()
    """The groups in order; those that are not in it, and all without one, by name."""


JOIN = ", "
"""Between the words of a setting's name."""

GROUPINGS = {
    one.name: one
    for one in (
        Grouping("family", lambda case: case.family),
        Grouping("video", lambda case: case.video),
        Grouping(
            "rtt",
            lambda case: "no RTT known" if case.rtt_ms is None else f"RTT {case.rtt_ms:g} ms",
        ),
        Grouping("setting", lambda case: JOIN.join(case.condition)),
    )
}
"""What `--by` can group by: `setting` is a sweep's, and without one the family, video and link."""
