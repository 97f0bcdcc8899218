"""Under sudo machine code is kept among the caller's files, and read where nobody else can write."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from player.compiled import kept
from traces.ownership import Caller

CALLER = Caller(12345, 12345)
SCRIPT = """
import sys
from pathlib import Path
from player.compiled import kept
kept._CODE = Path(sys.argv[1])
from player.compiled.compiled import compiled
from called import called
print(called(1), sum(called.stats.cache_hits.values()))
"""
CALLED = "from player.compiled.compiled import compiled\n@compiled\ndef called(x):\n    return x + 1\n"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play sudo")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home of the caller's, with a project in it; all above it is closed to others."""
    for place in (tmp_path.parent, tmp_path):
        place.chmod(0o755)
    (tmp_path / "called.py").write_text(CALLED)
    (tmp_path / "script.py").write_text(SCRIPT)
    for place in (tmp_path, *tmp_path.iterdir()):
        os.chown(place, CALLER.uid, CALLER.gid)
    yield tmp_path


def run(home: Path) -> str:
    """What the script prints: an answer, and how often machine code was found."""
    environment = {
        "PYTHONPATH": f"{home}:{Path(__file__).resolve().parents[3]}",
        "HOME": "/root",
        "XDG_CACHE_HOME": str(home / ".cache"),
        "SUDO_UID": str(CALLER.uid),
        "SUDO_GID": str(CALLER.gid),
    }
    done = subprocess.run(
        [sys.executable, str(home / "script.py"), str(home / "called.py")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def made(home: Path) -> list[Path]:
    return list((home / ".cache").rglob("*"))


def test_what_sudo_compiles_is_found_again_and_is_the_callers(home: Path) -> None:
    assert [run(home), run(home)] == ["2 0", "2 1"]
    assert any(path.suffix == ".nbc" for path in made(home))
    assert {path.lstat().st_uid for path in made(home)} == {CALLER.uid}


def test_what_others_could_write_is_not_read(home: Path) -> None:
    assert run(home) == "2 0"
    for path in made(home):
        if path.is_dir():
            path.chmod(0o777)
    assert run(home) == "2 0"


def test_what_lies_under_a_folder_of_somebody_elses_is_not_read(home: Path) -> None:
    assert run(home) == "2 0"
    os.chown(home / ".cache" / "streambed", 54321, 54321)
    assert run(home) == "2 0"


@pytest.mark.parametrize(
    ("mode", "owner", "expected"),
    [
        (0o755, CALLER.uid, True),
        (0o700, 0, True),
        (0o775, CALLER.uid, False),
        (0o1777, CALLER.uid, False),
        (0o755, 54321, False),
    ],
)
def test_a_folder_is_safe_that_only_root_and_the_caller_write_to(
    home: Path, mode: int, owner: int, expected: bool
) -> None:
    place = home / "place"
    place.mkdir()
    place.chmod(mode)
    os.chown(place, owner, owner)
    assert kept.safe(place, CALLER) is expected


@pytest.mark.parametrize(("mode", "expected"), [(0o777, False), (0o1777, True)])
def test_above_it_a_folder_of_all_is_safe_where_only_owners_rename(
    home: Path, mode: int, expected: bool
) -> None:
    place = home / "of-all" / "place"
    place.mkdir(parents=True)
    for each in (place.parent, place):
        os.chown(each, 0, 0)
    place.parent.chmod(mode)
    assert kept.safe(place, CALLER) is expected


def test_there_is_no_folder_where_it_cannot_be_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "caller", lambda: CALLER)
    monkeypatch.setattr(kept, "_CODE", home / "called.py")
    assert kept.callers_folder(str(home / "called.py" / "below")) is None
    assert kept.callers_folder(str(home / "kept")) == home / "kept"
