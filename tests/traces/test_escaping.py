"""What a terminal would obey is written out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.escaping import escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain Übung 4g/0", "plain Übung 4g/0"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\u202eabc", r"\u202eabc"),
        ("\x9b31m", r"\x9b31m"),
        ("\udcff", r"\xff"),
        ("\ud800", r"\ud800"),
    ],
)
def test_each_is_shown(text: str, shown: str) -> None:
    assert escaped(text) == shown


@given(st.text(st.characters()))
def test_the_result_is_printed_and_encoded(text: str) -> None:
    assert escaped(text).isprintable()
    escaped(text).encode()
