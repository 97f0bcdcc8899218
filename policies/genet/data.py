"""The measured-like traces of training and validation, and the rule that holds a user's own logs out.

Without logs of one's own they are members of the built-in families, so that training needs nothing
but this repository: the first members train, others validate. Of a user's logs whole groups are held
out: the logs of one line or trip are alike, and a copy of a training log would flatter.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from traces.families.catalogue import resolve_many
from traces.trace import Trace

FAMILIES = ("fcc", "3g", "4g")
"""Those that keep a 4.3 Mbit/s ladder busy."""
TRAINING = (0, 400)
VALIDATION = (1000, 1150)
"""Members from the first to before the second, of each family; those that validate are in no training."""
HELD_OUT_OF = 4
"""One group of so many is held out."""
NEIGHBOURS = 5
"""Logs numbered side by side are often parts of one trip; so many numbers are one group."""

_FCC = re.compile(r"(?:test_fcc_)?trace_(?P<unit>\d+)_")
_NUMBERED = re.compile(r"(?P<stem>.*?)(?P<number>\d+)(?:\.\w+)?")


@dataclass(frozen=True)
class Data:
    """Traces to learn from, and named sets to choose checkpoints by."""

    training: tuple[Trace, ...]
    validation: dict[str, tuple[Trace, ...]]


def group(name: str) -> str:
    """What a log belongs to: the FCC box of its line, else its name with a range of numbers."""
    if found := _FCC.match(name):
        return f"line {found['unit']}"
    if numbered := _NUMBERED.fullmatch(name):
        return f"{numbered['stem']}{int(numbered['number']) // NEIGHBOURS * NEIGHBOURS}…"
    return name


def held_out(name: str) -> bool:
    """Whether a log validates: the SHA-1 of its group decides, so that nobody chooses."""
    return hashlib.sha1(group(name).encode()).digest()[0] % HELD_OUT_OF == 0


def load(specs: Sequence[str] = (), members: int | None = None, families: Sequence[str] = FAMILIES) -> Data:
    """The families' data, and a user's logs beside it.

    Logs count as much as the families do: where they are fewer, each stands in the list several times.

    Args:
        specs: what `traces/families/catalogue.py` understands; each becomes a validation set of its own.
        members: at most so many of each family, for trials.
        families: of the generator's.

    Raises:
        TraceError: a log cannot be read, or there is none.
    """
    found = {spec: resolve_many(spec) for spec in specs}  # first: making the members takes seconds
    training = [trace for family in families for trace in _members(family, TRAINING, members)]
    validation = {family: tuple(_members(family, VALIDATION, members)) for family in families}
    own: list[Trace] = []
    for spec, logs in found.items():
        own += [log for log in logs if not held_out(log.name)]
        if kept := tuple(log for log in logs if held_out(log.name)):
            validation[spec] = kept
    times = max(round(len(training) / len(own)), 1) if own else 0
    return Data((*training, *own * times), validation)


def _members(family: str, part: tuple[int, int], most: int | None) -> list[Trace]:
    begin, end = part
    end = end if most is None else min(end, begin + most)
    return resolve_many(f"{family}[{begin}:{end}]")
