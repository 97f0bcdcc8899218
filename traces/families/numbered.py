"""Members of a family or of a folder by their numbers: `NAME`, which is its first, `NAME/3`, `NAME[0:20]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST = 1000
"""Members at once."""
_SPEC = re.compile(r"(?P<base>.+?)(/(?P<index>\d{1,9})|\[(?P<begin>\d{0,9}):(?P<end>\d{1,9})\])?")


@dataclass(frozen=True)
class Numbered:
    """Which members a word asks for."""

    base: str
    """The family or folder."""
    wanted: range
    """Their numbers; at least one."""
    ranged: bool
    """Whether it was a range, `[0:20]`, that was asked for."""


def numbered(spec: str, members: str, example: str) -> Numbered | None:
    """What a word asks for; None where it is of no such form.

    Args:
        members: what they are, in the plural.
        example: a range of them, such as `[0:20]`.

    Raises:
        ValueError: it asks for none, or for more than `MOST`.
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        return None
    base, ranged = match["base"], match["end"] is not None
    first = int((match["begin"] if ranged else match["index"]) or 0)
    wanted = range(first, int(match["end"]) if ranged else first + 1)
    if not 0 < len(wanted) <= MOST:
        raise ValueError(f"{spec}: {len(wanted)} {members}; ask for 1 to {MOST}, such as {base}{example}")
    return Numbered(base, wanted, ranged)
