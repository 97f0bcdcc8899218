"""Parts of a chunk, in which an origin sends it as it is made: how long they may be, how many there are."""

from __future__ import annotations

LEAST_PART_S, MOST_PART_S = 0.02, 60.0


def check_part_s(part_s: float, chunk_s: float = MOST_PART_S) -> None:
    """Refuse a part that nobody sends.

    Args:
        chunk_s: of a chunk, which it can't be longer than.

    Raises:
        ValueError: it is too short or too long.
    """
    most_s = min(chunk_s, MOST_PART_S)
    if not LEAST_PART_S <= part_s <= most_s:
        raise ValueError(f"part_s {part_s:g}: expected {LEAST_PART_S:g} to {most_s:g}")


def parts_of(chunk_s: float, part_s: float | None) -> int:
    """How many equal parts a chunk has, of about so long each; 1 where chunks come whole (None)."""
    return 1 if part_s is None else max(round(chunk_s / part_s), 1)


def part_end(size_bytes: int, number: int, parts: int) -> int:
    """Where part `number`, from 1, of a chunk of so many bytes ends."""
    return size_bytes * number // parts
