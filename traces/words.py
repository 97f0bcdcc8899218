"""Words that every command says alike."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """`1 session`, `3 sessions`; `plural` where an s at the end is not enough."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def is_or_are(count: int) -> str:
    """What so many of them do."""
    return "is" if count == 1 else "are"
