"""Training: who is held out, what is drawn, and that a run which is killed ends as if it had not been."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.hindsight import data
from policies.hindsight.__main__ import main
from traces.trace import Trace, TraceError

torch = pytest.importorskip("torch")

from policies.hindsight.run import HindsightSettings  # noqa: E402


def named(name: str) -> Trace:
    return Trace(name, (0.0, 5.0, 10.0, 15.0), (1.0, 1.0, 2.0, 4.0))


def test_lines_are_held_out_whole() -> None:
    for line in range(40):
        cuts = [
            f"trace_{line}_http---www.amazon.com",
            f"trace_{line}_https---www.msn.com_300",
            f"test_fcc_trace_{line}_http---www.google.com-mobile-_200_0",
        ]
        assert len({data.held_out(named(cut)) for cut in cuts}) == 1
    session = "C" * 43 + "="
    assert data.line_of(f"trace{session}_1") == data.line_of(f"trace{session}_12")
    assert data.line_of("wifi_cafe_231115-151422.txt") == data.line_of("wifi_cafe_231115-160912.txt")
    held = [data.held_out(named(f"norway_bus_{number}")) for number in range(400)]
    assert 50 < sum(held) < 110


def two_column(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for number, name in enumerate(names):
        rates = np.random.default_rng(number).uniform(0.3, 4.0, 120)
        lines = [f"{second} {rate:.3f}" for second, rate in enumerate(rates)]
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def test_sources_keep_what_is_held_out_apart(tmp_path: Path) -> None:
    names = [f"trace_{number}_http---www.msn.com" for number in range(30)]
    source = data.read_source(f"{two_column(tmp_path / 'fcc', names)}@2.5", rescaled=False)
    assert source.weight == 2.5
    assert {each.name for each in source.training} | {each.name for each in source.validation} == set(names)
    assert not any(map(data.held_out, source.training)) and all(map(data.held_out, source.validation))
    assert source.validation
    generated = data.read_source("3g[0:20]", rescaled=False)
    assert len(generated.training) == 20 and generated.validation == ()


def test_bad_sources_are_named() -> None:
    with pytest.raises(data.DataError, match="3g@much: weight 'much'"):
        data.read_source("3g@much", False)
    with pytest.raises(data.DataError, match="weight '0'"):
        data.read_source("3g@0", False)
    with pytest.raises(TraceError):
        data.read_source("nowhere/at/all", False)


def test_drawn_traces_vary_and_rescaled_ones_have_means_in_range() -> None:
    source = data.read_source("lte[0:5]", rescaled=True)
    random = np.random.default_rng(1)
    library = data.draw_library([source], data.read_videos(["envivio"])[0], random)
    means = np.array([trace.mean_mbps for trace in library.traces])
    assert len(library.traces) == data.DRAWN_TRACES
    assert len(set(means)) == len(means)
    low, high = data.RESCALED_MBPS
    assert low < np.median(means) < high and means.min() > low / 4 and means.max() < high * 4


def test_a_trace_that_runs_backwards_holds_the_same_in_the_other_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(data, "REVERSED_SHARE", 1.0)
    monkeypatch.setattr(data, "JITTER", 0.0)
    trace = Trace("t", (0.0, 1.0, 5.0, 15.0), (9.0, 1.0, 2.0, 4.0), delay_ms=(9.0, 10.0, 20.0, 40.0))
    backwards = data._varied(data.TraceSource("t", 1.0, False, (trace,), ()), np.random.default_rng(0))
    assert backwards.time_s == (0.0, 10.0, 14.0, 15.0)
    assert backwards.rate_mbps[1:] == (4.0, 2.0, 1.0)
    assert backwards.delay_ms is not None and backwards.delay_ms[1:] == (40.0, 20.0, 10.0)
    assert backwards.loss_pct is None


def command(out: Path, traces: Path, *more: str) -> list[str]:
    return [
        "train", "--traces", f"{traces}@2", "3g[0:6]", "--rescaled", "lte[0:4]", "--sessions", "8",
        "--rounds", "2", "--ppo-steps", "1900", "--seed", "7", "--out", str(out), *more,
    ]  # fmt: skip


def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from policies.hindsight import train

    folder = two_column(tmp_path / "fcc", [f"trace_{number}_http---www.msn.com" for number in range(12)])
    assert main(command(tmp_path / "whole", folder, "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["seed"] == 7 and np.isfinite(report["best"])

    improve, calls = train.improve, []

    def killed(*args: Any) -> dict[str, float]:
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return improve(*args)

    monkeypatch.setattr(train, "improve", killed)
    assert main(command(tmp_path / "cut", folder)) == 130
    assert "goes on from there" in capsys.readouterr().err
    monkeypatch.setattr(train, "improve", improve)
    assert main(command(tmp_path / "cut", folder)) == 0
    assert "going on from round 2, iteration 0" in capsys.readouterr().err
    whole, cut = (torch.load(tmp_path / name / train.CHECKPOINT) for name in ("whole", "cut"))
    for name, tensor in whole["average"].items():
        assert torch.equal(tensor, cut["average"][name]), name
    assert (
        whole["decisions"] >= 1900 and whole["iteration"] == cut["iteration"] > train.HindsightSettings.frozen
    )
    moved = [not torch.equal(whole["average"][name], whole["actor"][name]) for name in whole["actor"]]
    assert any(moved), "PPO has moved the actor away from its average"


def test_another_runs_checkpoint_and_no_checkpoint_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--traces", "3g[0:6]", "--sessions", "2", "--rounds", "1", "--ppo-steps", "94"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "hindsight.safetensors").exists(), "nothing is held out: the last is written"
    assert main([*words, "--seed", "2", "--out", str(tmp_path / "out")]) == 2
    assert "a run with other settings" in capsys.readouterr().err
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "checkpoint.pt").write_bytes(b"cut off")
    assert main([*words, "--out", str(tmp_path / "bad")]) == 2
    assert "no checkpoint" in capsys.readouterr().err
    assert main(["train", "--out", str(tmp_path / "out")]) == 2
    assert "nothing to learn from" in capsys.readouterr().err


def test_all_sorts_of_sessions_teach_alike() -> None:
    from policies.hindsight.ppo import Played, evened

    live = torch.tensor([[True, True, True, True], [True, True, False, True]])
    nothing = torch.zeros(7)
    played = Played(
        nothing,
        nothing,
        nothing,
        nothing,
        nothing,
        live,
        live.float(),
        torch.ones(4),
        torch.tensor([0, 0, 1, 1]),
    )
    gains = torch.tensor([1.0, 2.0, 300.0, 100.0, 3.0, 4.0, 200.0])
    found = evened(gains, torch.zeros(7), played)
    usual = torch.tensor([0, 1, 4, 5])
    other = torch.tensor([2, 3, 6])
    for rows in (usual, other):
        assert float(found[rows].mean()) == pytest.approx(0.0, abs=1e-5)
        assert float(found[rows].std()) == pytest.approx(1.0, rel=1e-4)
    lost = torch.zeros(7)
    lost[0] = -5000.0
    assert abs(float(evened(gains, lost, played)[0] + found.mean())) < 3.0


def test_what_lies_ahead_counts_by_the_seconds_that_it_is_away() -> None:
    from policies.hindsight.ppo import Played, gains_of

    live = torch.tensor([[True, True], [True, True], [True, False]])
    rewards = torch.tensor([[1.0, 1.0], [2.0, 2.0], [4.0, 0.0]])
    nothing = torch.zeros(5)
    played = Played(
        nothing, nothing, nothing, nothing, nothing, live, rewards, torch.tensor([1.0, 0.25]), torch.zeros(2)
    )
    settings = HindsightSettings(gamma=0.5, trace_decay=1.0)
    gains, returns = gains_of(played, torch.zeros(5), settings)
    quarter = 0.5**0.25
    assert gains.tolist() == pytest.approx([1 + 0.5 * (2 + 0.5 * 4), 1 + quarter * 2, 4.0, 2.0, 4.0])
    assert returns.tolist() == gains.tolist()


def test_a_longer_stall_stays_worse_in_training() -> None:
    from policies.hindsight.seen import softened

    rewards = np.array([4.3, 0.0, -29.9, -30.0, -30.1, -100.0, -1000.0, -1001.0])
    soft = softened(rewards)
    assert soft[:4].tolist() == rewards[:4].tolist()
    assert (np.diff(soft) < 0).all()
    assert soft[4] == pytest.approx(-30.1, abs=1e-3) and soft[-1] > -150
