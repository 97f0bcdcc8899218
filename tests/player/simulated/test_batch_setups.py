"""Sessions of one batch that differ in all that may differ, each beside the simulated player."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from player.defaults import MU
from player.observation import Observation
from player.qoe import QoE
from player.simulated.batch.features import Features
from player.simulated.batch.gym_facts import chunk_facts
from player.simulated.batch.library import HD, KINDS, LINEAR, LOG, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from policies.rules.batch_mpc import BatchMPC
from policies.rules.mpc import RobustMPC
from tests.support.batch_worlds import Script
from traces.totals import running_total
from traces.trace import Trace

PUBLISHED_KBPS = (300, 750, 1200, 1850, 2850, 4300)
SESSIONS = 60
MOST_CHUNKS = 40
FLAT = Trace("flat", (0.0, 10.0, 20.0), (8.0, 8.0, 4.0))


def some_trace(dice: np.random.Generator, delayed: bool) -> Trace:
    """Steps of 10 ms to 8 s, some of them dark."""
    points = int(dice.integers(3, 200))
    times = np.cumsum(np.r_[0.0, np.exp(dice.uniform(np.log(0.01), np.log(8.0), points - 1))])
    rates = np.exp(dice.uniform(np.log(0.05), np.log(60.0), points)) * (dice.random(points) > 0.2)
    rates[-1] = max(rates[-1], 0.5)
    delays = tuple(dice.uniform(0.0, 300.0, points).tolist()) if delayed else None
    return Trace("some", tuple(times.tolist()), tuple(rates.tolist()), delay_ms=delays)


def some_video(dice: np.random.Generator, ladder_kbps: tuple[int, ...] | None = None) -> Video:
    """2 to 12 levels up to 1 to 60 Mbit/s, 5 to 40 chunks of 1 to 10 s."""
    if ladder_kbps is None:
        top = np.exp(dice.uniform(0.0, np.log(60.0))) * 1000.0
        drawn = np.unique((top * np.exp(-dice.uniform(0.0, 4.0, int(dice.integers(1, 12))))).astype(int))
        ladder_kbps = tuple(sorted({*map(int, drawn + 1), int(top) + 2}))
    chunk_s = float(dice.choice([1.0, 1.7, 2.0, 4.0, 10.0]))
    chunks = int(dice.integers(5, MOST_CHUNKS + 1))
    sizes = np.array(ladder_kbps) * 125.0 * chunk_s * np.exp(0.4 * dice.standard_normal((chunks, 1)))
    return Video("some", chunk_s, ladder_kbps, tuple(tuple(map(int, row + 1)) for row in sizes))


def some_library(dice: np.random.Generator, qoe: QoE | None = None) -> Library:
    return Library(
        [some_trace(dice, delayed=place % 3 == 0) for place in range(8)],
        [*(some_video(dice) for _ in range(7)), some_video(dice, PUBLISHED_KBPS)],
        qoe,
    )


def some_setup(dice: np.random.Generator, library: Library) -> Setup:
    """Everything that a setup may say, of so many sessions; half the stall weights are left to the ladder."""
    trace = dice.integers(len(library.traces), size=SESSIONS)
    video = dice.integers(len(library.videos), size=SESSIONS)
    kind = np.where(video == 7, dice.integers(len(KINDS), size=SESSIONS), dice.integers(2, size=SESSIONS))
    drawn = np.exp(dice.uniform(np.log(0.3), np.log(100.0), SESSIONS))
    return Setup.of(
        SESSIONS,
        trace=trace,
        start_index=dice.integers(1, library.points()[trace]),
        video=video,
        seed=dice.integers(2**40, size=SESSIONS),
        rtt_ms=np.exp(dice.uniform(np.log(5.0), np.log(400.0), SESSIONS)),
        cap_ms=dice.uniform(10_000.0, 120_000.0, SESSIONS),
        kind=kind,
        mu=np.where(dice.random(SESSIONS) < 0.5, drawn, library.packed.mu[kind, video]),
        smooth=dice.choice([0.0, 1.0, 2.5], SESSIONS),
        chunks=1 + (dice.random(SESSIONS) * library.packed.chunks[video]).astype(int),
    )


@pytest.mark.parametrize("seed", range(6))
def test_each_session_is_the_simulated_players_to_the_last_bit(seed: int) -> None:
    dice = np.random.default_rng(seed)
    library = some_library(dice)
    setup, noise = some_setup(dice, library), bool(seed % 2)
    plans = (dice.random((SESSIONS, MOST_CHUNKS)) * library.packed.levels[setup.video][:, None]).astype(int)
    batch = Sessions(library, setup, chunks=library.most_chunks, first_level=None, noise=noise)
    features = Features(library.levels, library.most_chunks, history=4, ahead=8)
    vectors, rewards, sums, ended = [], [], np.zeros(SESSIONS), np.zeros(SESSIONS, int)
    while not batch.done.all():
        vectors.append(features.fill(batch))
        ended += ~batch.done
        before = batch.state.level.copy()
        over = batch.done
        batch.step(plans[np.arange(SESSIONS), np.minimum(batch.state.chunk, MOST_CHUNKS - 1)])
        rewards.append(batch.state.reward.copy())
        facts = chunk_facts(batch, before)
        parts = facts["quality"] - facts["stall"] - facts["smoothness"]
        counted = ~over & (batch.state.chunk > 1)
        assert parts[counted].tolist() == batch.state.reward[counted].tolist()
        sums += batch.state.reward
    assert ended.tolist() == setup.chunks.tolist()
    state = batch.state
    for session in range(SESSIONS):
        video, chunks = library.videos[setup.video[session]], int(setup.chunks[session])
        script, qoe = Script(plans[session].tolist()), batch.qoe_of(session)
        assert qoe == QoE(KINDS[setup.kind[session]], float(setup.mu[session]), float(setup.smooth[session]))
        rows, end = simulate(
            video,
            library.traces[setup.trace[session]],
            script,
            seed=int(setup.seed[session]),
            qoe=qoe,
            link=PublishedLink(noise, float(setup.rtt_ms[session])),
            start_index=int(setup.start_index[session]),
            chunks=chunks,
            first_level=None,
            cap_ms=float(setup.cap_ms[session]),
        )
        levels, stalls_s = [row.level for row in rows], [row.stall_s for row in rows]
        values = qoe.per_chunk(levels, stalls_s, video.ladder_kbps)
        assert [step[session] for step in rewards[:chunks]] == [0.0, *values]
        assert sums[session] == running_total(values)
        past = {
            name: getattr(state, name)[session, :chunks].tolist() for name in state._fields if "past_" in name
        }
        assert past["past_mbps"] == [row.throughput_mbps for row in rows]
        assert past["past_s"] == [row.download_s for row in rows]
        assert past["past_rtt_ms"] == [row.rtt_ms for row in rows]
        assert past["past_level"] == levels
        assert state.startup_ms[session] / 1000.0 == end.startup_s
        assert state.stalled_ms[session] / 1000.0 == end.stall_s
        assert (state.played_ms[session] + state.buffer_ms[session]) / 1000.0 == end.played_s
        assert (state.elapsed_ms[session] + state.buffer_ms[session]) / 1000.0 == end.elapsed_s
        for vector, observation in zip(vectors[:chunks], script.seen, strict=True):
            _is_seen(vector[session], features, observation)
            assert observation.buffer_cap_s == setup.cap_ms[session] / 1000.0


def _is_seen(vector: np.ndarray, features: Features, observation: Observation) -> None:
    assert vector.tolist() == features.of(observation).tolist()


def test_robustmpc_hears_each_sessions_own_weights() -> None:
    dice = np.random.default_rng(11)
    library = some_library(dice)
    setup = some_setup(dice, library)
    batch = Sessions(library, setup, chunks=library.most_chunks)
    mpc = BatchMPC(batch, horizon=3)
    chosen = [batch.state.level.copy()]
    while not batch.done.all():
        chosen.append(mpc.select())
        batch.step(chosen[-1])
    for session in range(SESSIONS):
        rows, _ = simulate(
            library.videos[setup.video[session]],
            library.traces[setup.trace[session]],
            RobustMPC(horizon=3),
            seed=0,
            qoe=batch.qoe_of(session),
            link=PublishedLink(rtt_ms=float(setup.rtt_ms[session])),
            start_index=int(setup.start_index[session]),
            chunks=int(setup.chunks[session]),
            cap_ms=float(setup.cap_ms[session]),
        )
        assert [row.level for row in rows] == [each[session] for each in chosen[: len(rows)]], session


def test_what_a_setup_leaves_open_the_library_says() -> None:
    published = Video("published", 4.0, PUBLISHED_KBPS, (tuple(each * 500 for each in PUBLISHED_KBPS),) * 9)
    fast = Video("fast", 2.0, (1000, 40_000), ((250_000, 10_000_000),) * 20)
    either = Setup.of(4, video=[0, 1, 0, 1], kind=[LINEAR, LINEAR, LOG, LOG], chunks=[9, 20, 1, 2])
    own = Sessions(Library([FLAT], [published, fast]), either, chunks=20)
    assert own.state.mu.tolist() == [4.3, 40.0, 2.66, 3.69]
    assert own.state.smooth.tolist() == [1.0] * 4
    assert own.state.chunks.tolist() == [9, 20, 1, 2]
    assert own.done.tolist() == [False, False, True, False]
    table = Sessions(Library([FLAT], [published]), Setup.of(1, kind=HD), chunks=9)
    assert table.qoe_of(0) == QoE("hd", MU["hd"])
    given = Library([FLAT], [published, fast], QoE("log", 7.0, 0.5))
    assert [Sessions(given, Setup.of(2, video=[0, 1]), chunks=9).qoe_of(each) for each in (0, 1)] == [
        QoE("log", 7.0, 0.5)
    ] * 2
    said = Sessions(given, Setup.of(1, kind=LINEAR, mu=0.0, smooth=0.0), chunks=9)
    assert said.qoe_of(0) == QoE("linear", 0.0, 0.0)


def test_a_part_of_a_setup_leaves_open_what_the_whole_does() -> None:
    whole = Setup.of(3, rtt_ms=[10.0, 20.0, 30.0], chunks=[2, 3, 4])
    part = whole.part(slice(1, 3))
    assert (len(part), part.rtt_ms.tolist(), part.chunks.tolist()) == (2, [20.0, 30.0], [3, 4])
    assert Sessions(Library([FLAT], [some_video(np.random.default_rng(0))]), part, chunks=4).qoe_of(1).mu > 0


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        (lambda: Setup.of(2, kind=[0, 3]), "session 1 has kind 3; expected 0 to 2"),
        (lambda: Setup.of(2, kind=[0, HD]), "session 1 has kind 2, hd, whose table does not know odd's"),
        (lambda: Setup.of(2, mu=[0.0, -1.0]), "setup: mu -1.0; must be 0 or more"),
        (lambda: Setup.of(1, mu=float("nan")), "session 0 has mu nan"),
        (lambda: Setup.of(1, smooth=float("inf")), "session 0 has smooth inf"),
        (lambda: Setup.of(2, chunks=[4, 8]), "session 1 has chunks 8; expected 1 to 7"),
        (lambda: Setup.of(1, chunks=0), "session 0 has chunks 0; expected 1 to 7"),
    ],
)
def test_what_no_session_can_be_is_named(setup: Callable[[], Setup], message: str) -> None:
    odd = Video("odd", 4.0, (100, 200), ((50_000, 100_000),) * 7)
    with pytest.raises(ValueError, match=message):
        Sessions(Library([FLAT], [odd]), setup(), chunks=7)
