"""What is compiled keeps Python's float arithmetic, and its cache follows all that it was made of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

from player.compiled import compiled
from player.simulated.batch import link

CALLED = "from player.compiled.compiled import compiled\n@compiled\ndef called(x):\n    return x + {}\n"
CALLER = """
from called import called
from elsewhere import CONSTANT
from player.compiled.compiled import compiled
@compiled
def caller(x):
    return 10 * called(x) + CONSTANT
print(caller(1), sum(caller.stats.cache_hits.values()))
"""


def run(folder: Path, adds: int, constant: int, **more: str) -> str:
    """What the caller prints: its answer, and how often machine code was found.

    A number that changes has to change its length: Python's own cache knows a file by second and size.
    """
    (folder / "called.py").write_text(CALLED.format(adds))
    (folder / "elsewhere.py").write_text(f"CONSTANT = {constant}\n")
    (folder / "caller.py").write_text(CALLER)
    environment = {
        "PYTHONPATH": f"{folder}:{Path(__file__).resolve().parents[3]}",
        "HOME": str(folder),
        **more,
    }
    environment.setdefault("NUMBA_CACHE_DIR", str(folder / "kept"))
    done = subprocess.run(
        [sys.executable, str(folder / "caller.py")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_machine_code_is_kept_until_anything_that_went_into_it_changes(tmp_path: Path) -> None:
    assert run(tmp_path, 1, 5) == "25 0"
    assert run(tmp_path, 1, 5) == "25 1"
    assert run(tmp_path, 12, 5) == "135 0"  # another file's function changed
    assert run(tmp_path, 12, 17) == "147 0"  # an imported constant changed
    assert run(tmp_path, 12, 17) == "147 1"


class Facts(NamedTuple):
    rate: float


class OtherFacts(NamedTuple):
    rate: float
    delay: float


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1.0, 2.0), (1.0, 3.0)),
        (((1, 2), ("a",)), ((1, 2), ("b",))),
        (np.array([1.0, 2.0]), np.array([1.0, 2.5])),
        (np.float64(0.5), np.float64(0.25)),
        (None, 1),
        (Facts, OtherFacts),
    ],
)
def test_the_stamp_holds_every_constant(
    before: object, after: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def function() -> None:
        """Stands in this file."""

    monkeypatch.setitem(globals(), "HELD", before)
    stamp = compiled.stamp_of(function)
    assert compiled.stamp_of(function) == stamp
    monkeypatch.setitem(globals(), "HELD", after)
    assert compiled.stamp_of(function) != stamp


def test_where_nothing_can_be_written_it_is_compiled_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for _ in range(2):
        assert run(tmp_path, 1, 5, NUMBA_CACHE_DIR=str(tmp_path / "file" / "kept")) == "25 0"


def test_nothing_is_kept_under_sudo_by_somebody_whose_project_it_is_not(tmp_path: Path) -> None:
    for _ in range(2):
        assert run(tmp_path, 1, 5, SUDO_UID="12345", SUDO_GID="12345") == "25 0"
    assert not (tmp_path / "kept").exists()


def test_without_bytecode_the_users_cache_keeps_the_code(tmp_path: Path) -> None:
    settings = {"PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": ""}
    assert [run(tmp_path, 1, 5, **settings) for _ in range(2)] == ["25 0", "25 1"]
    assert list((tmp_path / ".cache" / "streambed").glob("numba-*/*/*.nbi"))


def test_a_folder_that_cannot_be_written_sends_the_code_to_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled._base("") == Path(compiled.__file__).parent / "__pycache__"
    monkeypatch.setattr(compiled, "_FOLDER", tmp_path / "missing")
    assert compiled._base("") == tmp_path / "streambed"
    assert compiled._base("chosen") == Path("chosen")


@pytest.mark.parametrize("kernel", [link.transfer, link.noise_factors], ids=lambda kernel: kernel.__name__)
def test_no_multiply_and_add_is_fused(kernel: Any) -> None:
    """One rounding instead of two would change the last bit. Kept code cannot be looked at: compile anew."""
    one_second = np.array([0.0, 1.0])
    link.transfer(one_second, np.array([9e9, 9e9]), 0, 2, 1, 0.0, 500.0)
    link.noise_factors(1, np.empty(3))
    fresh = numba.njit(**compiled.OPTIONS)(kernel.py_func)
    fresh.compile(kernel.signatures[0])
    (code,) = fresh.inspect_asm().values()
    assert "mulsd" in code or "fmul" in code  # it has what could be fused
    assert "fmadd" not in code and "fmsub" not in code
