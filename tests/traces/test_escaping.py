r"""What can't be seen is written out; a terminal is steered by nobody but us."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from traces.commands import carried_out, next_step, refuse, tell_line
from traces.console import VisibleConsole
from traces.escaping import visible, visible_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4g/0 größer 日本 😀", "4g/0 größer 日本 😀"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b31m\x7f\0", "\\x9b31m\\x7f\\x00"),
        ("\u202egpj.exe\u2066", "\\u202egpj.exe\\u2066"),
        ("\ud800", "\\ud800"),
        ("\u2028\ufeff", "\\u2028\\ufeff"),
    ],
)
def test_what_can_not_be_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(st.characters()))
def test_what_is_visible_can_be_encoded_and_stays(text: str) -> None:
    once = visible(text)
    once.encode()
    assert visible(once) == once == visible_lines(once)
    assert visible_lines("a\n\tb") == "a\n\tb"


def test_a_command_prints_visibly(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout

    def work() -> int:
        print("name \x1b[2J")
        print("\rprogress", end="", file=sys.stderr)
        console = VisibleConsole(file=sys.stdout, force_terminal=True)
        table = Table("column")
        table.add_row(Text("\x1b]0;title\x07", style="red"))
        console.print(table)
        return refuse("prog", "no \u202e such file")

    assert carried_out("prog", work) == 2
    said = capsys.readouterr()
    assert "name \\x1b[2J\n" in said.out and "\\x1b]0;title" in said.out
    assert "\x1b]0" not in said.out and "\x1b[31m" in said.out, "colours are the console's own"
    assert said.err == "\rprogressprog: no \\u202e such file\n"
    assert sys.stdout is before


def test_a_console_in_a_file_is_visible_too() -> None:
    file = io.StringIO()
    VisibleConsole(file=file).print("a\x1b[2Jb", markup=False)
    assert file.getvalue() == "a\\x1b[2Jb\n"


def test_a_new_line_in_a_name_begins_none(capsys: pytest.CaptureFixture[str]) -> None:
    file = io.StringIO()
    console = VisibleConsole(file=file, width=60)
    console.print(Text("left out: a\nb\tc.jsonl"), soft_wrap=True)
    console.print("name: a\nb")
    table = Table("col\numn", "c", box=None)
    table.add_row("a\nb", Text("c\nd", style="red"))
    console.print(table)
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert lines[:2] == ["left out: a\\nb\\tc.jsonl", "name: a\\nb"]
    assert [line.split() for line in lines[2:]] == [["col\\numn", "c"], ["a\\nb", "c\\nd"]]
    tell_line("note: a\nb")
    refuse("prog", "a\nb: no such file")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("note: a\\nb\n", "prog: a\\nb: no such file\n")


def test_what_to_type_next_is_one_line_that_a_shell_takes() -> None:
    typed = next_step("it's\n\\one").partition("next: ")[2].partition(" ")[2]
    assert typed == r"$'it\'s\n\\one'"
    echoed = subprocess.run(["bash", "-c", f"printf %s {typed}"], capture_output=True, text=True, check=True)
    assert echoed.stdout == "it's\n\\one"
