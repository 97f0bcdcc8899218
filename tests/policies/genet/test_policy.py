"""`genet` and `udr` as they stream: the shipped weights, the inputs, the numpy forward pass."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.defaults import CHUNKS
from player.observation import Observation, PastChunk
from player.qoe import QoE
from player.registry import load_policy
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from player.video.video import Video
from policies.genet import inputs
from policies.genet.net import SHAPES, Actor, PensieveNetError, checked, packed, read
from policies.genet.policy import UDR, WEIGHTS, Genet
from policies.genet.score import by_actor, by_baseline, over_traces
from traces.families.catalogue import resolve_many
from traces.trace import Trace

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = {"genet": Genet, "udr": UDR}


def random_actor(seed: int) -> Actor:
    random = np.random.default_rng(seed)
    return checked(
        {key: random.normal(0.0, 0.2, shape).astype(np.float32) for key, shape in SHAPES.items()}, "random"
    )


def levels_streamed(policy: object, trace: Trace, video: Video) -> list[int]:
    rows, _ = simulate(video, trace, policy, seed=0, qoe=QoE(), link=PublishedLink())  # type: ignore[arg-type]
    return [row.level for row in rows]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_read_by_name_and_small(name: str) -> None:
    policy = load_policy(name)
    path = WEIGHTS / SHIPPED[name].shipped
    assert isinstance(policy.policy, SHIPPED[name])
    assert path.stat().st_size < 2_000_000


def test_genet_is_ahead_of_both_rules_on_members_that_no_training_saw() -> None:
    video, actor = load_video("envivio"), read(WEIGHTS / Genet.shipped)
    for family in ("fcc", "3g"):
        traces = resolve_many(f"{family}[5000:5100]")
        genet = over_traces(traces, video, by_actor(actor)).mean()
        assert genet > over_traces(traces, video, by_baseline("robustmpc")).mean()
        assert genet > over_traces(traces, video, by_baseline("bba")).mean() + 0.1


@settings(max_examples=10, deadline=None)
@given(member=st.integers(0, 10_000), seed=st.integers(0, 100))
def test_a_client_decides_as_the_batch_does(member: int, seed: int, tmp_path_factory: object) -> None:
    actor, video = random_actor(seed), load_video("envivio")
    trace = resolve_many(f"3g[{member}:{member + 1}]")[0]
    sessions = Sessions(Library([trace], [video]), Setup.of(1))
    batch = [0]
    while not sessions.done[0]:
        level = int(actor.best(inputs.of_sessions(sessions))[0])
        batch.append(level)
        sessions.step([level])
    policy = Genet()
    policy._actor = actor
    assert levels_streamed(policy, trace, video) == batch


def test_a_ladder_k_times_as_high_on_a_link_k_times_as_fast_looks_the_same() -> None:
    video = load_video("envivio")
    taller = Video(
        "taller",
        4.0,
        tuple(2 * kbps for kbps in video.ladder_kbps),
        tuple(tuple(2 * size for size in row) for row in video.sizes_bytes),
    )

    def observation(times: int, of: Video) -> Observation:
        past = PastChunk(0, times * 150_000, 1.2, times * 1.0, 80.0, 0.0, 4.0)
        return Observation(1, (past,), 4.0, of.sizes_bytes[1:9], CHUNKS - 1, 1.2)

    plain = inputs.of_client(observation(1, video), video)
    assert plain == pytest.approx(inputs.of_client(observation(2, taller), taller), rel=1e-6)
    assert plain[inputs.HISTORY - 1] == pytest.approx(np.log1p(10.0) / 2)
    assert plain[2 * inputs.HISTORY - 1] == pytest.approx(np.log1p(1.2))
    assert plain[-1] == pytest.approx(0.4)


def test_a_longer_video_shows_no_more_chunks_left_than_training_saw() -> None:
    video = load_video("envivio")
    long = Video("long", 4.0, video.ladder_kbps, video.sizes_bytes * 5)
    past = PastChunk(0, 150_000, 1.2, 1.0, 80.0, 0.0, 4.0)
    vector = inputs.of_client(Observation(1, (past,), 4.0, long.sizes_bytes[1:9], long.chunks - 1, 1.2), long)
    assert vector[len(inputs.FEATURES) - 2] == 1.0


def test_the_first_chunk_is_the_lowest_level() -> None:
    video, policy = load_video("envivio"), Genet()
    policy.reset(video, 0, QoE())
    first = Observation(0, (), 0.0, video.sizes_bytes[:8], video.chunks, 0.0)
    assert policy.select(first).level == 0


@settings(max_examples=50, deadline=None)
@given(
    mbps=st.one_of(st.just(0.0), st.floats(1e-9, 1e9)),
    download_s=st.floats(1e-9, 1e9),
    buffer_s=st.floats(0.0, 1e6),
    size=st.integers(1, 10**12),
)
def test_hostile_observations_still_give_a_level(
    mbps: float, download_s: float, buffer_s: float, size: int
) -> None:
    video, policy = load_video("envivio"), Genet()
    policy.reset(video, 0, QoE())
    past = PastChunk(5, size, download_s, mbps, 0.0, 0.0, 0.0)
    seen = Observation(1, (past,), buffer_s, ((size,) * 6,), 1, 1.0)
    vector = inputs.of_client(seen, video)
    assert np.isfinite(policy._actor.scores(vector[None])).all()
    assert policy.select(seen).level in range(6)


def test_another_ladder_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"three has 3 levels, the network scores 6; take a video of 6"):
        Genet().reset(Video("three", 4.0, (1, 2, 3), ((1, 2, 3),)), 0, QoE())


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda t: t.pop("sizes.bias"), "no tensor 'sizes.bias'"),
        (lambda t: t.update({"levels.bias": np.zeros(5, np.float32)}), r"levels.bias has shape \(5,\)"),
        (lambda t: t["dense.bias"].fill(np.nan), "dense.bias holds a value that is no number"),
    ],
)
def test_spoilt_weights_are_refused(spoil: object, fault: str, tmp_path: Path) -> None:
    tensors = {key: value.copy() for key, value in random_actor(0).tensors.items()}
    spoil(tensors)  # type: ignore[operator]
    path = tmp_path / "spoilt.safetensors"
    path.write_bytes(packed(Actor(tensors), {}))
    with pytest.raises(PensieveNetError, match=fault):
        Genet(str(path))


def test_a_file_that_is_no_safetensors_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text.safetensors"
    path.write_text("hello")
    for each in (path, tmp_path / "missing.safetensors"):
        with pytest.raises(PensieveNetError, match=f"{each.name}: cannot be read as safetensors"):
            read(each)


def test_written_weights_read_back_the_same(tmp_path: Path) -> None:
    actor, path = random_actor(3), tmp_path / "w.safetensors"
    path.write_bytes(packed(actor, {"seed": "3"}))
    again = read(path)
    assert all(np.array_equal(actor.tensors[key], again.tensors[key]) for key in SHAPES)


def test_streaming_imports_no_torch(tmp_path: Path) -> None:
    """A stand-in for torch is there to be imported, so that a guarded import shows too."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    script = (
        f"import sys, json; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        "from policies.genet.policy import Genet, UDR\n"
        "from player.video.built_in import load_video\n"
        "from player.observation import *\nfrom player.qoe import QoE\n"
        "video, policy = load_video('envivio'), Genet(); policy.reset(video, 0, QoE())\n"
        "past = PastChunk(0, 1, 1.0, 1.0, 1.0, 0.0, 4.0)\n"
        "policy.select(Observation(1, (past,), 4.0, video.sizes_bytes[1:9], 47, 1.0))\n"
        "heavy = ('torch', 'stable_baselines3', 'optuna')\n"
        "print(json.dumps([name for name in heavy if name in sys.modules]))\n"
        "import torch; assert torch.__file__.startswith(sys.path[0])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
