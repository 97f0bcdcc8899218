"""The shipped network: no torch, any ladder, any mu, the same in a batch and alone, ahead of RobustMPC."""

from __future__ import annotations

import subprocess
import sys
from typing import cast

import numpy as np
import pytest

from player.qoe import QoE
from player.registry import PolicyError, load_policy
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from player.video.video import Video
from policies.hindsight.net import OptionNet
from policies.hindsight.policy import WEIGHTS, BatchHindsight, Hindsight
from policies.hindsight.validate import play, stall_ratio
from policies.rules.batch_mpc import BatchMPC
from policies.view.layout import MAX_LEVELS
from traces.families.catalogue import resolve_many
from traces.trace import Trace

LARGEST_BYTES = 2_000_000
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


def scores(traces: list[Trace], video: Video, **setup: float) -> tuple[float, float, list[float]]:
    """RobustMPC's mean QoE a chunk, `hindsight`'s, and the stall ratio of each in per cent."""
    library, means, stalls = Library(traces, [video]), [], []
    for make in (BatchMPC, BatchHindsight):
        sessions = Sessions(
            library,
            Setup.of(len(traces), trace=range(len(traces)), **setup),
            chunks=video.chunks,
            first_level=0,
        )
        means.append(float(play(sessions, make(sessions)).mean()))
        stalls.append(stall_ratio(sessions))
    return means[0], means[1], stalls


@pytest.mark.parametrize(("family", "at_least"), [("fcc", 0.04), ("3g", 0.04), ("4g", 0.02), ("lte", 0.0)])
def test_it_beats_robustmpc_on_traces_that_it_has_not_seen(family: str, at_least: float) -> None:
    robust, mine, _ = scores(resolve_many(UNSEEN[family]), load_video("envivio"))
    assert mine - robust > at_least


def test_it_hears_what_a_stall_costs() -> None:
    found = [
        scores(resolve_many(UNSEEN["3g"]), load_video("envivio"), mu=mu) for mu in (1.0, 4.3, 15.0, 43.0)
    ]
    stalled = [stalls[1] for _, _, stalls in found]
    assert stalled[1] < stalled[0] and max(stalled[2:]) < 0.5 * stalled[0]
    assert all(mine > robust for robust, mine, _ in found)


def any_ladder(ladder: tuple[int, ...], chunk_s: float, chunks: int) -> Video:
    like = np.asarray(load_video("envivio").sizes_bytes)[:, 3] / (1850 * 4 * 125.0)
    rows = (like[np.arange(chunks) % len(like), None] * np.array(ladder) * chunk_s * 125.0).astype(int)
    return Video("any", chunk_s, ladder, tuple(tuple(map(int, row)) for row in rows))


@pytest.mark.parametrize(
    ("ladder", "chunk_s"),
    [((300, 1200, 4300), 4.0), ((200, 350, 600, 900, 1300, 1800, 2400, 3100, 3900, 5000), 2.0)],
)
def test_other_ladders_are_played_and_well(ladder: tuple[int, ...], chunk_s: float) -> None:
    robust, mine, _ = scores(resolve_many(UNSEEN["3g"]), any_ladder(ladder, chunk_s, int(192 / chunk_s)))
    assert mine > robust


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
    assert load_policy("hindsight").weights_sha256 == OptionNet.read(WEIGHTS).sha256 != ""
    with pytest.raises(PolicyError, match="No such file"):
        load_policy("hindsight:/nowhere/at/all")


class Greedy:
    """A network that always wants the highest level."""

    sha256, caution = "", 1.0

    def values(self, vectors: np.ndarray) -> np.ndarray:
        return np.tile(np.arange(MAX_LEVELS, dtype=np.float32), (len(vectors), 1))


def test_no_network_takes_a_level_that_would_stall_for_minutes() -> None:
    trace = Trace("slow", (0.0, 10.0), (0.1, 0.1))
    sessions = Sessions(Library([trace], [load_video("envivio")]), Setup.of(1), first_level=0)
    batch = BatchHindsight(sessions, cast(OptionNet, Greedy()))
    while not sessions.done.all():
        levels = batch.select()
        assert levels[0] == 0
        sessions.step(levels)
    alone = Hindsight()
    alone._net = cast(OptionNet, Greedy())
    rows, _ = simulate(load_video("envivio"), trace, alone, seed=0, qoe=QoE(), link=PublishedLink())
    assert {row.level for row in rows} == {0}
    assert rows[5].reason == "the others would stall for long"
