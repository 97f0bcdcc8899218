"""The shipped network: no torch, the same in a batch and alone, and better than RobustMPC."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from safetensors.numpy import save_file

from player.qoe import QoE
from player.registry import PolicyError, load_policy
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from policies.hindsight.features import WIDTH
from policies.hindsight.net import ValueNet, ValueNetError, forward, write_net
from policies.hindsight.policy import WEIGHTS, BatchHindsight, Hindsight
from policies.hindsight.validate import play
from policies.rules.batch_mpc import BatchMPC
from traces.families.catalogue import resolve_many
from traces.trace import Trace

LARGEST_BYTES = 3_000_000
UNSEEN = {"fcc": "fcc[400:450]", "3g": "3g[400:450]", "4g": "4g[400:425]", "lte": "lte[400:425]"}
"""Members that the shipped weights have not learned from."""


def test_decisions_alone_are_those_of_the_batch() -> None:
    traces, video = resolve_many(UNSEEN["3g"])[:4], load_video("envivio")
    sessions = Sessions(Library(traces, [video]), Setup.of(4, trace=range(4)), first_level=0)
    batch = BatchHindsight(sessions)
    decided = []
    while not sessions.done.all():
        decided.append(batch.select())
        sessions.step(decided[-1])
    for trace, levels in zip(traces, np.transpose(decided), strict=True):
        rows, _ = simulate(video, trace, Hindsight(), seed=0, qoe=QoE(), link=PublishedLink())
        assert [row.level for row in rows[1:]] == levels.tolist()
        assert all(row.reason for row in rows)


@pytest.mark.parametrize(("family", "at_least"), [("fcc", 0.04), ("3g", 0.04), ("4g", 0.02), ("lte", 0.0)])
def test_it_beats_robustmpc_on_traces_that_it_has_not_seen(family: str, at_least: float) -> None:
    traces = resolve_many(UNSEEN[family])
    library = Library(traces, [load_video("envivio")])
    means = []
    for make in (BatchMPC, BatchHindsight):
        sessions = Sessions(library, Setup.of(len(traces), trace=range(len(traces))), first_level=0)
        means.append(play(sessions, make(sessions)).mean())
    assert means[1] - means[0] > at_least


def test_streaming_needs_no_torch() -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from player.registry import load_policy\n"
        "from player.simulated.session import simulate\n"
        "from player.simulated.link_published import PublishedLink\n"
        "from player.qoe import QoE\n"
        "from player.video.built_in import load_video\n"
        "from traces.families.catalogue import resolve\n"
        "policy = load_policy('hindsight').policy\n"
        "video, trace, link = load_video('envivio'), resolve('4g/3'), PublishedLink()\n"
        "rows, _ = simulate(video, trace, policy, seed=0, qoe=QoE(), link=link)\n"
        "print(len(rows), {row.by for row in rows})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "48" and "fallback" not in done.stdout


def test_the_weights_are_small_and_named_by_their_digest() -> None:
    assert WEIGHTS.stat().st_size < LARGEST_BYTES
    assert load_policy("hindsight").weights_sha256 == ValueNet.read(WEIGHTS).sha256 != ""


def small_member(outputs: int = 6, inputs: int = WIDTH) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    random = np.random.default_rng(inputs)
    return (
        (random.normal(size=(3, inputs)).astype(np.float32), np.ones(3, np.float32)),
        (random.normal(size=(outputs, 3)).astype(np.float32), np.zeros(outputs, np.float32)),
    )


def test_members_are_averaged_and_come_back_from_a_file(tmp_path: Path) -> None:
    first, second = small_member(), tuple((-weight, bias) for weight, bias in small_member())
    write_net(tmp_path / "two", [first, second], {"seed": "3"})
    net = ValueNet.read(tmp_path / "two")
    vectors = np.random.default_rng(1).normal(size=(5, WIDTH)).astype(np.float32)
    wanted = (forward(first, vectors) + forward(second, vectors)) / 2
    assert len(net.members) == 2
    np.testing.assert_allclose(net.values(vectors), wanted, rtol=2e-2, atol=2e-2)


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueNetError, match="nothing: No such file"):
        ValueNet.read(tmp_path / "nothing")
    (tmp_path / "text").write_text("no tensors here, only words")
    with pytest.raises(ValueNetError, match="no safetensors file"):
        ValueNet.read(tmp_path / "text")
    write_net(tmp_path / "narrow", [small_member(inputs=9)], {})
    with pytest.raises(ValueNetError, match=r"layer 0\.0 of shape \(3, 9\) takes no"):
        ValueNet.read(tmp_path / "narrow")
    write_net(tmp_path / "short", [small_member(outputs=2)], {})
    with pytest.raises(ValueNetError, match="ends in 2 outputs"):
        ValueNet.read(tmp_path / "short")
    save_file({"genet.weight": np.zeros(3, np.float32)}, tmp_path / "none")
    with pytest.raises(ValueNetError, match="not hindsight's weights"):
        ValueNet.read(tmp_path / "none")
    with pytest.raises(PolicyError, match="No such file"):
        load_policy(f"hindsight:{tmp_path / 'nothing'}")


def test_a_video_of_another_ladder_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"uhd: ladder .* trained for"):
        Hindsight().reset(load_video("uhd"), 0, QoE())


class Greedy:
    """A network that always wants the highest level."""

    sha256 = ""

    def values(self, vectors: np.ndarray) -> np.ndarray:
        return np.tile(np.arange(6, dtype=np.float32), (len(vectors), 1))


def test_no_network_takes_a_level_that_would_stall_for_minutes() -> None:
    trace = Trace("slow", (0.0, 10.0), (0.1, 0.1))
    sessions = Sessions(Library([trace], [load_video("envivio")]), Setup.of(1), first_level=0)
    batch = BatchHindsight(sessions, cast(ValueNet, Greedy()))
    while not sessions.done.all():
        levels = batch.select()
        assert levels[0] == 0
        sessions.step(levels)
    alone = Hindsight()
    alone._net = cast(ValueNet, Greedy())
    rows, _ = simulate(load_video("envivio"), trace, alone, seed=0, qoe=QoE(), link=PublishedLink())
    assert {row.level for row in rows} == {0}
    assert rows[5].reason == "the others would stall for long"
