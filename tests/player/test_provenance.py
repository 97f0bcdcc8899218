"""Where a session comes from: gathered, written into every record, read back from records of any age."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from player.manifest import Manifest
from player.provenance import Provenance, code_section, decided_by
from player.registry import load_policy
from player.sections import policy_section
from player.sources import policy_sources
from traces import versions
from traces.versions import CodeVersion, code_version, loaded_versions, package_version, version_here

POLICY = """
import json
import numpy as np
from player.policy import Decision
from helper import level
import parts.deep as deep

class Mine:
    def reset(self, video, seed, qoe): pass
    def select(self, observation): return level() + deep.ZERO
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy of several files, and others beside it that it does not import."""
    (tmp_path / "mine.py").write_text(POLICY)
    (tmp_path / "helper.py").write_text("import constants_of_mine\ndef level(): return 0\n")
    (tmp_path / "constants_of_mine.py").write_text("PI = 3\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "parts" / "deep.py").write_text("from . import deeper\nZERO = deeper.NOUGHT\n")
    (tmp_path / "parts" / "deeper.py").write_text("NOUGHT = 0\n")
    (tmp_path / "parts" / "unused.py").write_text("")
    for name in ("unused", "json", "player"):
        (tmp_path / f"{name}.py").write_text("")
    return tmp_path / "mine.py"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_policy_is_its_file_and_what_that_imports_from_its_folder(policy: Path) -> None:
    found = policy_sources(policy)
    names = [
        "mine.py",
        "helper.py",
        "parts/__init__.py",
        "parts/deep.py",
        "constants_of_mine.py",
        "parts/deeper.py",
    ]
    assert list(found.files) == names and found.packages == ("numpy",)
    assert found.files == {name: digest(policy.parent / name) for name in names}
    (policy.parent / "helper.py").write_text("def level(): return 1\n")
    assert policy_sources(policy).files["helper.py"] == digest(policy.parent / "helper.py")


def test_of_what_cannot_be_read_nothing_is_said(tmp_path: Path) -> None:
    assert policy_sources(tmp_path / "none.py").files == {}
    (tmp_path / "broken.py").write_text("def (:\n")
    assert list(policy_sources(tmp_path / "broken.py").files) == ["broken.py"]


def test_the_manifest_says_it_and_it_is_read_back(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(policy.parent)
    loaded = load_policy("mine.py:Mine")
    decided = decided_by(loaded.spec, loaded.policy)
    section = policy_section(loaded, decided)
    assert section.source_sha256 == digest(policy) and section.sources == decided.sources
    assert "helper.py" in decided.sources and decided.versions["numpy"] == package_version("numpy")
    code = CodeVersion("c" * 40, True)
    server = {"versions": {"torch": "2.0"}}
    whole = Manifest(policy=section, versions=decided.versions, code=code_section(code), policy_server=server)
    told = Manifest.from_json(whole.to_json())
    assert told is not None
    then = Provenance.of(told)
    assert then == Provenance(digest(policy), decided.sources, code, decided.versions, {"torch": "2.0"})
    assert list(then.differences(then)) == []
    now = then.here(loaded.spec, loaded.policy, CodeVersion("d" * 40, False))
    found = {name: (was, now) for name, was, now in then.differences(now)}
    assert found.pop("policy_server.versions.torch")[0] == "2.0"
    assert found == {"code.commit": ("c" * 40, "d" * 40), "code.dirty": (True, False)}


def test_an_older_record_says_little_and_nothing_of_it_differs() -> None:
    loaded = load_policy("bba")
    old = Provenance.of(Manifest(versions={"python": sys.version.split()[0], "kernel": "0", "x": 3}))
    assert old.code == CodeVersion() and old.versions == {"python": sys.version.split()[0], "kernel": "0"}
    found = list(old.differences(old.here("bba", loaded.policy, code_version())))
    assert [name for name, _, _ in found] == ["versions.kernel"]
    assert list(Provenance.of(Manifest()).differences(decided_by("bba", loaded.policy))) == []


def test_a_policy_that_comes_along_has_one_source_and_no_list(tmp_path: Path) -> None:
    loaded = load_policy("bba")
    decided = decided_by("bba", loaded.policy)
    assert decided.source_sha256 is not None and decided.sources == {}
    assert "sources" not in policy_section(loaded, decided).to_json()


def test_versions_are_of_what_was_loaded_and_nothing_is_loaded_for_them() -> None:
    code = (
        "import sys; from traces.versions import loaded_versions, version_here\n"
        "before = set(sys.modules)\n"
        "assert set(loaded_versions()) == {'python', 'streambed'}, loaded_versions()\n"
        "assert version_here('numpy') and version_here('no-such-package') is None\n"
        "import numpy; assert loaded_versions()['numpy'] == numpy.__version__\n"
        "assert not {'torch', 'numba', 'scipy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=versions.ROOT)


def test_versions_here() -> None:
    assert version_here("python") == sys.version.split()[0]
    assert loaded_versions(["no_such_module"]).keys() >= {"python", "streambed"}
    assert package_version("no-such-package") == "unknown"


def git(folder: Path, *words: str) -> None:
    mine = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main")
    subprocess.run(["git", "-C", str(folder), *mine, *words], check=True, capture_output=True)


def test_the_tree_tells_its_commit_and_whether_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "ROOT", tmp_path)
    asked = code_version.__wrapped__
    assert asked() == CodeVersion()  # no checkout
    git(tmp_path, "init")
    assert asked() == CodeVersion()  # no commit
    (tmp_path / "a.py").write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    clean = asked()
    assert clean.dirty is False and clean.commit is not None and len(clean.commit) == 40
    (tmp_path / "results").write_text("not of the tree\n")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))  # of somebody whose hook runs us
    assert asked() == clean
    (tmp_path / "a.py").write_text("2\n")
    assert asked() == CodeVersion(clean.commit, True)
    monkeypatch.setenv("PATH", str(tmp_path))  # no git
    assert asked() == CodeVersion()
