"""A fault in TOML is on the line that is to be mended."""

from __future__ import annotations

import pytest

from traces.safe_reading import BadFileError, toml_tables


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # what was never closed, up to the end
        ('a = 1\nb = 2\nc = ["x",\n "y"\n', "f:3: unclosed array: no ] follows"),
        ("a = 1\nb = {c = 1", "f:2: unclosed inline table: no } follows"),
        ('a = 1\nb = """x\ny\nc = 3\n', 'f:2: unclosed string: no """ follows'),
        ("a = 1\nb = '''x\ny\n\n", "f:2: unclosed string: no ''' follows"),
        # … up to the next key or table
        ("a = 1\nb = [1, 2\nc = 3\n", "f:2: unclosed array: no ] before line 3"),
        ("a = 1\nb = [1, 2,\nc = 3\n", "f:2: unclosed array: no ] before line 3"),
        ('b = [1, 2,\n\n[[setting]]\nlabel = "x"\n', "f:1: unclosed array: no ] before line 3"),
        ("b = [1, 2\n[defaults] # these\nc = 1\n", "f:1: unclosed array: no ] before line 2"),
        ("a = 1\nb = [[1], [2]\n\n'c d'.e = 1\n", "f:2: unclosed array: no ] before line 4"),
        ("a = 1\r\nb = [1, 2\r\nc = 3\r\n", "f:2: unclosed array: no ] before line 3"),
        # brackets in comments and strings open nothing
        ('a = 1 # [ [\nb = "[[" # {\nc = [1, 2 # ]\n\n\nd = 1\n', "f:3: unclosed array: no ] before line 6"),
        ('a = """[\n[\\""""\nb = [1\n', "f:3: unclosed array: no ] follows"),
        # where the fault is the line's own, it stays there
        ('a = [\n "x",\n "y,\n]\n', "f:3: Illegal character"),
        ('a = [\n "x",\n y,\n]\n', "f:3: Invalid value"),
        ("a = 1\nb = [1, 2 c = 3\nd = 4", "f:2: Unclosed array"),
        ("a = 1\nb = {c = 1, d = 2\ne = 3\n", "f:2: Unclosed inline table"),
        ("a = 1\n[[setting\nb = 1\n", "f:2: Expected ']]'"),
        ("a = 1\na = 2\n", "f:2: Cannot overwrite a value"),
        # "at end of document" is the last line that says something
        ("a = 1\nb", "f:2: Expected '='"),
    ],
)
def test_the_line_that_is_to_be_mended(text: str, said: str) -> None:
    with pytest.raises(BadFileError) as refused:
        toml_tables(text, "f")
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    "text", ["a" * 200_000, "[" + "a " * 100_000, '"""' * 50_001, "x = [\n" + '\\"' * 99_999]
)
def test_a_long_line_is_no_riddle(text: str) -> None:
    with pytest.raises(BadFileError):
        toml_tables(text, "f")
