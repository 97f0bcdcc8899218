"""A mistake on any command line costs one line, that says where help is, and exit status 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import analysis.__main__
import player.__main__
import player.video.__main__
import policies.bench
import policies.reference
import testbed.doctor
import testbed.origin
import traces.__main__
from traces.commands import Parser

COMMANDS: dict[str, Callable[[list[str]], Any]] = {
    "python -m traces": traces.__main__.main,
    "python -m player": player.__main__.main,
    "python -m player.video": player.video.__main__.main,
    "python -m policies.bench": policies.bench.main,
    "python -m policies.reference": policies.reference.main,
    "python -m analysis": analysis.__main__.main,
    "origin.py": testbed.origin.main,
    "doctor.py": testbed.doctor.main,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_one_line_and_status_2(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        COMMANDS[command](["--nonsense"])
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
    assert err.endswith(f"; see {command} --help\n")


def test_so_it_is_in_a_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    top = Parser(prog="top")
    top.add_subparsers().add_parser("sub")
    with pytest.raises(SystemExit) as ended:
        top.parse_args(["sub", "--nonsense"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "top: unrecognized arguments: --nonsense; see top --help\n"
