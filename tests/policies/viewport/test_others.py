"""Where earlier viewers looked, by hand, and TRACK's net beside the one that learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from player.viewport.windows import FUTURE, HISTORY, ViewportObservation, windows_of
from policies.viewport.others import AHEAD, CHANNELS, DOUBT, FIELDS, MAP_PITCH, MAP_YAW, gaze_map, series
from policies.viewport.track.__main__ import main
from policies.viewport.track.learn import examples_of, mirrored, scored, weights_of
from policies.viewport.track.model import TrackModel, wrapped_l1
from policies.viewport.track.net import Track, answer_of, seen_samples
from tests.support.viewers import and_mirrored
from traces.heads.generator import member

HERE = np.array([[0.0, 0.0, 170.0]])


def others(*yaw: float) -> np.ndarray:
    """Viewers who look there, all the time."""
    found = np.zeros((1, len(yaw), FUTURE + 1, 3))
    found[0, :, :, 2] = np.array(yaw)[:, None]
    return found


def test_others_are_seen_from_here_the_shorter_way() -> None:
    found = series(HERE, others(-160.0, -160.0))[0]  # 30 degrees on, over the seam
    assert found.shape == (CHANNELS, len(AHEAD))
    assert found[2] == pytest.approx(np.full(len(AHEAD), 2.0 / (2.0 + DOUBT)))
    assert found[3:6] == pytest.approx(np.zeros((3, len(AHEAD))))
    near = np.exp(-0.5 * (30.0 / 25.0) ** 2)
    assert found[8] == pytest.approx(np.full(len(AHEAD), 2.0 * near / (2.0 * near + DOUBT)))
    assert found[-1] == pytest.approx(np.ones(len(AHEAD)))


def test_who_has_stopped_watching_and_nobody_count_for_nothing() -> None:
    gone = others(-160.0, 50.0)
    gone[0, 1] = np.nan
    assert series(HERE, gone)[0, 2] == pytest.approx(np.full(len(AHEAD), 1.0 / (1.0 + DOUBT)))
    assert (series(HERE, others()) == 0.0).all()
    assert (gaze_map(HERE, others()) == 0.0).all()


def test_the_map_has_shares_of_others_in_fields_about_here() -> None:
    there = others(-160.0, 170.0, 170.0)
    there[0, 2, :, 1] = 50.0
    found = gaze_map(HERE, there)[0]
    assert found.shape == (FUTURE + 1, *FIELDS) and found.sum(axis=(1, 2)) == pytest.approx(
        np.ones(FUTURE + 1)
    )
    ahead, straight = np.searchsorted(MAP_YAW[1:-1], 30.0), np.searchsorted(MAP_YAW[1:-1], 0.0)
    level, high = np.searchsorted(MAP_PITCH[1:-1], 0.0), np.searchsorted(MAP_PITCH[1:-1], 50.0)
    for row, column in ((level, ahead), (level, straight), (high, straight)):
        assert found[3, row, column] == pytest.approx(1.0 / 3.0)


def test_numpy_computes_what_torch_has_learned() -> None:
    torch.manual_seed(0)
    model = TrackModel(published=False)
    torch.nn.init.normal_(model.out.weight, std=0.3)
    seen = windows_of(member(1), 0).seen
    samples, maps = seen_samples(seen)
    expected = model(torch.tensor(samples, dtype=torch.float32), torch.tensor(maps, dtype=torch.float32))
    found = answer_of(weights_of(model), samples, maps)
    assert found == pytest.approx(expected.detach().numpy().reshape(found.shape), abs=1e-4)


def test_samples_say_where_the_head_was_from_where_it_is() -> None:
    history = np.zeros((1, HISTORY, 3))
    history[0, :, 2] = [150.0 + 5.0 * n if n < 6 else -210.0 + 5.0 * n for n in range(HISTORY)]
    samples, _ = seen_samples(ViewportObservation(history, np.full((1, 0, HISTORY + FUTURE, 3), np.nan)))
    assert samples[0, 1:, 2] * 30.0 == pytest.approx(np.full(HISTORY - 1, 5.0))
    assert samples[0, :, 5] * 30.0 == pytest.approx([-5.0 * (HISTORY - 1 - n) for n in range(HISTORY)])


def test_the_error_goes_the_shorter_way() -> None:
    places, targets = torch.zeros(1, 2, 3), torch.zeros(1, 2, 3)
    places[0, :, 2] = 11.0  # 330 degrees are 30 the other way
    assert wrapped_l1(places, targets).item() == pytest.approx(1.0 / 3.0)


def test_a_mirrored_viewer_has_mirrored_samples_and_maps() -> None:
    plain, turned = map(seen_samples, and_mirrored((0, 2)))
    samples, maps, targets = mirrored(*plain, np.ones((4, FUTURE, 3)), (0, 2))
    assert samples == pytest.approx(turned[0]) and maps == pytest.approx(turned[1])
    assert (targets == [-1.0, 1.0, -1.0]).all()


def test_as_published_the_first_true_sample_is_fed() -> None:
    """Its answers change with what it is to predict; the mended one's do not."""
    examples = examples_of([member(2)], False)
    other = examples.future.copy()
    other[:, 0] += 40.0
    changed = type(examples)(examples.samples, examples.maps, examples.targets, examples.history, other)
    from policies.viewport.track.learn import _places

    rows = np.arange(4)
    for published in (True, False):
        torch.manual_seed(1)
        model = TrackModel(published)
        with torch.no_grad():
            one, two = _places(model, examples, rows), _places(model, changed, rows)
        assert torch.equal(one, two) is not published
    assert set(scored(model, examples)) == {"mae", "at_0.2s", "at_1s", "at_2s", "at_4s"}


def test_track_is_trained_by_its_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--train", "heads[0:2]", "--hold-out", "1", "--epochs", "1", "--traces", "heads/9"]
    assert main([*words, "--out", str(tmp_path / "track.safetensors")]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["mae"] > 0 and (tmp_path / "track.safetensors").stat().st_size > 100_000
    assert main([*words, "--as-published", "--out", str(tmp_path / "no.safetensors")]) == 2
    assert "fed the first true sample" in capsys.readouterr().err


def test_the_shipped_weights_predict() -> None:
    seen = windows_of(member(3), 1).seen
    assert np.isfinite(Track().predict(seen)).all()
