"""How GENET is trained: the network in torch, the mix, the search, resume. Tiny runs only."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.policies import ActorCriticPolicy

from player.qoe import QoE
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from policies.genet import future, inputs, train
from policies.genet.__main__ import main
from policies.genet.curriculum import gap, search
from policies.genet.data import group, held_out, load
from policies.genet.environment import CHOICES, SPACE, Environment, make_trace, uniform, video_index, videos
from policies.genet.mix import TRACE_SHARE, PromotedMix
from policies.genet.net import SHAPES, Actor, checked, read
from policies.genet.score import by_baseline, over_traces
from policies.genet.train import CHECKPOINT, WEIGHTS, GenetRun, GenetSettings, RunError
from policies.genet.train_env import KNEE, REWARD_UNIT, STEPS, TrainEnv, reward
from policies.genet.train_net import (
    POLICY_KWARGS,
    ActorCritic,
    action_space,
    actor_of,
    observation_space,
    scores,
)
from policies.rules.batch_mpc import BatchMPC
from policies.rules.bba import BBA
from tests.policies.genet.test_policy import random_actor
from traces.families.catalogue import resolve_many
from traces.trace import Trace

TINY = GenetSettings(iterations=2, sessions=8, every=1, trials=1, members=2, warm_start=False)
ENVIRONMENT = Environment(2.0, 0.25, 8.0, 80.0, 60.0, 4.0, "envivio")


def new_policy(seed: int) -> ActorCriticPolicy:
    torch.manual_seed(seed)
    return ActorCritic(observation_space(), action_space(), lambda _: 1e-3, **POLICY_KWARGS)


def constant_actor(level: int) -> Actor:
    """Always takes one level."""
    tensors = {key: np.zeros(shape, np.float32) for key, shape in SHAPES.items()}
    tensors["levels.bias"][level] = 1.0
    return checked(tensors, "constant")


def test_the_numpy_forward_is_the_torch_forward() -> None:
    policy = new_policy(1)
    vectors = np.random.default_rng(0).normal(0.5, 1.0, (500, inputs.WIDTH)).astype(np.float32)
    with torch.no_grad():
        wanted = scores(policy, torch.from_numpy(vectors)).numpy()
        seen = np.concatenate((vectors, np.ones((500, future.WIDTH), np.float32)), axis=1)
        chances = policy.get_distribution(torch.from_numpy(seen)).distribution.logits.numpy()
    found = actor_of(policy).scores(vectors)
    assert found == pytest.approx(wanted, abs=1e-5)
    assert found - found.mean(axis=1, keepdims=True) == pytest.approx(
        chances - chances.mean(axis=1, keepdims=True), abs=1e-5
    )
    assert wanted.std() > 1e-3


def test_the_critic_sees_the_future_and_the_actor_does_not() -> None:
    policy = new_policy(2)
    vectors = torch.ones((2, inputs.WIDTH + future.WIDTH))
    vectors[1, inputs.WIDTH :] = 3.0
    with torch.no_grad():
        values, logits = policy.predict_values(vectors), policy.get_distribution(vectors).distribution.logits
    assert values[0] != values[1]
    assert torch.equal(logits[0], logits[1])


@settings(max_examples=20, deadline=None)
@given(
    rates=st.lists(st.floats(0.0, 20.0), min_size=2, max_size=40),
    gaps=st.lists(st.floats(0.3, 7.0), min_size=40, max_size=40),
    steps=st.integers(0, 20),
)
def test_the_future_is_what_the_trace_carries(rates: list[float], gaps: list[float], steps: int) -> None:
    rates[-1] = max(rates[-1], 1.0)
    times = np.cumsum([0.0, *gaps[: len(rates)]])
    trace = Trace("random", tuple(map(float, times)), (rates[0], *rates))
    sessions = Sessions(Library([trace], [load_video("envivio")]), Setup.of(1))
    for _ in range(steps):
        sessions.step([0])
    at_s = float(sessions.state.at_s[0])
    edges = at_s + future.WINDOW_S * np.arange(future.WINDOWS + 1)
    carried = np.diff([trace.megabits_until(float(edge)) for edge in edges]) / future.WINDOW_S
    seen = future.of_sessions(sessions)[0]
    assert seen[: future.WINDOWS] == pytest.approx(np.log1p(10 * carried) / 2, abs=1e-4)
    assert seen[-2:] == pytest.approx([0.8, 1.0])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_environments_and_their_traces_keep_to_their_ranges(seed: int) -> None:
    random = np.random.default_rng(seed)
    environment = uniform(random)
    for name, span in SPACE.items():
        assert span.low <= getattr(environment, name) <= span.high * (1 + 1e-12)
    assert all(getattr(environment, name) in options for name, options in CHOICES.items())
    assert videos()[video_index(environment)].chunk_s == environment.chunk_s
    assert videos()[video_index(environment)].name.startswith(environment.kind)
    trace = make_trace(environment, random, "made")
    low, top = environment.top_mbps * environment.low_share, environment.top_mbps
    assert min(trace.rate_mbps) >= 0.9 * low and max(trace.rate_mbps) <= 1.1 * top


def test_slower_changes_make_smoother_traces() -> None:
    def steps(change_s: float) -> float:
        made = make_trace(replace(ENVIRONMENT, change_s=change_s), np.random.default_rng(0), "made")
        return float(np.abs(np.diff(made.rate_mbps)).mean())

    assert steps(60.0) < 0.5 * steps(1.0)


def test_a_promoted_environment_takes_its_weight_of_the_mix() -> None:
    mix = PromotedMix(resolve_many("3g[0:3]"), seed=5, uniform_environments=20)
    found = replace(ENVIRONMENT, rtt_ms=333.0)
    draw = mix.draw(np.random.default_rng(1), 20_000)
    assert not (draw.rtt_ms == 333.0).any()
    assert (draw.trace < 3).mean() == pytest.approx(TRACE_SHARE, abs=0.02)
    mix.promote(found)
    mix.promote(replace(found, rtt_ms=222.0))
    rtt_ms = mix.draw(np.random.default_rng(1), 20_000).rtt_ms
    assert (rtt_ms == 222.0).mean() == pytest.approx((1 - TRACE_SHARE) * 0.3, abs=0.02)
    assert (rtt_ms == 333.0).mean() == pytest.approx((1 - TRACE_SHARE) * 0.3 * 0.7, abs=0.02)


def test_a_mix_made_anew_from_what_was_promoted_is_the_same() -> None:
    grown = PromotedMix(resolve_many("3g[0:3]"), seed=5, uniform_environments=20)
    grown.promote(ENVIRONMENT)
    anew = PromotedMix(resolve_many("3g[0:3]"), 5, [ENVIRONMENT], uniform_environments=20)
    assert np.array_equal(grown.library.packed.bytes_per_s, anew.library.packed.bytes_per_s)
    assert np.array_equal(*(mix.draw(np.random.default_rng(0), 500).trace for mix in (grown, anew)))


def test_the_reward_is_what_a_chunk_gains_on_robustmpc() -> None:
    env = TrainEnv(PromotedMix(resolve_many("3g[0:3]"), 5, uniform_environments=20), 32)

    def streamed(choose: Callable[[], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        env.begin(np.random.default_rng(0))
        env.reset()
        given, qoe = [], []
        for step in range(STEPS):
            env.step_async(choose())
            _, rewards, done, infos = env.step_wait()
            assert done.all() == (step == STEPS - 1) and ("terminal_observation" in infos[0]) == done.all()
            given.append(rewards)
            qoe.append(env.sessions.state.reward.copy())
        return np.array(given), np.array(qoe)

    as_robustmpc, its_qoe = streamed(lambda: BatchMPC(env.sessions).select())
    assert not as_robustmpc.any()
    top, top_qoe = streamed(lambda: np.full(32, 5))
    gained = top_qoe - its_qoe
    mild = np.abs(gained) <= KNEE
    assert top[mild] == pytest.approx(gained[mild] / REWARD_UNIT, abs=1e-5)
    assert not mild.all() and top.mean() < 0.0


def test_a_longer_stall_is_worse_but_not_boundlessly() -> None:
    qoe = np.array([4.3, -KNEE, -KNEE - 0.01, -100.0, -1000.0])
    given = REWARD_UNIT * reward(qoe)
    assert given[:3] == pytest.approx(qoe[:3], rel=1e-4)
    assert -30.0 < given[3] < -KNEE and -50.0 < given[4] < given[3]
    assert reward(-qoe) == pytest.approx(-reward(qoe))


def test_the_batch_bba_is_bba() -> None:
    traces, video = resolve_many("4g[0:5]"), load_video("envivio")
    means = over_traces(traces, video, by_baseline("bba"))
    for trace, mean in zip(traces, means, strict=True):
        rows, _ = simulate(video, trace, BBA(), seed=0, qoe=QoE(), link=PublishedLink())
        values = QoE().per_chunk(
            [row.level for row in rows], [row.stall_s for row in rows], video.ladder_kbps
        )
        assert mean == pytest.approx(sum(values) / len(values), abs=1e-9)


def test_the_gap_is_large_for_a_policy_that_is_worse_than_the_baseline() -> None:
    assert gap(constant_actor(5), ENVIRONMENT, "robustmpc", seed=1) > 1.0
    assert gap(constant_actor(5), replace(ENVIRONMENT, top_mbps=20.0, low_share=0.9), "bba", seed=1) < 0.2


def test_the_search_returns_the_largest_gap_it_met_and_repeats_itself() -> None:
    actor = random_actor(1)
    found = search(actor, "bba", trials=5, seed=3)
    assert found == search(actor, "bba", trials=5, seed=3)
    seeds = range(3, 8)
    assert max(gap(actor, found.environment, "bba", seed) for seed in seeds) >= found.gap
    assert found.gap in [gap(actor, found.environment, "bba", seed) for seed in seeds]


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "FROZEN", 0)
    lines: list[str] = []
    whole = GenetRun(TINY, tmp_path / "whole", lines.append).carry_out()
    GenetRun(TINY, tmp_path / "parts", lines.append).carry_out(until=1)
    parts = GenetRun(TINY, tmp_path / "parts", lines.append).carry_out()
    assert any("goes on at iteration 1" in line for line in lines)
    assert [found["iteration"] for found in whole.found] == [0, 1]  # before the stop and after it
    assert whole.scores == parts.scores and whole.found == parts.found
    ends = [
        torch.load(tmp_path / name / CHECKPOINT, weights_only=True)["policy"] for name in ("whole", "parts")
    ]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
    about = read(tmp_path / "whole" / WEIGHTS)
    assert set(about.tensors) == set(SHAPES)


def test_the_actor_rests_while_the_critic_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "FROZEN", 2)

    def saved(until: int) -> dict[str, torch.Tensor]:
        GenetRun(replace(TINY, udr=True, iterations=3), tmp_path, lambda _: None).carry_out(until=until)
        content: dict[str, torch.Tensor] = torch.load(tmp_path / CHECKPOINT, weights_only=True)["policy"]
        return content

    first, rested, moved = saved(1), saved(2), saved(3)
    actor, critic = "action_net.weight", "value_net.weight"
    assert torch.equal(first[actor], rested[actor]) and not torch.equal(rested[actor], moved[actor])
    assert not torch.equal(first[critic], rested[critic])


def test_udr_promotes_nothing_and_another_run_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(TINY, udr=True, iterations=1)
    monkeypatch.setattr(train, "FROZEN", 0)
    assert GenetRun(run, tmp_path, lambda _: None).carry_out().found == []
    with pytest.raises(RunError, match="is of a run with seed 1, asked for 2; name another --out"):
        GenetRun(replace(run, seed=2), tmp_path, lambda _: None).carry_out()


def test_the_warm_start_brings_the_actor_near_robustmpc(tmp_path: Path) -> None:
    lines: list[str] = []
    settings = replace(TINY, warm_start=True, members=3)
    run = GenetRun(settings, tmp_path, lines.append)
    run.carry_out(until=0)
    share = int(next(line for line in lines if line.startswith("warm start")).split("%")[0].split()[-1])
    assert share > 50


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("trace_10322_http---edition.cnn.com", "line 10322"),
        ("test_fcc_trace_10322_http---www.msn.com_0", "line 10322"),
        ("norway_bus_13", "norway_bus_10…"),
        ("norway_bus_14", "norway_bus_10…"),
        ("report.0007.log", "report.5…"),
        ("cafe", "cafe"),
    ],
)
def test_logs_of_one_line_or_trip_are_one_group(name: str, wanted: str) -> None:
    assert group(name) == wanted


def test_own_logs_are_split_by_group_and_never_shared(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"trip_{number}").write_text("0 1\n10 2\n20 3\n")
    data = load([str(tmp_path)], members=4)
    own = {trace.name for trace in data.training if trace.name.startswith("trip")}
    kept = {trace.name for trace in data.validation[str(tmp_path)]}
    assert own and kept and not own & kept and len(own | kept) == 60
    assert not {group(name) for name in own} & {group(name) for name in kept}
    assert all(held_out(name) for name in kept)
    assert set(data.validation) == {"fcc", "3g", "4g", str(tmp_path)}


def test_the_command_trains_and_prints_every_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "train --seeds 1,2 --iterations 1 --sessions 8 --trials 1 --members 2 --no-warm-start --json"
    assert main([*words.split(), "--out", str(tmp_path)]) == 0
    out = json.loads(capsys.readouterr().out)
    assert [run["seed"] for run in out["runs"]] == [1, 2]
    assert out["mean"] == pytest.approx(np.mean([run["score"] for run in out["runs"]]))
    assert main([*words.split()[:-1], "--out", str(tmp_path)]) == 0
    assert "2 seeds:" in capsys.readouterr().out
    weights = str(tmp_path / "genet-seed1" / WEIGHTS)
    assert main(["score", "--traces", "3g[0:4]", "--weights", weights, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["traces"]["3g[0:4]"]
    assert rows["sessions"] == 4 and set(rows["policies"]) == {weights, "robustmpc", "bba"}
    assert rows["policies"][weights]["less_robustmpc"] == pytest.approx(
        rows["policies"][weights]["qoe"] - rows["policies"]["robustmpc"]["qoe"]
    )


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("score --traces 3g[0:2] --weights nowhere", "nowhere: cannot be read as safetensors"),
        ("score --traces no-such-place", "no-such-place"),
        ("score --traces 3g[0:2] --video uhd", "its ladder is not 6 levels up to 4300"),
        ("train --iterations 1 --traces no-such-place", "no-such-place"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    words: str,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    error = capsys.readouterr().err
    assert fault in error and error.count("\n") == 1


@pytest.mark.parametrize("words", ["train --seeds 1,x", "train --seed 1 --seeds 2", "train --iterations 0"])
def test_a_command_that_makes_no_sense_is_refused(words: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words.split())
    assert stopped.value.code == 2
