"""Decima's net: numpy and torch agree, gradients flow, its choices are legal and repeat themselves."""

from __future__ import annotations

import numpy as np
import pytest

from player.jobs.features import graph_of, levels
from player.jobs.settings import ClusterSettings, JobsError
from player.jobs.simulated.episode import Episode
from player.jobs.simulated.playing import play_jobs
from policies.jobs.decima.graphs import joined
from policies.jobs.decima.net import chosen, count_scores, embedded, fresh_weights, stage_scores
from policies.jobs.decima.policy import WEIGHTS, Decima
from policies.jobs.decima.rollouts import play_together
from policies.jobs.rules import Fair
from traces.jobs.generator import member

torch = pytest.importorskip("torch")


def test_levels_are_longest_ways() -> None:
    edges = np.array([[0, 1], [1, 2], [0, 2], [3, 2]])
    assert levels(5, edges).tolist() == [2, 1, 0, 1, 0]


def test_it_has_the_published_size() -> None:
    assert sum(value.size for value in fresh_weights(0).values()) == 20_802


def test_torch_and_numpy_agree() -> None:
    from policies.jobs.decima.batch import Net, Step, batch_of

    weights = fresh_weights(3)
    episodes = [Episode(member(index, 12)) for index in range(3)]
    (rollout, *others) = play_together(weights, episodes, np.random.default_rng(0))
    steps: list[Step] = [*rollout.steps[:20], *others[0].steps[5:25]]
    logs, entropy = Net(weights)(batch_of(steps))
    graphs = joined([step.graph for step in steps])
    made = embedded(weights, graphs)
    scores = stage_scores(weights, graphs, made)
    stages = graphs.first_node + np.array([step.stage for step in steps])
    counts, rows = count_scores(weights, graphs, made, stages)
    for place, step in enumerate(steps):
        mine = graphs.of_node[graphs.ready] == place
        of_stage = scores[mine] - np.log(np.exp(scores[mine]).sum())
        of_count = counts[rows == place] - np.log(np.exp(counts[rows == place]).sum())
        stage = of_stage[graphs.ready[mine] == stages[place]][0]
        assert float(logs[place]) == pytest.approx(float(stage + of_count[step.count - 1]), abs=1e-4)
    assert (entropy >= 0).all() and float(entropy.detach().max()) > 1.0


def test_learning_raises_the_chance_of_what_a_rule_does() -> None:
    from policies.jobs.decima.batch import Net
    from policies.jobs.decima.imitate import imitate, steps_of
    from policies.jobs.rules import SquareRoot

    torch.manual_seed(0)
    steps = steps_of(SquareRoot(), [Episode(member(20, 10))])
    net = Net(fresh_weights(0))
    first = imitate(net, steps, 1)
    assert imitate(net, steps, 8) > first + 0.3
    weights = net.weights()
    assert all(np.isfinite(value).all() for value in weights.values())


def test_a_round_of_ppo_moves_the_net_a_little() -> None:
    from policies.jobs.decima.batch import Net
    from policies.jobs.decima.ppo import PPOSettings, advantages_of, improve, returns_of

    torch.manual_seed(0)
    weights = fresh_weights(1)
    begun = Episode(member(30, 8))
    group = play_together(weights, [begun.copy() for _ in range(3)], np.random.default_rng(1))
    whole = returns_of(group[0], 0.0)
    assert whole[0] == pytest.approx(-8 * group[0].mean_job_s)
    assert sum(float(part.mean()) for part in advantages_of(group, 5e-3)) == pytest.approx(0.0, abs=50.0)
    net = Net(weights)
    said = improve(net, torch.optim.Adam(net.parameters(), 3e-4), [group], PPOSettings())
    assert 0.0 <= said["kl"] < 0.1 and said["entropy"] > 0.0
    change = max(float(np.abs(after - weights[name]).max()) for name, after in net.weights().items())
    assert 0.0 < change < 0.05


def test_the_best_is_taken_without_a_generator() -> None:
    weights = fresh_weights(2)
    graphs = joined([graph_of(Episode(member(1, 5)).observation())])
    once, twice = (chosen(weights, graphs, None) for _ in range(2))
    assert (once[0], once[1]) == (twice[0], twice[1])
    counts = {int(chosen(weights, graphs, np.random.default_rng(seed))[1][0]) for seed in range(40)}
    assert len(counts) > 1


def test_the_median_of_executors_has_half_of_the_chance_on_either_side() -> None:
    weights = fresh_weights(2)
    graphs = joined([graph_of(Episode(member(index, 5)).observation()) for index in range(3)])
    stages, counts = chosen(weights, graphs, None, median=True)
    scores, rows = count_scores(weights, graphs, embedded(weights, graphs), graphs.first_node + stages)
    for graph in range(3):
        chances = np.exp(scores[rows == graph].astype(float))
        chances /= chances.sum()
        assert chances[: counts[graph] - 1].sum() < 0.5 <= chances[: counts[graph]].sum() + 1e-9


def test_the_shipped_weights_have_learned_the_rule() -> None:
    """A handful of short sequences that training has not seen; fair shares have far more."""
    job_s = {"decima": 0.0, "fair": 0.0}
    for index in range(9100, 9102):
        for name, policy in (("decima", Decima()), ("fair", Fair())):
            played = play_jobs(member(index, 25), ClusterSettings(), policy, 0)
            job_s[name] += float(np.mean(played.episode.job_times_s))
    assert job_s["decima"] < 0.98 * job_s["fair"]
    card = WEIGHTS.with_name("card.md").read_text(encoding="utf-8")
    assert f"SHA-256 `{Decima().weights_sha256[:12]}…`" in card
    with pytest.raises(JobsError, match="choice=worst"):
        Decima(choice="worst")
