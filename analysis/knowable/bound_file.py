"""What `python -m policies.knowable --out FILE` wrote: how much any causal controller can have, by family.

Read here by hand, as records are: nothing of how it was computed is known to `analysis`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.sessions import AnalysisError
from player.qoe import QoE
from traces.safe_reading import BadFileError, read_json_object

SCHEMA = 3
MAKES_ONE = "make one with: python -m policies.knowable --family NAME … --out FILE"


@dataclass(frozen=True)
class FamilyBound:
    """The bound of one family of generated traces, and what it holds under."""

    family: str
    video: str
    ladder_kbps: tuple[int, ...]
    chunks: int
    rtt_ms: float
    buffer_cap_s: float
    qoe: QoE
    by_member: Mapping[int, float]
    """Mean QoE of the counted chunks of the best plan, paid for, over each member."""
    luck: Mapping[int, float]
    """How much more each member brings than it usually would, as the best policy of the file tells; the mean
    over a family is 0, and what is played over a member holds it, the bound does not."""


def read_bounds(path: Path) -> tuple[FamilyBound, ...]:
    """The bounds of a file.

    Raises:
        AnalysisError: it holds none, or one that is not finished.
        OSError: it can't be read.
    """
    try:
        held = read_json_object(path)
    except BadFileError as error:
        raise AnalysisError(f"{error}; not bounds: {MAKES_ONE}") from None
    entries = held.get("bounds")
    if held.get("schema") != SCHEMA or not isinstance(entries, list) or not entries:
        raise AnalysisError(f"{path}: no bounds of schema {SCHEMA}; {MAKES_ONE}")
    return tuple(_bound(path, place, entry) for place, entry in enumerate(entries))


def _bound(path: Path, place: int, entry: Any) -> FamilyBound:
    where = f"{path}: bounds[{place}]"
    try:
        first, last = map(int, entry["members"])
        found = FamilyBound(
            str(entry["family"]),
            str(entry["video"]),
            tuple(map(int, entry["ladder_kbps"])),
            int(entry["chunks"]),
            float(entry["rtt_ms"]),
            float(entry["buffer_cap_s"]),
            QoE(str(entry["qoe"]["kind"]), float(entry["qoe"]["mu"]), float(entry["qoe"]["smooth"])),
            {int(row["member"]): float(row["bound"]) for row in entry["by_member"]},
            _luck(entry["by_member"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnalysisError(f"{where}: {error!r}: no bound; {MAKES_ONE}") from None
    if len(found.by_member) != last - first or not entry.get("complete"):
        raise AnalysisError(
            f"{where}: {found.family} has {len(found.by_member)} of {last - first} members;"
            " the command that began it goes on"
        )
    if not all(map(math.isfinite, (*found.by_member.values(), *found.luck.values()))):
        raise AnalysisError(f"{where}: {found.family} has a bound that is no number; {MAKES_ONE}")
    return found


def _luck(rows: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """By member: played less freed of the policy whose freed mean is the highest; 0 where none is told of."""
    names = set.intersection(*(set(row.get("freed", {})) for row in rows))
    if not names:
        return {int(row["member"]): 0.0 for row in rows}
    steady = max(sorted(names), key=lambda name: sum(float(row["freed"][name]) for row in rows))
    return {int(row["member"]): float(row["played"][steady]) - float(row["freed"][steady]) for row in rows}
