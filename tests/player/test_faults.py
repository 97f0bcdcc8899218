"""What a person reads of a fallback's decision: chunks counted from 1, and who did what."""

from __future__ import annotations

import pytest

from player.faults import in_words
from player.real.live import fallback_count


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (
            "policy raised IndexError: list index out of range at chunk 0 (buggy.py:6)",
            "the policy raised IndexError: list index out of range at chunk 1 (buggy.py:6)",
        ),
        (
            "policy raised ValueError: none at chunk 7 at chunk 2; fallback raised KeyError: 1",
            "the policy raised ValueError: none at chunk 7 at chunk 3; fallback raised KeyError: 1",
        ),
        (
            "policy raised RuntimeError: no weights at reset (broken.py:4)",
            "the policy raised RuntimeError: no weights at reset (broken.py:4)",
        ),
        ("policy took over 0.05 s for chunk 2", "the policy took over 0.05 s for chunk 3"),
        ("policy took over 30 s for reset", "the policy took over 30 s for reset"),
        ("policy is still busy with chunk 1", "the policy is still busy with chunk 2"),
        (
            "answered level 9; the ladder has 0 to 5",
            "the policy answered level 9 at chunk 3; the ladder has 0 to 5",
        ),
        (
            "answered None, which is no level; expected 0 to 5",
            "the policy answered None at chunk 3, which is no level; expected 0 to 5",
        ),
        (
            "answered by 3, reason ''; both must be text",
            "the policy answered by 3, reason '' at chunk 3; both must be text",
        ),
        ("lost", "lost at chunk 3"),
    ],
)
def test_chunks_are_counted_as_the_line_of_a_chunk_does(reason: str, said: str) -> None:
    assert in_words(reason, 2) == said
    assert " at chunk 3" not in in_words("answered level 9; the ladder has 0 to 5")


def test_a_first_level_that_the_player_fixed_is_nobodys_share() -> None:
    assert fallback_count({"player": 1, "fallback": 5}) == "all 5 chunks that a policy decides"
    assert fallback_count({"player": 1, "policy": 2, "fallback": 3}) == "3 of 5 chunks that a policy decides"
    assert fallback_count({"fallback": 6}) == "all 6 chunks"
    assert fallback_count({"fallback": 1}) == "1 of 1 chunk"
