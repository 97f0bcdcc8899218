"""What cases are called where several are named together: the trace, and all that varies among them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from analysis.cases.case import Case, differing, facts_of, hashes_of
from analysis.cases.grouping import JOIN


def names_among(named: Sequence[Case], every: Iterable[Case]) -> list[str]:
    """A name for each of `named`: its trace, and whatever is not the same in all of `every`.

    So a name says at which point of which axis it was, and nothing that would stand in each of the names.
    """
    cases = list(dict.fromkeys([*every, *named]))
    facts = {case: _told(case) for case in cases}
    keys = dict.fromkeys(key for one in facts.values() for key in one)
    varying = [key for key in keys if len({one.get(key) for one in facts.values()}) > 1]
    names = {
        case: JOIN.join((_begun(case), *(one[key] for key in varying if key in one)))
        for case, one in facts.items()
    }
    more = differing(cases, lambda case: names[case], (hashes_of,))
    return [JOIN.join((names[case], *more.get(case, ()))) for case in named]


def _begun(case: Case) -> str:
    """The trace, and from when where that isn't its begin."""
    return case.trace + (f" from {case.start_s:g} s" if case.start_s else "")


def _told(case: Case) -> dict[str, str]:
    """All that was asked for, in the words of a sweep's file where it has some."""
    facts = {"video": case.video, **facts_of(case)}
    link = json.loads(case.link)
    facts["simulated"] = "simulated" if link["simulated"] else "emulated"
    if "player" in link:
        facts["player"] = f"player {link['player'] + 1}"
    return facts
