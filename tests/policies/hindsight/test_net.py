"""The network of any ladder: numpy's and torch's, its file, and what it decides in a batch and alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from player.qoe import QoE
from player.simulated.batch.library import KINDS, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from policies.hindsight.__main__ import main
from policies.hindsight.net import (
    FORMAT,
    LAYERS,
    Member,
    OptionNet,
    OptionNetError,
    forward,
    write_net,
)
from policies.hindsight.policy import BatchHindsight, Hindsight
from policies.view import layout
from policies.view.layout import GLOBAL, MAX_LEVELS, options_of
from traces.families.catalogue import resolve_many

SHAPES = {
    "trunk0": (5, GLOBAL), "trunk1": (4, 5), "session": (6, 4), "option": (6, len(layout.ATTRIBUTES)),
    "second": (3, 6), "pooled": (3, 12), "last": (1, 3),
}  # fmt: skip


def member(seed: int = 0) -> Member:
    random = np.random.default_rng(seed)
    return {
        name: (
            0.5 * random.normal(size=shape).astype(np.float32),
            0.1 * random.normal(size=shape[0]).astype(np.float32),
        )
        for name, shape in SHAPES.items()
    }


def views(count: int, seed: int = 1) -> layout.Vectors:
    """Vectors of ladders of 2 to MAX_LEVELS levels."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, layout.WIDTH)).astype(np.float32)
    levels = random.integers(2, MAX_LEVELS + 1, size=count)
    rows = options_of(vectors)
    rows[:, :, layout.EXISTS] = np.arange(MAX_LEVELS) < levels[:, None]
    rows[rows[:, :, layout.EXISTS] == 0.0] = 0.0
    return vectors


def test_levels_that_are_not_there_change_nothing() -> None:
    vectors = views(40)
    values = OptionNet((member(),)).values(vectors)
    for vector, found in zip(vectors, values, strict=True):
        levels = int(options_of(vector)[:, layout.EXISTS].sum())
        np.testing.assert_allclose(
            forward(member(), vector[None], levels)[0], found[:levels], rtol=1e-4, atol=1e-5
        )
        assert not found[levels:].any()


def test_numpy_computes_what_torch_computes() -> None:
    torch = pytest.importorskip("torch")
    from policies.hindsight.torch_net import OptionActor, member_of

    torch.manual_seed(5)
    actor, vectors = OptionActor(), torch.from_numpy(views(64))
    actor.scale_to(vectors)
    with torch.no_grad():
        wanted = actor(vectors).numpy()
    np.testing.assert_allclose(OptionNet((member_of(actor),)).values(vectors.numpy()), wanted, atol=1e-3)
    short = vectors[options_of(vectors.numpy())[:, :, layout.EXISTS].sum(1) <= 6]
    with torch.no_grad():
        np.testing.assert_allclose(
            actor(short).numpy(), OptionNet((member_of(actor),)).values(short.numpy()), atol=1e-3
        )


def test_members_come_back_from_a_file_and_join_averages_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        write_net(tmp_path / name, [member(seed)], {"seed": str(seed)})
    out = tmp_path / "joined"
    assert main(["join", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["members"] == 2 and report["sha256"] == OptionNet.read(out).sha256
    alone = [OptionNet.read(tmp_path / name).values(views(4)) for name in "ab"]
    np.testing.assert_allclose(
        OptionNet.read(out).values(views(4)), (alone[0] + alone[1]) / 2, rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(alone[0], OptionNet((member(1),)).values(views(4)), rtol=5e-2, atol=5e-2)
    assert main(["join", str(tmp_path / "none"), "--out", str(out)]) == 2
    assert "No such file" in capsys.readouterr().err


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionNetError, match="nothing: No such file"):
        OptionNet.read(tmp_path / "nothing")
    (tmp_path / "text").write_text("no tensors here, only words")
    with pytest.raises(OptionNetError, match="no safetensors file"):
        OptionNet.read(tmp_path / "text")
    save_file({"genet.weight": np.zeros(3, np.float32)}, tmp_path / "other")
    with pytest.raises(OptionNetError, match="not hindsight's weights"):
        OptionNet.read(tmp_path / "other")
    write_net(tmp_path / "good", [member()], {})
    tensors = load_file(tmp_path / "good")
    older = {**tensors, "format": np.frombuffer(FORMAT.replace("view", "views").encode(), np.uint8)}
    save_file(older, tmp_path / "older")
    with pytest.raises(OptionNetError, match="made for 'views"):
        OptionNet.read(tmp_path / "older")
    for name in LAYERS:
        broken = {**tensors, f"0.{name}.weight": np.zeros((len(tensors[f"0.{name}.bias"]), 99), np.float16)}
        save_file(broken, tmp_path / "broken")
        with pytest.raises(OptionNetError, match=rf"layer 0\.{name} of shape"):
            OptionNet.read(tmp_path / "broken")


def video_of(levels: int, chunk_s: float, chunks: int = 20) -> Video:
    ladder = tuple(int(kbps) for kbps in np.geomspace(200, 6000, levels))
    rows = tuple(tuple(int(kbps * chunk_s * (100 + chunk)) for kbps in ladder) for chunk in range(chunks))
    return Video("any", chunk_s, ladder, rows)


@pytest.mark.parametrize(("levels", "chunk_s"), [(2, 1.0), (3, 10.0), (6, 4.0), (9, 2.0), (12, 6.0)])
def test_decisions_alone_are_those_of_the_batch(tmp_path: Path, levels: int, chunk_s: float) -> None:
    write_net(tmp_path / "net", [member(levels)], {})
    video, traces, qoe = video_of(levels, chunk_s), resolve_many("3g[0:3]"), QoE("log", 7.0, 0.5)
    setup = Setup.of(3, trace=range(3), kind=KINDS.index("log"), mu=7.0, smooth=0.5, rtt_ms=30.0, chunks=20)
    sessions = Sessions(Library(traces, [video]), setup, chunks=20, first_level=0)
    batch, decided = BatchHindsight(sessions, OptionNet.read(tmp_path / "net")), []
    while not sessions.done.all():
        decided.append(batch.select())
        sessions.step(decided[-1])
    alone = Hindsight(str(tmp_path / "net"))
    for trace, wanted in zip(traces, np.transpose(decided), strict=True):
        rows, _ = simulate(video, trace, alone, seed=0, qoe=qoe, link=PublishedLink(rtt_ms=30.0), chunks=20)
        assert [row.level for row in rows[1:]] == wanted.tolist()


@pytest.mark.parametrize("levels", [1, 13, 30])
def test_every_ladder_that_robustmpc_plays_is_played(tmp_path: Path, levels: int) -> None:
    write_net(tmp_path / "net", [member(levels)], {})
    video, trace = video_of(levels, 4.0), resolve_many("3g[0:2]")[1]
    policy = Hindsight(str(tmp_path / "net"))
    rows, _ = simulate(video, trace, policy, seed=0, qoe=QoE(), link=PublishedLink(), chunks=20, strict=True)
    assert len(rows) == 20 and all(row.reason for row in rows[1:])


def test_caution_is_a_dearer_stall(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_net(tmp_path / "net", [member(6)], {})
    words = ["join", str(tmp_path / "net"), "--caution", "2.5", "--out", str(tmp_path / "cautious")]
    assert main(words) == 0
    assert (
        OptionNet.read(tmp_path / "cautious").caution == 2.5
        and OptionNet.read(tmp_path / "net").caution == 1.0
    )
    video, trace = video_of(6, 4.0), resolve_many("3g[0:2]")[1]
    levels = []
    for name, mu in (("net", 5.0), ("cautious", 2.0)):
        policy = Hindsight(str(tmp_path / name))
        qoe = QoE("linear", mu, 1.0)
        rows, _ = simulate(video, trace, policy, seed=0, qoe=qoe, link=PublishedLink(), chunks=20)
        sessions = Sessions(Library([trace], [video], qoe), Setup.of(1), chunks=20, first_level=0)
        batch = BatchHindsight(sessions, OptionNet.read(tmp_path / name))
        decided = []
        while not sessions.done.all():
            decided.append(int(batch.select()[0]))
            sessions.step([decided[-1]])
        levels.append([row.level for row in rows[1:]])
        assert levels[-1] == decided
    assert levels[0] == levels[1]
    tensors = load_file(tmp_path / "net")
    save_file({**tensors, "caution": np.array([np.nan])}, tmp_path / "broken")
    with pytest.raises(OptionNetError, match="caution"):
        OptionNet.read(tmp_path / "broken")
