"""What `--by` can group by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from analysis.cases.case import Case


@dataclass(frozen=True)
class Grouping:
    """What makes cases a group."""

    name: str
    of: Callable[[Case], str]
    """A case's group."""
    order: tuple[str, ...] = ()
    """The groups in order; those that are not in it, and all without one, by name."""


def place_word(cases: Iterable[Case]) -> str:
    """What the condition of cases is called: a setting, or where settings have axes a point of one."""
    return "point" if any(case.axis for case in cases) else "setting"


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
"""What `--by` can group by: `setting` is a sweep's, at each point of its axes, and without a sweep the
family, video and link."""
