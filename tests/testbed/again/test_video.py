"""A video that is gone is laid out anew: in a folder of its own, and nobody else's files change hands."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from player.qoe import LiveQoE
from player.record import read_record
from player.video.built_in import load_video
from testbed.again import video as again
from testbed.again.recorded import live_of, qoe_of
from testbed.again.told import Told
from testbed.process.errors import TestbedError
from testbed.session.live_plan import LivePlan
from tests.support.session_records import write_session

VIDEO = load_video("envivio").first(3)


def test_it_is_the_same_video(tmp_path: Path) -> None:
    place = again.laid_out(VIDEO, tmp_path / "new" / "out")
    assert place == tmp_path / "new" / "out" / "video" / "envivio"
    found = load_video(place)
    assert (found.sha256, found.name, found.pictures) == (VIDEO.sha256, VIDEO.name, VIDEO.pictures)


def told_of_live(folder: Path, **video: Any) -> Told:
    """Of a live session over a part of the built-in video, whose player knew no sizes."""
    live = {"latency_s": 3.0, "most_faster": 0.05, "ahead_s": 3.5}
    qoe = {"kind": "linear", "mu": 4.3, "smooth": 1.0, "latency": 0.43}
    path = write_session(folder / "live.jsonl", simulated=False, player={"live": live}, told_qoe=qoe)
    head, *rest = path.read_text().splitlines()
    told = json.loads(head)
    told["video"] = {**told["video"], "name": "envivio", "ladder_kbps": list(VIDEO.ladder_kbps), **video}
    path.write_text("\n".join([json.dumps(told), *rest]) + "\n")
    return Told(read_record(path))


def test_a_live_stream_is_streamed_again_where_its_video_still_is(tmp_path: Path) -> None:
    guessed = dataclasses.replace(VIDEO, sizes_bytes=((1, 2, 3, 4, 5, 6),) * 3, sizes_exact=False)
    told = told_of_live(tmp_path, spec="envivio", served_sha256=VIDEO.sha256)
    assert live_of(told, guessed) == LivePlan(3.0, 0.5)
    assert qoe_of(told, guessed) == LiveQoE(kind="linear", mu=4.3, smooth=1.0, latency=0.43)
    had = again.had_video(told, guessed)
    assert (had.spec, had.whole.first(3).sha256) == ("envivio", VIDEO.sha256)
    for served in ("0" * 64, None):
        other = told_of_live(tmp_path, spec="envivio", served_sha256=served)
        with pytest.raises(TestbedError, match="whose sizes no record holds, and the video is not there"):
            again.had_video(other, guessed)


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
    assert len(made) == 2 + VIDEO.levels + 3 and {path.stat().st_uid for path in made} == {4321}
    assert (tmp_path / "roots").stat().st_uid == tmp_path.stat().st_uid == 0
