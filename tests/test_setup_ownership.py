"""What a run under sudo makes belongs to the caller, and nothing else changes hands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from traces import ownership

CALLER, GROUP, OTHER = 4242, 4243, 4244
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(CALLER))
    monkeypatch.setenv("SUDO_GID", str(GROUP))


def owner(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid


@needs_root
@pytest.mark.usefixtures("sudo")
def test_a_directory_changes_hands_with_all_in_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "deep" / "er").mkdir(parents=True)
    (run / "deep" / "record.jsonl").touch()
    ownership.give_to_caller(run)
    places = [run, run / "deep", run / "deep" / "er", run / "deep" / "record.jsonl"]
    assert [owner(place) for place in places] == [(CALLER, GROUP)] * 4
    assert owner(tmp_path)[0] == 0


@needs_root
@pytest.mark.usefixtures("sudo")
def test_others_files_and_what_links_lead_to_stay(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    outside = tmp_path / "outside"
    outside.touch()
    (run / "symbolic").symlink_to(outside)
    (run / "hard").hardlink_to(outside)
    (run / "folder").symlink_to(tmp_path)
    (run / "theirs").touch()
    os.chown(run / "theirs", OTHER, OTHER)
    ownership.give_to_caller(run)
    assert owner(outside)[0] == 0
    assert owner(tmp_path)[0] == 0
    assert owner(run / "theirs") == (OTHER, OTHER)
    assert owner(run / "symbolic") == (CALLER, GROUP)


@needs_root
@pytest.mark.usefixtures("sudo")
def test_made_directories_belong_to_the_caller_and_found_ones_do_not(tmp_path: Path) -> None:
    made = ownership.make_directory(tmp_path / "results" / "mine")
    assert owner(made) == owner(made.parent) == (CALLER, GROUP)
    assert owner(tmp_path)[0] == 0
    assert ownership.make_directory(made) == made


@needs_root
@pytest.mark.usefixtures("sudo")
def test_a_file_system_that_keeps_its_owners_costs_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    (tmp_path / "record").touch()
    ownership.give_to_caller(tmp_path / "record")
    said = capsys.readouterr().err
    assert said.startswith(f"streambed: {tmp_path / 'record'} stays root's: Operation not permitted")
    assert said.count("\n") == 1


@pytest.mark.parametrize("uid", ["", "0", "-5", "someone"])
def test_without_sudo_nothing_changes_hands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: str
) -> None:
    monkeypatch.setenv("SUDO_UID", uid)
    monkeypatch.setenv("SUDO_GID", "4243")
    (tmp_path / "record").touch()
    before = owner(tmp_path / "record")
    assert ownership.caller() is None
    ownership.give_to_caller(tmp_path / "record")
    assert owner(tmp_path / "record") == before


def test_cache_is_the_callers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Entry:
        pw_dir = "/somewhere/ada"

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert ownership.caller_cache_dir() == tmp_path / ".cache" / "streambed"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {CALLER: Entry}[uid])
    monkeypatch.setenv("SUDO_UID", str(CALLER))
    monkeypatch.setenv("SUDO_GID", str(GROUP))
    assert ownership.caller_cache_dir() == Path("/somewhere/ada/.cache/streambed")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert ownership.caller_cache_dir() == Path("/somewhere/ada/.cache/streambed")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert ownership.caller_cache_dir() == Path("/caches/streambed")


def test_a_caller_whom_the_machine_does_not_know(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("SUDO_UID", str(CALLER))
    monkeypatch.setenv("SUDO_GID", str(GROUP))
    assert ownership.caller_cache_dir() == tmp_path / ".cache" / "streambed"
    assert str(CALLER) in capsys.readouterr().err
