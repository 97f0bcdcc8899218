"""The task `viewport`: vectors, wire, loss, pool, and the policy beside the engine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from player.viewport.windows import FUTURE, HISTORY, ViewportObservation, windows_of
from policies.llm.__main__ import main
from policies.llm.engine.engine import Engine
from policies.llm.learning import pool
from policies.llm.learning.pool import Experience
from policies.llm.model.tiny import tiny_adapter, tiny_base
from policies.llm.serving.conversation import Conversation
from policies.llm.serving.fields import FieldError
from policies.llm.serving.protocol import load_request
from policies.llm.task import task_named
from policies.llm.tasks.viewport.course import ViewCourse, absolute, answers_of, error_of, images
from policies.llm.tasks.viewport.policy import NetLLM
from policies.llm.tasks.viewport.task import TASK
from policies.llm.tasks.viewport.vectors import WIDTH, mirrored, targets_of, vectors_of
from policies.llm.tasks.viewport.wire import ANSWERED, ViewStep
from policies.viewport.features import from_residual
from tests.support.viewers import and_mirrored
from traces.heads.generator import member


@pytest.fixture(scope="module")
def found() -> Any:
    return windows_of(member(5), 0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_adapter(TASK, tmp_path_factory.mktemp("view") / "adapter")


def test_a_sample_is_its_move_and_what_others_do_from_then_on(found: Any) -> None:
    vectors = vectors_of(found.seen)
    assert vectors.shape == (len(found.at), HISTORY, WIDTH) and TASK.width == WIDTH
    moved = np.diff(found.seen.history, axis=1)
    moved[:, :, 2] = (moved[:, :, 2] + 180.0) % 360.0 - 180.0
    assert vectors[:, 1:, :3] * 30.0 == pytest.approx(moved, abs=1e-4)
    assert (vectors[:, 0, :3] == 0.0).all()


def test_an_earlier_sample_is_not_told_what_others_do_too_late(found: Any) -> None:
    """Sample k is fed others until k + FUTURE, and nothing that the viewer does after it."""
    changed = found.seen.earlier.copy()
    changed[:, :, HISTORY + FUTURE - 1] += 25.0
    history = found.seen.history.copy()
    history[:, -1] += 11.0
    one = vectors_of(found.seen)
    two = vectors_of(ViewportObservation(history, changed))
    assert np.array_equal(one[:, :-1], two[:, :-1]) and not np.array_equal(one[:, -1], two[:, -1])


@pytest.mark.parametrize("axis", [0, 2])
def test_a_mirrored_viewer_among_mirrored_others_has_mirrored_vectors(axis: int) -> None:
    plain, turned = map(vectors_of, and_mirrored([axis]))
    assert turned == pytest.approx(mirrored(plain, axis), abs=1e-6)


def test_images_join_what_is_learned_and_lead_where_their_targets_say(found: Any) -> None:
    nothing = np.zeros((len(found.at), HISTORY), np.float32)
    made = Experience(
        vectors_of(found.seen),
        nothing[:, :, None],
        nothing,
        targets_of(found.seen.history, found.future),
        np.zeros(len(found.at), np.int8),
    )
    turned = images(made, np.random.default_rng(1))
    assert len(turned) == len(made) and not np.array_equal(turned.vectors, made.vectors)
    assert np.sort(np.abs(turned.scores), axis=None) == pytest.approx(np.sort(np.abs(made.scores), axis=None))
    assert turned.scores[:, 0, 2] == pytest.approx(turned.vectors[:, 1, 2], abs=1e-4)


def test_targets_lead_from_each_sample_the_shorter_way(found: Any) -> None:
    taught = targets_of(found.seen.history, found.future)
    assert taught.shape == (len(found.at), HISTORY, ANSWERED)
    again = from_residual(found.seen, taught[:, -1].astype(np.float64))
    apart = (again - found.future + 180.0) % 360.0 - 180.0
    assert np.abs(apart).max() < 1e-3
    assert taught[:, 0, 2] * 30.0 == pytest.approx(vectors_of(found.seen)[:, 1, 2] * 30.0, abs=1e-3)


def test_the_loss_goes_round_and_the_last_sample_counts_most() -> None:
    outputs, taught = torch.zeros(1, HISTORY, ANSWERED), torch.zeros(1, HISTORY, ANSWERED)
    outputs[..., 2::3] = 11.5  # 345 degrees are 15 the other way
    assert error_of(outputs, taught).mean().item() == pytest.approx(0.5 / 3.0)
    assert absolute(outputs[:, 0].numpy(), taught[:, 0].numpy()) == pytest.approx([5.0])
    course = ViewCourse({"learned": 3})

    def loss(wrong_at: int) -> float:
        outputs = torch.zeros(1, HISTORY, ANSWERED)
        outputs[:, wrong_at] = 1.0
        batch: Any = type("Batch", (), {"scores": taught})
        return float(course.loss("distill", outputs, batch))

    assert loss(HISTORY - 1) > 2.0 * loss(3) > 0.0


def test_a_step_passes_the_wire_exactly(found: Any) -> None:
    vector = vectors_of(found.seen)[2, 4]
    step = ViewStep.of(vector)
    said = json.loads(json.dumps(TASK.dump_step(step)))
    assert TASK.load_step(said, "steps[0]", 0) == step
    assert np.array_equal(TASK.features(step, (), {}), vector)
    body = Conversation("here", TASK, {}).says([step], 50.0)
    assert load_request(body, {"viewport": TASK}).steps == (step,)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda said: said.pop("map"), "steps[0].map"),
        (lambda said: said["head"].pop(), "steps[0].head"),
        (lambda said: said["others"].__setitem__(3, "x"), "steps[0].others[3]"),
        (lambda said: said["map"].__setitem__(0, 1e9), "steps[0].map[0]"),
        (lambda said: said.update(more=1), "steps[0].more"),
    ],
)
def test_what_is_wrong_is_named(change: Any, field: str) -> None:
    said = json.loads(json.dumps(TASK.dump_step(ViewStep.of(np.zeros(WIDTH, np.float32)))))
    change(said)
    with pytest.raises(FieldError) as refused:
        TASK.load_step(said, "steps[0]", 0)
    assert refused.value.field == field
    with pytest.raises(FieldError):
        TASK.load_value([0.0], "answer")
    with pytest.raises(FieldError):
        TASK.load_context({"x": 1})


def test_the_policy_answers_as_the_engine_does_window_by_window(tiny: Path, found: Any) -> None:
    policy = NetLLM(server="none", adapter=str(tiny), device="cpu")
    predicted = policy.predict(found.seen)
    engine = Engine(TASK, tiny, device="cpu", slots=16, threads=1)
    answers = answers_of(engine, vectors_of(found.seen), 16)
    assert predicted == pytest.approx(from_residual(found.seen, answers.astype(np.float64)), abs=1e-3)
    alone = ViewportObservation(found.seen.history[3:4], found.seen.earlier[3:4])
    assert policy.predict(alone) == pytest.approx(predicted[3:4], abs=1e-3)
    assert policy.arithmetic in ("float32", "bfloat16")


def test_an_answer_that_is_wild_is_still_numbers() -> None:
    made = TASK.answer(np.full(ANSWERED, np.inf, np.float32), np.zeros(WIDTH, np.float32)).value
    assert np.isfinite(made).all() and TASK.load_value(list(made), "answer") == made


def test_collect_adapt_test_and_controls_by_their_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_task = ["--task", "viewport"]
    words = ["collect", *of_task, "--traces", "heads[0:3]", "--hold-out", "1", "--sessions", "60"]
    assert main([*words, "--out", str(tmp_path / "pool")]) == 0
    held, facts = pool.read(tmp_path / "pool", TASK)
    assert len(held) == 75 and facts["learned"] == 60 and held.scores.shape == (75, HISTORY, ANSWERED)
    base = tiny_base(tmp_path / "base")
    words = ["adapt", *of_task, "--pool", str(tmp_path / "pool"), "--base", str(base), "--layers", "2"]
    words += ["--rank", "4", "--hidden", "16", "--batch", "8", "--steps", "6", "--check-every", "6"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert "degrees nearer than the head that stays" in capsys.readouterr().out
    words = ["test", *of_task, "--adapter", str(tmp_path / "out"), "--traces", "heads/9", "--json"]
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["policy"] for row in report["policies"]] == ["static", "small", "crowd", "netllm"]
    words = ["controls", *of_task, "--pool", str(tmp_path / "pool"), "--only", "scratch", "--steps", "2"]
    words += ["--batch", "4", "--traces", "heads/9", "--out", str(tmp_path / "controls")]
    for _ in range(2):  # the second time nothing is run again
        assert main([*words, "--json"]) == 0
        runs = json.loads(capsys.readouterr().out.splitlines()[-1])["runs"]
        assert [run["control"] for run in runs] == ["scratch"] and runs[0]["mae"] > 0.0
    assert main([*words[:-2], "--out", str(tmp_path / "controls"), "--steps", "3"]) == 2
    assert "was run with steps 2, not 3" in capsys.readouterr().err


def test_the_shipped_adapter_is_the_card_s() -> None:
    assert TASK.shipped is not None
    sha256 = hashlib.sha256((TASK.shipped / "adapter.safetensors").read_bytes()).hexdigest()
    assert f"SHA-256 `{sha256[:12]}…`" in (TASK.shipped / "card.md").read_text(encoding="utf-8")
    assert NetLLM(server="none").weights_sha256


def test_the_task_is_found_by_its_name() -> None:
    assert task_named("viewport") is TASK
