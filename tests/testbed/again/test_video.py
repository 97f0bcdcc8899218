"""A video that is gone is laid out anew: in a folder of its own, and nobody else's files change hands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from player.video.built_in import load_video
from testbed.again import video as again
from testbed.process.errors import TestbedError

VIDEO = load_video("envivio").first(3)


def test_it_is_the_same_video(tmp_path: Path) -> None:
    place = again.laid_out(VIDEO, tmp_path / "new" / "out")
    assert place == tmp_path / "new" / "out" / "video" / "envivio"
    assert load_video(place).sha256 == VIDEO.sha256 and load_video(place).name == VIDEO.name


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "mine").write_text("mine")
    with pytest.raises(TestbedError, match="holds video already"):
        again.laid_out(VIDEO, tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["video", "mine"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "video").symlink_to(tmp_path)  # planted
    with pytest.raises(TestbedError, match="holds video already"):
        again.laid_out(VIDEO, other)
    assert not (tmp_path / "envivio").exists()


def test_of_one_that_cannot_be_written_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(again, "write_aside", full)
    with pytest.raises(OSError, match="No space"):
        again.laid_out(VIDEO, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_only_what_was_made_is_given_to_who_typed_sudo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "4321")
    monkeypatch.setenv("SUDO_GID", "4321")
    (tmp_path / "roots").write_text("root's")
    again.laid_out(VIDEO, tmp_path)
    made = [tmp_path / "video", *(tmp_path / "video").rglob("*")]
    assert len(made) == 2 + VIDEO.levels + 2 and {path.stat().st_uid for path in made} == {4321}
    assert (tmp_path / "roots").stat().st_uid == tmp_path.stat().st_uid == 0
