"""Policies by name and by file: what is found, how values are read, what each mistake is called."""

from __future__ import annotations

import json
import signal
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from player import registry
from player.registry import CALL, VIDEO, PolicyError, load_policy, policy_names, split_policies

MINE = """
from __future__ import annotations
from dataclasses import dataclass
from neighbour import LEVEL

@dataclass
class Mine:
    level: int = LEVEL
    share: float = 0.5
    loud: bool = False
    label: str = "x"
    cap_s: float | None = None
    guess = 1
    def reset(self, video, seed, qoe): pass
    def select(self, observation): return self.level

class Plain:
    def __init__(self, needed, ratio=1.5, **others):
        self.all = dict(needed=needed, ratio=ratio, **others)
        self.weights_sha256 = "abc"
    def reset(self, video, seed, qoe): pass
    def select(self, observation): return 0

class Nothing: pass
class NoSelect:
    def reset(self, video, seed, qoe): pass
class Angry:
    def __init__(self): raise RuntimeError("no\\nmood")
    def reset(self, video, seed, qoe): pass
    def select(self, observation): return 0
NUMBER = 3
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "neighbour.py").write_text("LEVEL = 2\n")
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return str(path)


def test_built_in_with_values() -> None:
    loaded = load_policy("bba:reservoir_s=7:cushion_s=11.5")
    assert (loaded.name, loaded.spec) == ("bba", "bba:reservoir_s=7:cushion_s=11.5")
    assert loaded.parameters == {"reservoir_s": 7.0, "cushion_s": 11.5}
    assert loaded.weights_sha256 is None


def test_a_value_without_a_key_is_the_first_parameter() -> None:
    assert next(iter(load_policy("fixed:3").parameters.values())) == 3
    assert load_policy("bba:7").parameters == {"reservoir_s": 7.0, "cushion_s": 10.0}


@pytest.mark.parametrize("name", policy_names())
def test_every_installed_policy_loads(name: str) -> None:
    spec = "fixed:0" if name == "fixed" else name
    assert load_policy(spec).name == name


def test_a_file_of_ones_own_with_typed_values(mine: str) -> None:
    loaded = load_policy(f"{mine}:Mine:level=1:share=2:loud=yes:label=a:b:cap_s=none")
    assert loaded.name == "Mine"
    assert loaded.parameters == {"level": 1, "share": 2.0, "loud": True, "label": "a:b", "cap_s": None}
    assert type(loaded.parameters["share"]) is float
    assert load_policy(f"{mine}:Mine:3:cap_s=4").parameters["cap_s"] == 4.0


def test_without_annotations_values_are_taken_as_they_look(mine: str) -> None:
    loaded = load_policy(f"{mine}:Plain:17:ratio=2:extra=1.5:word=w")
    assert loaded.policy.all == {"needed": 17, "ratio": 2.0, "extra": 1.5, "word": "w"}  # type: ignore[attr-defined]
    assert loaded.parameters == loaded.policy.all  # type: ignore[attr-defined]
    assert loaded.weights_sha256 == "abc"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("bbaa", r"unknown name 'bbaa' \(did you mean bba\?\); there are .*bba.*FILE.py:Class"),
        (
            "bba:reservoir=5",
            r"no parameter 'reservoir' \(did you mean reservoir_s\?\); it has reservoir_s, cushion_s",
        ),
        ("bba:reservoir_s=much", "reservoir_s is 'much'; expected a number"),
        ("bba:reservoir_s=1:reservoir_s=2", "reservoir_s is given twice"),
        ("bba:reservoir_s=-1", "ValueError: .*reservoir_s -1"),
        ("no/such.py:P", "no file no/such.py"),
        ("{mine}", r"no class named; write .*mine.py:Class \(.*mine.py has Mine, Plain, Angry\)"),
        ("{mine}:Mina", r"no Mina in the file \(did you mean Mine\?\)"),
        ("{mine}:Nothing", "Nothing has no reset and no select; a policy needs both"),
        ("{mine}:NoSelect", "NoSelect has no select"),
        ("{mine}:NUMBER", "NUMBER is no class"),
        ("{mine}:Angry", "RuntimeError: no mood"),
        ("{mine}:Angry:3", "takes no value, got '3'"),
        ("{mine}:Plain", "needs needed; write .*:Plain:needed=VALUE"),
        ("{mine}:Mine:level=1.5", "level is '1.5'; expected a whole number"),
        ("{mine}:Mine:loud=maybe", "loud is 'maybe'; expected true or false"),
    ],
)
def test_each_mistake_is_one_line(mine: str, spec: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        load_policy(spec.format(mine=mine))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\nimport nowhere_at_all\n", r"bad.py:2: ModuleNotFoundError: .*nowhere_at_all"),
        ("x = 1\n\ndef f(:\n", r"bad.py:3: SyntaxError: [^()]*(\'\(' was never closed|invalid syntax)$"),
        ("1 / 0\n", r"bad.py:1: ZeroDivisionError"),
    ],
)
def test_a_file_that_does_not_import_is_named_with_its_line(tmp_path: Path, code: str, message: str) -> None:
    (tmp_path / "bad.py").write_text(code)
    with pytest.raises(PolicyError, match=message):
        load_policy(f"{tmp_path / 'bad.py'}:P")


READS = "import argparse\nparser = argparse.ArgumentParser()\nargs = parser.parse_args()\n"
POLICY = (
    "class P:\n    def reset(self, video, seed, qoe): pass\n    def select(self, observation): return 1\n"
)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (READS + POLICY, r"one.py:3: it reads the command line, which is ours; .*one.py:P:key=VALUE"),
        ("import sys\nsys.exit(4)\n" + POLICY, r"one.py:2: it ends the program \(SystemExit: 4\)"),
        ("exit()\n", r"one.py:1: it ends the program"),
        ("raise BaseException('odd')\n", r"one.py:1: BaseException: odd"),
        (POLICY + "    def __init__(self): raise SystemExit(5)\n", r"one.py:P: it ends the program"),
        ("def P(observation):\n    return 1\n", "P is a function; a policy is a class with reset and select"),
        (
            "def P(observation=None):\n    return 1\n",
            "P is a function that gives 1; a policy is a class with",
        ),
        ("P = lambda o: 1\n", "is a function; a policy is a class with reset and select"),
        ("P = object()\n", "P is no class; a policy is a class with reset and select"),
    ],
)
def test_a_file_that_is_no_policy_costs_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, message: str
) -> None:
    (tmp_path / "one.py").write_text(code)
    with pytest.raises(PolicyError, match=message) as caught:
        load_policy(f"{tmp_path / 'one.py'}:P")
    assert "\n" not in str(caught.value)
    assert capsys.readouterr() == ("", "")


def test_a_policys_file_does_not_read_our_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["simulate.py", "--seed", "7"])
    (tmp_path / "one.py").write_text(
        "import argparse, sys\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--seed', type=int, default=3)\n"
        "SEED = parser.parse_known_args()[0].seed\n"
        "sys.stderr.write('hello')\n"
        "class P:\n"
        "    def __init__(self, seed=SEED): self.seed = seed\n"
        "    def reset(self, video, seed, qoe): pass\n"
        "    def select(self, observation): return 1\n"
    )
    assert load_policy(f"{tmp_path / 'one.py'}:P").parameters == {"seed": 3}
    assert capsys.readouterr().err == "hello"


def test_a_function_may_make_a_policy(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(POLICY + "def make(share=0.5): return P()\n")
    assert load_policy(f"{tmp_path / 'one.py'}:make:share=1").parameters == {"share": 1.0}


def test_ctrl_c_while_a_file_is_imported_is_no_fault_of_it(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("raise KeyboardInterrupt\n")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background have none
    try:
        with pytest.raises(KeyboardInterrupt):
            load_policy(f"{tmp_path / 'one.py'}:P")
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_real_player_neither_offers_nor_takes_who_is_told_the_future(tmp_path: Path) -> None:
    assert "oracle" in policy_names() and "oracle" not in policy_names(real=True)
    with pytest.raises(PolicyError, match="there are apc, bba") as caught:
        load_policy("orakle", real=True)
    assert "oracle" not in str(caught.value)
    (tmp_path / "one.py").write_text(POLICY + "    def tell(self, future): pass\n")
    for spec in ("oracle", f"{tmp_path / 'one.py'}:P"):
        with pytest.raises(PolicyError, match="told the future, which only the simulated player knows"):
            load_policy(spec, real=True)


def test_nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [])
    with pytest.raises(PolicyError, match="no policies are installed; run: make setup"):
        load_policy("bba")


def test_an_entry_point_whose_module_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = EntryPoint("gone", "nowhere_at_all:P", VIDEO.group)
    monkeypatch.setattr(registry, "entry_points", lambda group: [gone])
    with pytest.raises(PolicyError, match=r"nowhere_at_all:P cannot be imported .*; run: make setup"):
        load_policy("gone")


def test_split() -> None:
    assert split_policies("bba, robustmpc,my.py:P:k=1,bba") == ["bba", "robustmpc", "my.py:P:k=1", "bba"]
    for text in ("", "bba,", "bba,,rate"):
        with pytest.raises(PolicyError, match="empty name"):
            split_policies(text)


def test_parameters_can_stand_in_a_record_whatever_they_are(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "class Mine:\n"
        "    def __init__(self, best=float('inf'), worst=float('nan'), kind=int, share: float = 0.5): pass\n"
        "    def reset(self, video, seed, qoe): pass\n"
        "    def select(self, observation): return 0\n"
    )
    parameters = load_policy(f"{mine}:Mine:share=-inf").parameters
    assert json.loads(json.dumps(parameters, allow_nan=False)) == {
        "best": "inf", "worst": "nan", "kind": "<class 'int'>", "share": "-inf"
    }  # fmt: skip


CALLER = """
class Steady:
    def __init__(self, kbps: float = 500.0): self.kbps = kbps
    def reset(self, call, seed, qoe): pass
    def decide(self, observation): return self.kbps
class Video:
    def reset(self, video, seed, qoe): pass
    def select(self, observation): return 0
"""


def test_policies_of_calls_are_a_group_of_their_own() -> None:
    names = policy_names(kind=CALL)
    assert {"gcc", "copa", "nada", "fixed", "oracle"} <= set(names) and "bba" not in names
    assert "oracle" not in policy_names(kind=CALL, real=True)
    assert load_policy("fixed:kbps=800", kind=CALL).parameters == {"kbps": 800.0}
    assert load_policy("fixed:3").parameters == {"level": 3}


@pytest.mark.parametrize("name", policy_names(kind=CALL))
def test_every_installed_policy_of_calls_loads(name: str) -> None:
    spec = "fixed:500" if name == "fixed" else name
    assert load_policy(spec, kind=CALL).name == name


def test_a_file_s_policy_of_calls_needs_their_calls(tmp_path: Path) -> None:
    path = tmp_path / "caller.py"
    path.write_text(CALLER)
    assert load_policy(f"{path}:Steady:kbps=700", kind=CALL).parameters == {"kbps": 700.0}
    with pytest.raises(PolicyError, match="Video has no decide; a policy needs both"):
        load_policy(f"{path}:Video", kind=CALL)
    with pytest.raises(PolicyError, match="Steady has no select; a policy needs both"):
        load_policy(f"{path}:Steady")
    with pytest.raises(PolicyError, match=r"unknown name 'gc' \(did you mean gcc\?\); there are .*copa"):
        load_policy("gc", kind=CALL)
    with pytest.raises(PolicyError, match="unknown name 'gcc'"):
        load_policy("gcc")
