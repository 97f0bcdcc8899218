"""The task `ladder`: any ladder, the weights that are asked for, one client as a batch, and all commands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from player.buffer import CAP_MS
from player.observation import Observation, PastChunk
from player.policy import ServerCommand
from player.qoe import QoE
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from policies.hindsight.net import LAYERS, write_net
from policies.hindsight.validate import play
from policies.llm.__main__ import main
from policies.llm.engine.engine import Engine
from policies.llm.learning import pool
from policies.llm.learning.adaptation import LAST
from policies.llm.learning.course import Batch
from policies.llm.model.tiny import tiny_adapter, tiny_base
from policies.llm.serving.fields import FieldError
from policies.llm.tasks.ladder import wire
from policies.llm.tasks.ladder.brought import brought
from policies.llm.tasks.ladder.course import LadderCourse
from policies.llm.tasks.ladder.play import LadderEngine
from policies.llm.tasks.ladder.policy import NetLLM
from policies.llm.tasks.ladder.task import TASK, allowed
from policies.llm.tasks.ladder.wire import VideoStep
from policies.view import layout
from policies.view.asked import Asked
from policies.view.layout import ATTRIBUTES, GLOBAL, MAX_LEVELS
from traces.trace import Trace

CHUNKS = 10


def video_of(levels: int, chunk_s: float = 4.0, chunks: int = CHUNKS) -> Video:
    """Rates that rise by half, sizes that vary."""
    ladder = [round(200 * 1.5**level) for level in range(levels)]
    swing = np.random.default_rng(levels).uniform(0.8, 1.2, chunks)
    sizes = tuple(tuple(round(rate * chunk_s * 125 * each) for rate in ladder) for each in swing)
    return Video(f"levels-{levels}", chunk_s, tuple(ladder), sizes)


def trace_of(seed: int = 1) -> Trace:
    rates = np.random.default_rng(seed).uniform(0.2, 3.0, 200)
    return Trace(f"made-{seed}", tuple(map(float, range(200))), tuple(rates.tolist()))


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_adapter(TASK, tmp_path_factory.mktemp("ladder"))


@pytest.fixture(autouse=True)
def _nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def observed(levels: int, cap_s: float = CAP_MS / 1000.0) -> Observation:
    """Of a session's first chunk."""
    return Observation(0, (), 0.0, video_of(levels).sizes_bytes[:8], CHUNKS, 0.0, cap_s)


@pytest.mark.parametrize(("levels", "chunk_s", "mu"), [(3, 2.0, 1.0), (6, 4.0, 40.0), (11, 1.0, 9.0)])
def test_one_client_decides_as_a_batch_does(adapter: Path, levels: int, chunk_s: float, mu: float) -> None:
    video, trace, qoe = video_of(levels, chunk_s), trace_of(), QoE(mu=mu)
    policy = NetLLM("none", adapter=str(adapter))
    rows, _ = simulate(
        video, trace, policy, seed=0, qoe=qoe, link=PublishedLink(), chunks=CHUNKS, cap_ms=12_000.0
    )
    setup = Setup.of(1, mu=mu, smooth=1.0, kind=0, chunks=CHUNKS, cap_ms=12_000.0)
    sessions = Sessions(Library([trace], [video]), setup, chunks=CHUNKS, first_level=0, threads=1)
    player = LadderEngine(sessions, Engine(TASK, adapter, slots=1))
    found = play(sessions, player)
    player.close()
    levels_taken, stalls_s = [row.level for row in rows], [row.stall_s for row in rows]
    assert found[0] == pytest.approx(np.mean(qoe.per_chunk(levels_taken, stalls_s, video.ladder_kbps)))


def test_a_longer_ladder_than_can_be_seen_is_played_by_its_own_levels(adapter: Path) -> None:
    video = video_of(MAX_LEVELS + 4)
    policy = NetLLM("none", adapter=str(adapter))
    rows, _ = simulate(video, trace_of(2), policy, seed=0, qoe=QoE(), link=PublishedLink(), chunks=CHUNKS)
    kept = {TASK.level_of(value, video) for value in range(MAX_LEVELS)}
    assert {0, video.levels - 1} <= kept and len(kept) == MAX_LEVELS
    assert {row.level for row in rows} <= kept


def test_the_server_that_a_run_starts_has_the_policys_adapter(adapter: Path) -> None:
    mine, shipped = NetLLM(adapter=str(adapter)).server(), NetLLM().server()
    assert isinstance(mine, ServerCommand) and isinstance(shipped, ServerCommand)
    assert mine.arguments == ("serve", "--adapter", str(adapter)) and shipped.arguments == ("serve",)


def test_what_is_asked_for_is_seen_and_changes_the_answer(adapter: Path) -> None:
    video, seen = video_of(6), observed(6)
    engine = Engine(TASK, adapter, slots=4)
    outputs = []
    for mu, cap_s in ((4.3, 60.0), (40.0, 60.0), (4.3, 10.0)):
        vector = TASK.seen(observed(6, cap_s), TASK.context_of(video, QoE(mu=mu)))
        slot = engine.open()
        outputs.append(engine.forward([(slot, vector[None])])[0])
        engine.close(slot)
    assert not np.allclose(outputs[0], outputs[1]) and not np.allclose(outputs[0], outputs[2])
    assert VideoStep.of(seen).observation(()) == seen


def test_levels_that_are_not_there_are_never_taken() -> None:
    vector = TASK.seen(observed(3), TASK.context_of(video_of(3), QoE()))
    logits = np.arange(MAX_LEVELS, dtype=np.float32)
    assert TASK.answer(logits, vector).value == 2
    assert np.isinf(allowed(logits[None], vector[None])[0, 3:]).all()


def test_a_session_is_told_and_understood() -> None:
    asked = TASK.context_of(video_of(4), QoE("log", 2.0, 0.5))
    assert TASK.load_context(json.loads(json.dumps(TASK.dump_context(asked)))) == asked


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ladder_kbps", [300, 200]), ("ladder_kbps", list(range(1, MAX_LEVELS + 2))), ("chunk_s", 0.0),
        ("quality", [1.0]), ("quality", [2.0, 1.0]), ("quality", [1.0, "much"]), ("mu", -1.0),
        ("smooth", float("inf")), ("more", 1),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_named(field: str, value: Any) -> None:
    given = TASK.dump_context(Asked((200, 300), 4.0, (0.2, 0.3), 4.3, 1.0)) | {field: value}
    with pytest.raises(FieldError, match=field):
        TASK.load_context(given)


def test_a_step_says_its_buffers_cap_where_it_is_not_the_usual_one() -> None:
    usual, other = VideoStep.of(observed(3)), VideoStep.of(observed(3, 12.0))
    assert "buffer_cap_s" not in wire.dump_step(usual)
    for step in (usual, other):
        assert wire.load_step(json.loads(json.dumps(wire.dump_step(step))), "steps[0]", 0) == step
    with pytest.raises(FieldError, match="buffer_cap_s"):
        wire.load_step(json.loads(json.dumps(wire.dump_step(usual))) | {"buffer_cap_s": 0}, "steps[0]", 0)


def test_a_step_of_another_ladder_is_refused() -> None:
    asked = TASK.context_of(video_of(4), QoE())
    with pytest.raises(FieldError, match="3 sizes; the ladder has 4"):
        TASK.check([VideoStep.of(observed(3))], asked)


def test_steps_after_the_end_teach_nothing() -> None:
    vectors = torch.zeros(1, 3, TASK.width)
    vectors[:, :2, GLOBAL + layout.EXISTS] = 1.0
    scores, outputs = torch.randn(1, 3, MAX_LEVELS), torch.randn(1, 3, MAX_LEVELS)
    kinds, answers = torch.zeros(1, dtype=torch.int8), torch.zeros(1, 3)
    found = [
        LadderCourse.loss(None, "distill", outputs, Batch(vectors, taught, answers, kinds))  # type: ignore[arg-type]
        for taught in (scores, torch.cat((scores[:, :2], 9.0 * scores[:, 2:]), 1))
    ]
    assert found[0] == found[1] and torch.isfinite(found[0])


def test_a_video_is_brought_to_a_ladder() -> None:
    made = brought(video_of(6), [100, 1000, 5000], 2.0)
    assert made.ladder_kbps == (100, 1000, 5000) and made.chunk_s == 2.0 and made.chunks == 2 * CHUNKS
    mean = np.asarray(made.sizes_bytes).mean(axis=0)
    assert np.allclose(mean / mean[0], [1, 10, 50], rtol=0.01)
    with pytest.raises(ValueError, match="must be 1 or more and rise"):
        brought(video_of(6), [1000, 100], None)


def member(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A teacher that knows nothing."""
    random, hidden = np.random.default_rng(seed), 8
    inputs = {
        "trunk0": GLOBAL, "trunk1": hidden, "option": len(ATTRIBUTES), "session": hidden, "second": hidden,
        "pooled": 2 * hidden, "last": hidden,
    }  # fmt: skip
    sizes = {name: (1 if name == "last" else hidden, inputs[name]) for name in LAYERS}
    return {name: (random.normal(0.0, 0.2, size), np.zeros(size[0])) for name, size in sizes.items()}


def logs(folder: Path) -> Path:
    folder.mkdir()
    for number in range(12):
        rates = np.random.default_rng(number).uniform(0.3, 4.0, 120)
        lines = [f"{second} {rate:.3f}" for second, rate in enumerate(rates)]
        (folder / f"trace_{number}_http---www.msn.com").write_text("\n".join(lines) + "\n")
    return folder


def test_collected_adapted_and_tested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> dict[str, Any]:
        assert main([*words, "--json"]) == 0
        return dict(json.loads(capsys.readouterr().out))

    teacher, held, out = tmp_path / "teacher.safetensors", tmp_path / "pool", tmp_path / "mine"
    write_net(teacher, [member(0)], {})
    traces = str(logs(tmp_path / "fcc"))
    said("collect", "--traces", traces, "--sessions", "16", "--teacher", str(teacher), "--out", str(held))
    experience, facts = pool.read(held, TASK)
    there = experience.vectors[:, :, GLOBAL + layout.EXISTS] > 0
    assert facts["policies"] == {"hindsight": 8, "robustmpc": 8}
    assert there[:, 0].all() and not there.all() and not experience.vectors[~there].any()
    assert len(np.unique(experience.vectors[:, 0, layout.PLACES["asked"]][:, 0])) > 3  # mu
    words = (
        "--layers",
        "2",
        "--rank",
        "4",
        "--hidden",
        "16",
        "--batch",
        "4",
        "--steps",
        "2",
        "--rounds",
        "1",
    )
    base = str(tiny_base(tmp_path / "base"))
    report = said("adapt", "--pool", str(held), "--base", base, *words, "--round-sessions", "4",
                  "--validation-sessions", "2", "--out", str(out))  # fmt: skip
    assert report["steps"] == 2 and (out / LAST).exists()
    found = said("test", "--adapter", str(out), "--traces", traces, "--held-out", "--ladder", "200,900,2500",
                 "--chunk-s", "2", "--mu", "12", "--cap-s", "20", "--rtt-ms", "30",
                 "--teacher", str(teacher))  # fmt: skip
    (setting,) = found["settings"]
    assert found["qoe"] == "linear, mu 12, smooth 1" and found["chunks_s"] == {"envivio-brought": 2.0}
    assert {name: row["stall_pct"] >= 0 for name, row in setting["policies"].items()} == dict.fromkeys(
        ("adapter", "robustmpc", "teacher"), True
    )


def test_a_request_that_was_given_up_is_not_sent() -> None:
    past = PastChunk(1, 1000, 1.0, 0.008, 80.0, 0.0, 4.0, given_up_level=2, given_up_bytes=10)
    step = VideoStep(past, 4.0, ((1, 2, 3),), 1, 4.0)
    sent = json.loads(json.dumps(wire.dump_step(step)))
    assert not set(sent["past"]) & set(wire.NOT_SENT)
    assert wire.load_step(sent, "step", 1).past == replace(past, given_up_level=None, given_up_bytes=0)
