"""Recordings of heads: files, faults, and the generated family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from traces.heads.catalogue import watched_videos
from traces.heads.files import read_heads, read_videos, viewers_in, write_lines
from traces.heads.generator import member
from traces.heads.head import HeadError, HeadTrace, WatchedVideo, faults_of, warnings_of
from traces.heads.model import heads_model, model_of


def trace(samples: int = 20, step_s: float = 0.2) -> HeadTrace:
    degrees = np.arange(3.0 * samples).reshape(samples, 3) / 10.0
    return HeadTrace("1", "1", np.arange(samples) * step_s, degrees)


def test_a_recording_is_read_as_it_is_written(tmp_path: Path) -> None:
    for head in ("", "time,roll,pitch,yaw\n"):
        path = tmp_path / "video1" / "user7.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(head + write_lines(trace()))
        found = read_heads(path)
        assert (found.video, found.viewer) == ("video1", "user7")
        assert np.allclose(found.degrees, trace().degrees) and np.allclose(found.time_s, trace().time_s)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("0,1,2,3\n0.2,1,2\n", ":2: '0.2,1,2'; expected time,axis0,axis1,axis2"),
        ("0,1,2,3\nx,1,2,3\n", ":2: 'x,1,2,3'"),
        ("0,1,2,3\n0,1,2,3\n", "sample 2: time does not rise"),
        ("0,1,2,3\n0.2,1,2,900\n", "sample 2: an angle beyond 360"),
        ("0,1,2,3\n0.2,1,2,nan\n", "no number"),
        ("", "0 samples"),
    ],
)
def test_faults_are_told(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "user1.csv"
    path.write_text(content)
    with pytest.raises(HeadError) as error:
        read_heads(path)
    assert said in str(error.value)


def test_what_is_odd_is_told() -> None:
    assert warnings_of(trace()) == []
    assert "10.0 samples a second" in warnings_of(trace(step_s=0.1))[0]
    late = HeadTrace(
        "1", "1", np.concatenate([np.arange(10) / 5.0, 9.0 + np.arange(10) / 5.0]), trace().degrees
    )
    assert "a gap of 7.2 s" in warnings_of(late)


def folder_of(folder: Path, viewers: dict[str, list[str]]) -> Path:
    for video, names in viewers.items():
        (folder / video).mkdir(parents=True)
        for name in names:
            (folder / video / name).write_text(write_lines(trace()))
    return folder


def test_a_folder_is_videos_and_viewers(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "all",
        {
            "video2": ["user9.csv", "user10.csv"],
            "video10/5Hz": ["simple_5Hz_user9.csv"],
            "notes": ["user1.csv"],
        },
    )
    videos = read_videos(folder)
    assert [video.name for video in videos] == ["all/2", "all/10"]
    assert [viewer.viewer for viewer in videos[0].viewers] == ["9", "10"]
    assert [one.viewer for one in videos[0].known_to(0)] == ["10"]
    assert len(watched_videos(f"{folder}[1:2]")) == 1


def test_earlier_viewers_are_not_judged(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "all", {"video2": ["user1.csv", "user2.csv", "user3.csv"]})
    train = folder_of(tmp_path / "train", {"video1": ["user1.csv", "user3.csv"]})
    (video,) = read_videos(folder, viewers_in(train))
    assert [one.viewer for one in video.viewers] == ["2"]
    assert [one.viewer for one in video.known_to(0)] == ["1", "3"]
    with pytest.raises(HeadError, match="nobody is left to judge"):
        read_videos(folder, {"1", "2", "3"})


@pytest.mark.parametrize(
    ("word", "said"),
    [("heads[4:4]", "0 videos"), ("tails[0:2]", "no recordings are named"), ("heads/x", "no rec")],
)
def test_words_that_name_nothing(word: str, said: str) -> None:
    with pytest.raises(HeadError, match=said):
        watched_videos(word)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(HeadError, match="no recordings; they are named"):
        watched_videos(str(tmp_path))


def test_a_member_is_the_same_everywhere() -> None:
    """Numbers that were made on another machine."""
    made = member(7)
    assert made.sha256 == SHA_OF_7
    assert member(8).sha256 != made.sha256
    assert all(faults_of(one) == [] for one in (*made.viewers, *made.earlier))
    assert len({one.viewer for one in (*made.viewers, *member(8).viewers)}) == 2 * len(made.viewers)


SHA_OF_7 = "0cca4daaefde1f1cb438ac607e505809ef720c85015f29f3d894c8859da0e847"


def test_the_model_is_read_as_it_is_written() -> None:
    model = heads_model()
    assert model_of(model.to_json(), "x") == model
    with pytest.raises(HeadError, match="schema 7"):
        model_of({"schema": 7}, "x")
    with pytest.raises(HeadError, match="not the figures of a family"):
        model_of({**model.to_json(), "axes": []}, "x")


def test_who_watches_a_video_is_known_to_others_alone() -> None:
    video = WatchedVideo("1", (trace(), trace()), ())
    assert len(video.known_to(0)) == 1
