"""A mistake on any command line costs one line, that says where help is, and exit status 2."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import analysis.__main__
import player.__main__
import player.video.__main__
import policies.apc.__main__
import policies.bench
import policies.bench_batch
import policies.genet.__main__
import policies.hindsight.__main__
import policies.llm.__main__
import policies.reference
import testbed.doctor
import testbed.fidelity
import testbed.link_models
import testbed.origin
import testbed.run
import testbed.simulate
import testbed.sweep
import testbed.tamper
import traces.__main__
from traces.commands import Parser, add_options, carried_out, next_step, option
from traces.numbers import count

COMMANDS: dict[str, Callable[[list[str]], Any]] = {
    "python -m traces": traces.__main__.main,
    "python -m player": player.__main__.main,
    "python -m player.video": player.video.__main__.main,
    "python -m policies.apc": policies.apc.__main__.main,
    "python -m policies.bench": policies.bench.main,
    "python -m policies.bench_batch": policies.bench_batch.main,
    "python -m policies.genet": policies.genet.__main__.main,
    "python -m policies.hindsight": policies.hindsight.__main__.main,
    "python -m policies.llm": policies.llm.__main__.main,
    "python -m policies.reference": policies.reference.main,
    "python -m analysis": analysis.__main__.main,
    "doctor.py": testbed.doctor.main,
    "fidelity.py": testbed.fidelity.main,
    "link_models.py": testbed.link_models.main,
    "origin.py": testbed.origin.main,
    "run.py": testbed.run.main,
    "simulate.py": testbed.simulate.main,
    "sweep.py": testbed.sweep.main,
    "tamper.py": testbed.tamper.main,
}


ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_one_line_and_status_2(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        COMMANDS[command](["--nonsense"])
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"{command}: ") and err.endswith(f"; see {command} --help\n")


def test_so_it_is_in_a_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    top = Parser(prog="top")
    top.add_subparsers().add_parser("sub")
    with pytest.raises(SystemExit) as ended:
        top.parse_args(["sub", "--nonsense"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "top: unrecognized arguments: --nonsense; see top --help\n"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["go", "--rtt-sm", "5"], "--rtt-ms"),
        (["--quiett"], "--quiet"),
        (["go", "--kind", "netemm"], "netem"),
        (["goo"], "go"),
        (["--zzz"], None),
    ],
    ids=str,
)
def test_what_was_perhaps_meant_is_said(
    words: list[str], meant: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    top = Parser(prog="top")
    top.add_argument("--quiet", action="store_true")
    command = top.add_subparsers(parser_class=Parser).add_parser("go")
    command.add_argument("--rtt-ms", type=float)
    command.add_argument("--kind", choices=("netem", "relay"))
    with pytest.raises(SystemExit):
        top.parse_args(words)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert (f"; did you mean {meant}?; see " in err) if meant else ("did you mean" not in err)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--lanes", "argument --lanes: 'auto' is no whole number"),
        ("--rtt-ms", "argument --rtt-ms: 'auto' is no number"),
    ],
)
def test_what_is_no_number_is_told_in_words(
    option: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    top = Parser(prog="top")
    top.add_argument("--lanes", type=int)
    top.add_argument("--rtt-ms", type=float)
    with pytest.raises(SystemExit):
        top.parse_args([option, "auto"])
    assert capsys.readouterr().err == f"top: {said}; see top --help\n"


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        (None, 0, ""),
        (ValueError("no such thing; take another"), 2, "top: no such thing; take another\n"),
        (FileNotFoundError(2, "No such file", "x.log"), 2, "top: x.log: No such file; kept\n"),
        (ModuleNotFoundError("torch", name="torch"), 2, "top: this needs torch; run: make setup\n"),
        (KeyboardInterrupt(), 130, "top: interrupted\n"),
    ],
    ids=str,
)
def test_a_commands_work_ends_in_a_status_and_at_most_a_line(
    fault: BaseException | None, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        if fault is not None:
            raise fault
        return 0

    assert carried_out("top", work, (ValueError,), after="; kept") == status
    assert capsys.readouterr().err == said


def test_what_no_command_expects_is_not_hidden() -> None:
    def work() -> int:
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError):
        carried_out("top", work, (ValueError,))


def test_options_come_from_a_dataclass() -> None:
    @dataclass(frozen=True)
    class Settings:
        steps: int = option(600, count, "of the optimizer")
        device: str = "auto"

    top = Parser(prog="top")
    add_options(top, Settings)
    assert vars(top.parse_args(["--steps", "7"])) == {"steps": 7}
    assert vars(top.parse_args([])) == {"steps": 600}


def test_what_to_type_next_is_typed_as_it_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`python` may be none, or another than the one that has our packages."""
    python = tmp_path / "my tree" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.chdir(tmp_path / "my tree")
    assert next_step("-m", "analysis", "a b") == "next: .venv/bin/python -m analysis 'a b'"
    monkeypatch.chdir(python.parent)
    assert next_step("-m", "x") == f"next: '{python}' -m x"
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert next_step("-m", "x") == f"next: '{python}' -m x"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["go", "--policy", "bba", "bola"],
            "; --policy takes its values with commas between: --policy bba,bola;",
        ),
        (["go", "--policy=bba", "bola", "x"], " --policy bba,bola;"),
        (["go", "--trace", "4g", "3g"], "unrecognized arguments: 3g; --trace takes one value;"),
        (["go", "3g"], "top: unrecognized arguments: 3g; see"),
        (["go", "--traces", "4g", "--quiet", "3g"], "top: unrecognized arguments: 3g; see"),
        (["go", "--out", ""], "argument --out: an empty word names nothing;"),
        (["show", "x", ""], "argument PLACE: an empty word names nothing"),
        (["go", "--traces", "a", ""], "argument --traces: an empty word"),
        (["go", "--trace", ""], "argument --trace: an empty word names nothing;"),
        (["go", "--cap", "1e308"], "argument --cap: 1e308: numbers reach to 1e+15;"),
        (["go", "--cap=-1e16"], "argument --cap: -1e16: numbers reach to 1e+15;"),
        (["go", "--seed", str(2**63)], "argument --seed: 9223372036854775808: whole numbers have at most 64"),
        (["go", "--seed", "9" * 400], f"--seed: {'9' * 24}: whole numbers have"),
        (["show", "x", "--cap", "1"], "top: unrecognized arguments: --cap 1; it is an option of go; see"),
    ],
    ids=str,
)
def test_a_word_too_many_and_one_that_is_empty(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    top = Parser(prog="top")
    commands = top.add_subparsers(parser_class=Parser)
    commands.add_parser("show").add_argument("places", metavar="PLACE", nargs="+")
    command = commands.add_parser("go")
    command.add_argument("--policy", metavar="NAME[,NAME…]")
    command.add_argument("--trace", metavar="TRACE")
    command.add_argument("--traces", nargs="+", type=Path)
    command.add_argument("--out", type=Path)
    command.add_argument("--cap", type=float)
    command.add_argument("--seed", type=int)
    command.add_argument("--quiet", action="store_true")
    with pytest.raises(SystemExit):
        top.parse_args(words)
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize(("status", "expected"), [(0, 1), (2, 2)])
def test_what_could_not_be_written_is_no_success(status: int, expected: int) -> None:
    code = f"from traces.commands import leave\nprint('told')\nleave({status})"
    words = [sys.executable, "-c", code]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=buffered)
    assert done.returncode == expected and done.stderr == "standard output: No space left on device\n"


def test_threads_that_are_at_work_are_not_waited_for() -> None:
    code = (
        "import threading, time\nfrom traces.commands import leave\n"
        "threading.Thread(target=time.sleep, args=(3600,)).start()\nprint('told')\nleave(3)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (3, "told\n")


def test_too_little_memory_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise MemoryError

    assert carried_out("prog", work) == 2
    assert capsys.readouterr().err == "prog: the machine's memory is too small for this\n"


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("--out=~/results", "--out={}/results"),
        ("bba,~/mine.py:Mine,netllm:adapter=~/a", "bba,{0}/mine.py:Mine,netllm:adapter={0}/a"),
        ("~", "{}"),
        ("~/x.log", "{}/x.log"),
        ("a~/b", "a~/b"),
        ("~user/b", "~user/b"),
        ("4g", "4g"),
    ],
)
def test_the_home_folder_where_the_shell_leaves_it(
    word: str, becomes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/somebody")
    parser = Parser()
    parser.add_argument("--out")
    parser.add_argument("words", nargs="?")
    found = parser.parse_args([word])
    assert (f"--out={found.out}" if found.out else found.words) == becomes.format("/somebody")
