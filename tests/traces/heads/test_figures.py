"""How heads move: figures by hand, what the family is held to, its fit, and the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.viewers import write_viewers
from traces.heads.__main__ import main
from traces.heads.acceptance import acceptance
from traces.heads.catalogue import watched_videos
from traces.heads.figures import CHANGES_S, TOWARDS_S, figures_of
from traces.heads.fit import FitSettings, cost, fit, targets
from traces.heads.generator import member
from traces.heads.head import HeadTrace, WatchedVideo
from traces.heads.model import heads_model, model_of


def watched(*yaw: list[float]) -> WatchedVideo:
    traces = []
    for number, angles in enumerate(yaw):
        degrees = np.zeros((len(angles), 3))
        degrees[:, 2] = angles
        traces.append(HeadTrace("v", str(number), np.arange(len(angles)) / 5.0, degrees))
    return WatchedVideo("v", tuple(traces), ())


def turning(a_sample: float, begin: float = 0.0, samples: int = 200) -> list[float]:
    return [(begin + a_sample * n + 180.0) % 360.0 - 180.0 for n in range(samples)]


def test_a_head_that_turns_steadily() -> None:
    """One degree a sample, over the seam: changes are the time, velocity keeps, static is off by 10.5 / 3."""
    figures = figures_of([watched(turning(1.0, 100.0), turning(1.0, 100.0))])
    assert figures.change[2] == pytest.approx([5.0 * at for at in CHANGES_S])
    assert figures.change[:2] == pytest.approx(np.zeros((2, len(CHANGES_S))))
    assert figures.keeps[2, 0] == pytest.approx(1.0, abs=0.01)
    assert figures.speed[0] == pytest.approx(5.0) and figures.quiet == 0.0
    assert figures.agreement == pytest.approx([1.0, 1.0, 1.0])
    assert figures.static == pytest.approx(3.5)
    assert figures.towards == pytest.approx(np.ones(len(TOWARDS_S)))


def test_viewers_who_look_opposite_ways_do_not_agree() -> None:
    figures = figures_of([watched(turning(0.0, 0.0), turning(0.0, -180.0))])
    assert figures.agreement == pytest.approx([0.0] * 3, abs=1e-9) and figures.quiet == 1.0


def test_of_short_recordings_no_figure_is_made_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has no NaN: what can't be measured is null, and what is too short is said; nothing is fitted."""
    write_viewers(tmp_path, watched(turning(1.0, samples=15), turning(2.0, samples=12)).viewers)
    assert main(["figures", str(tmp_path), "--json"]) == 1
    report = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    values = {one["name"]: one["value"] for one in report["figures"]}
    assert values["axis 2 changes in 1 s"] == pytest.approx((10 * 5.0 + 7 * 10.0) / 17)
    assert values["axis 2 changes in 4 s"] is None and values["error of static"] is None
    assert report["too_short"] == ["1/0", "1/1"]
    assert main(["figures", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "2 recordings under 18.2 s, without a window: 1/0, 1/1" in said.err and "nan" not in said.out
    assert main(["fit", str(tmp_path), "--out", str(tmp_path / "m.json")]) == 2
    assert "nothing to fit to: no change" in capsys.readouterr().err
    assert not (tmp_path / "m.json").exists()


def test_what_does_not_move_keeps_nothing() -> None:
    figures = figures_of([watched(turning(0.0), turning(0.0))])
    assert figures.unknown == ["keeps", "towards"] and figures.static == 0.0


def test_the_family_is_held_to_what_was_measured() -> None:
    """On 40 videos, which the fit has not seen; predictors that learn are judged by `simulate.py`."""
    missed = [one for one in acceptance(figures_of(watched_videos("heads[0:40]"))) if not one.met]
    assert missed == []


def test_a_fit_brings_a_model_nearer() -> None:
    model = heads_model()
    settings = FitSettings(steps=12, members=2, viewers=4)
    measured = figures_of(watched_videos("heads[0:2]"))
    begin = replace(model, viewer=replace(model.viewer, gap_s=4.0 * model.viewer.gap_s))
    least: list[float] = []
    found = fit(begin, measured, settings, lambda step, off, model: least.append(off))
    assert least == sorted(least, reverse=True) and least and found != begin
    assert model_of(found.to_json(), "x") == found
    assert cost(measured, targets(measured)) == 0.0


def test_the_command_judges_a_family_and_recordings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_viewers(tmp_path, member(7).viewers[:2])
    assert main(["lint", str(tmp_path)]) == 0
    assert "2 recordings, 0 faults" in capsys.readouterr().out
    assert main(["figures", "heads[0:2]", "--beside", str(tmp_path), "--json"]) in (0, 1)
    report = json.loads(capsys.readouterr().out)
    named = {one["name"]: one for one in report["figures"]}
    assert named["velocity / static"]["low"] == 1.7 and "error of static" in report["beside"]
    assert main(["figures", str(tmp_path)]) == 1
    assert "missed" in capsys.readouterr().out
    words = ["fit", str(tmp_path), "--steps", "2", "--members", "1", "--viewers", "2"]
    assert main([*words, "--out", str(tmp_path / "m.json")]) == 0
    assert model_of(json.loads((tmp_path / "m.json").read_text()), "x").family == "heads"
    (tmp_path / "video1" / "user3.csv").write_text("0,1,2\n")
    assert main(["lint", str(tmp_path)]) == 1
