"""What comes along with a policy: its player, and the command that starts it, load all of it first."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import pytest

from policies.llm.engine.asked import Loaded
from policies.llm.engine.contract import EngineInfo

HEAVY = ("aiohttp", "numba", "scipy", "torch", "transformers")
_LOADS = """
import json, sys
from player.registry import load_policy

load_policy(sys.argv[1])
loaded = [name for name in HEAVY_NAMES if name in sys.modules]
print(json.dumps(loaded))
"""
_ANSWER = """
import json, pickle, sys

import policies.llm.serving.serve
import policies.llm.task

policies.llm.task.task_named(policies.llm.task.DEFAULT)
said = pickle.load(sys.stdin.buffer)
print(json.dumps([said.info.base, [name for name in HEAVY_NAMES if name in sys.modules]]))
"""


def _run(program: str, *words: str, given: bytes = b"") -> object:
    done = subprocess.run(
        [sys.executable, "-c", program.replace("HEAVY_NAMES", repr(HEAVY)), *words],
        input=given,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.parametrize("policy", ["bba", "robustmpc", "genet", "apc", "netllm"])
def test_a_policy_of_the_defaults_brings_nothing_heavy(policy: str) -> None:
    assert _run(_LOADS, policy) == []


def test_an_engine_elsewhere_brings_no_torch_to_the_server() -> None:
    """What the engine's process says is unpickled, which imports wherever its types lie."""
    info = EngineInfo("ladder", "a base", "", "", 2, "cpu", "int8", 3, 4, 5, 6, 7)
    said = pickle.dumps(Loaded(info, 64, 5, 3, True, {"torch": "2"}))
    base, loaded = _run(_ANSWER, given=said)  # type: ignore[misc]
    assert base == "a base"
    assert loaded == ["aiohttp"]
