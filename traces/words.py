"""Words that every command says alike."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """`1 session`, `3 sessions`; `plural` where an s at the end is not enough."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """`0.4 s`, `45 s`, `12 min`, `3.4 h`."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if 0 < seconds < 0.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


SHORT_HASH = 12
"""Characters of a hash that a person is shown."""


def short_hash(digest: str) -> str:
    """As much of a hash as tells files apart."""
    return digest[:SHORT_HASH]


def is_or_are(count: int) -> str:
    """What so many of them do."""
    return "is" if count == 1 else "are"


def split_names(text: str) -> list[str]:
    """`bba, robustmpc` as a list; one name may stand twice.

    Raises:
        ValueError: an empty name in the list.
    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ValueError(f"{text!r}: an empty name in the list; write them like bba,robustmpc")
    return names


USUALLY_NEAR = 0.6
"""How much alike what was perhaps meant is; `difflib`'s own."""


def nearest(word: object, words: Iterable[str], least: float = USUALLY_NEAR) -> str | None:
    """The one of `words` that was perhaps meant.

    Args:
        least: how much alike it has to be, 0 to 1.
    """
    return next(iter(difflib.get_close_matches(str(word), list(words), 1, least)), None)


def meant(word: object, words: Iterable[str]) -> str:
    """` (did you mean bba?)`, or nothing where no word is near."""
    near = nearest(word, words)
    return f" (did you mean {near}?)" if near else ""


def of_a_fault(error: BaseException) -> str:
    """A fault of what was read, in words: what it lacks, or the first line of what it says."""
    if isinstance(error, KeyError) and error.args:
        return f"it lacks {error.args[0]!r}"
    first = next(iter(str(error).strip().splitlines()), "")
    return first or "it can't be read"
