"""The task `call`: vectors, wire, pool, course, and the policy beside the batch."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from player.call.observation import CallObservation, Interval
from player.call.path import CallPath
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.playing import play_policies
from policies.call.small.collect import by_oracle_astray
from policies.llm.__main__ import main
from policies.llm.engine.engine import Engine
from policies.llm.learning import pool
from policies.llm.model.tiny import tiny_adapter, tiny_base
from policies.llm.serving.conversation import Conversation
from policies.llm.serving.fields import FieldError, load_json
from policies.llm.serving.protocol import load_request
from policies.llm.task import NextSteps, task_named
from policies.llm.tasks.call.names import SCALE
from policies.llm.tasks.call.play import EngineRates, play_engine, watch
from policies.llm.tasks.call.policy import NetLLM
from policies.llm.tasks.call.task import TASK
from policies.llm.tasks.call.teacher import teacher_of
from policies.llm.tasks.call.vectors import MODALITIES, vector_of, vectors_of
from policies.llm.tasks.call.wire import CallContext, CallStep, HeardInterval, PredictedRate
from traces.trace import Trace

CALL = CallSettings(duration_s=4.0, warm_up_s=1.0)
CONTEXT = CallContext(80.0, 2500.0)
LINK = Trace("steps", (0.0, 1.0, 1.7, 4.0), (0.0, 2.0, 0.4, 1.0))

rates = st.floats(0.0, 100.0)
delays = st.floats(0.0, 5000.0)
heard = st.builds(
    HeardInterval, rates, rates, delays, st.floats(-1e6, 1e6), st.floats(0.0, 1.0), st.booleans(), delays
)
made_steps = st.builds(
    CallStep, st.tuples(heard, heard, heard, heard), rates, rates, delays, delays, delays,
    st.integers(0, 100), st.floats(0.0, 4000.0),
)  # fmt: skip


def interval(number: int, **changed: Any) -> Interval:
    plain = Interval(
        number, 0.05 * (number + 1), 0.05, 1.0, 0.9, 1.1, 1.2, 0.0, 0, 20.0, 10.0, 100.0, 85.0, 80.0, True,
        5.0, 25.0, 0,
    )  # fmt: skip
    return plain._replace(**changed)


def test_a_vector_by_hand() -> None:
    history = tuple(interval(n) for n in range(5))
    now = interval(5, receive_mbps=0.5, heard=False, frames_dropped=2, loss_ratio=0.25, queue_ms=50.0)
    vector = vector_of(CallStep.of(CallObservation(now, (), history)), (), CONTEXT)
    assert vector.shape == (TASK.width,) == (7 * 4 + 7 + 2 + 8 * 3,)
    series, flow, bounds = vector[:28].reshape(7, 4), vector[28:35], vector[35:37]
    assert series[0] == pytest.approx([math.log(1.01)] * 3 + [math.log(0.51)], rel=1e-5)
    assert series[1] == pytest.approx([math.log(1.21)] * 4, rel=1e-5)
    assert series[2] == pytest.approx([0.2, 0.2, 0.2, 0.5])
    assert series[3] == pytest.approx([0.1] * 4)
    assert series[4] == pytest.approx([0, 0, 0, 0.25])
    assert series[5] == pytest.approx([0, 0, 0, 1])
    assert series[6] == pytest.approx([0.05] * 4)
    expected = [math.log(0.91), math.log(1.11), 0.85, 0.05, 0.1, 2.0, 0.03]
    assert flow == pytest.approx(expected, rel=1e-5)
    assert bounds == pytest.approx([math.log(0.08), math.log(2.5)], rel=1e-5)
    rate = math.log((3 * 1.0 + 0.5) / 4 + 0.01)  # of one step
    assert vector[37:] == pytest.approx([rate, rate, rate, 0, 0.5, 0.5, 0.0625, 0] * 3, rel=1e-5, abs=1e-6)


def test_memory_is_of_the_last_3_10_and_30_s() -> None:
    """160 steps of 1 Mbit/s, in which nothing came 20, 60 and 155 steps ago."""
    past: tuple[Any, ...] = TASK.empty
    for n in range(160):
        none = 160 - n in (20, 60, 155)
        step = CallStep.of(CallObservation(interval(n, receive_mbps=0.0 if none else 1.0), (), ()))
        before, past = past, TASK.after(past, step)
    assert len(past) == 149
    short, middle, long = np.array(vector_of(step, before, CONTEXT)[37:]).reshape(3, 8)
    assert short == pytest.approx([math.log(1.01)] * 3 + [0, 0.2, 0.2, 0, 0], rel=1e-5, abs=1e-6)
    assert middle[:3] == pytest.approx(np.log([0.99, 0.01, 1.01]), rel=1e-5)
    assert middle[7] == pytest.approx(1 / 50) and long[7] == pytest.approx(2 / 150)
    assert middle[3] == pytest.approx(np.log(101) * math.sqrt(0.02 * 0.98), rel=1e-5)


def test_at_the_beginning_the_first_interval_stands_for_those_before() -> None:
    step = CallStep.of(CallObservation(interval(1), (), (interval(0),)))
    assert [each.target_mbps for each in step.intervals] == [1.2] * 4
    assert step.intervals[0] == step.intervals[2]


@given(made_steps)
@settings(max_examples=60, deadline=None)
def test_a_step_passes_the_wire_exactly(step: CallStep) -> None:
    said = json.loads(json.dumps(TASK.dump_step(step)))
    assert TASK.load_step(said, "steps[0]", 0) == step
    vector = TASK.features(step, TASK.after((), step), CONTEXT)
    assert np.isfinite(vector).all() and np.abs(vector).max() < 100


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda said: said.pop("acked_mbps"), "steps[0].acked_mbps"),
        (lambda said: said.update(frames_dropped=-1), "steps[0].frames_dropped"),
        (lambda said: said["intervals"].pop(), "steps[0].intervals"),
        (lambda said: said["intervals"][2].update(heard=1), "steps[0].intervals[2].heard"),
        (lambda said: said["intervals"][1].update(loss_ratio=1.5), "steps[0].intervals[1].loss_ratio"),
        (lambda said: said["intervals"][3].update(more=1), "steps[0].intervals[3].more"),
        (lambda said: said.update(other=1), "steps[0].other"),
    ],
)
def test_what_is_wrong_is_named(change: Any, field: str) -> None:
    said = json.loads(json.dumps(TASK.dump_step(CallStep.of(CallObservation(interval(0), (), ())))))
    change(said)
    with pytest.raises(FieldError) as refused:
        TASK.load_step(said, "steps[0]", 0)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"min_kbps": 80.0}, "context.max_kbps"),
        ({"min_kbps": 80.0, "max_kbps": 70.0}, "context.max_kbps"),
        ({"min_kbps": 0.0, "max_kbps": 70.0}, "context.min_kbps"),
        (None, "context"),
    ],
)
def test_a_wrong_context_is_named(said: Any, field: str) -> None:
    with pytest.raises(FieldError) as refused:
        TASK.load_context(said)
    assert refused.value.field == field


def test_a_request_is_read_by_the_task_s_own_codec() -> None:
    step = CallStep.of(CallObservation(interval(0), (), ()))
    body = Conversation("here", TASK, CONTEXT).says([step, step], 1e12)
    request = load_request(
        body.replace(b'"deadline_ms":' + _deadline(body), b'"deadline_ms":50.0'), {"call": TASK}
    )
    assert request.steps == (step, step) and request.context == CONTEXT


def _deadline(body: bytes) -> bytes:
    return json.dumps(load_json(body)["deadline_ms"]).encode()


def test_an_answer_is_a_rate_with_its_spread() -> None:
    made = TASK.answer(np.array([math.log(0.8), math.log(0.2)], np.float32), np.zeros(TASK.width, np.float32))
    assert made.margin is None
    assert made.value.kbps == pytest.approx(800.0) and made.value.spread == pytest.approx(0.2)
    assert TASK.load_value(TASK.dump_value(made.value), "answer") == made.value
    wild = TASK.answer(np.array([1e30, 1e30], np.float32), np.zeros(TASK.width, np.float32)).value
    assert math.isfinite(wild.kbps) and math.isfinite(wild.spread)
    with pytest.raises(FieldError, match=r"answer\.spread"):
        TASK.load_value({"kbps": 1.0, "spread": -1.0}, "answer")


# ---- played --------------------------------------------------------------------------------------


def calls(count: int = 3) -> SimulatedCalls:
    return SimulatedCalls(CALL, [LINK] * count, CallPath(), range(count), [0.1 * n for n in range(count)], 1)


class Notes:
    """A policy that keeps what it is told and answers one rate."""

    def reset(self, call: CallSettings, seed: int, qoe: Any) -> None:
        self.seen: list[CallObservation] = []

    def decide(self, observation: CallObservation) -> float:
        self.seen.append(observation)
        return CALL.min_kbps  # which GCC, that guards a policy and no batch, does not cut


def test_a_batch_sees_what_a_policy_is_told() -> None:
    notes = [Notes(), Notes()]
    play_policies(calls(2), notes)
    held, heard = calls(2), iter(range(1000))

    def drives(feedback: Any, told: Any) -> Any:
        return np.full(2, CALL.start_kbps if next(heard) < 3 else CALL.min_kbps)

    seen = watch(held, drives, teacher_of("link", held))
    for n, one in enumerate(notes):
        steps = [CallStep.of(each) for each in one.seen]
        alone = np.stack(list(TASK.rows(NextSteps(steps, TASK.empty, CONTEXT))))
        assert seen.vectors[n] == pytest.approx(alone[: seen.vectors.shape[1]], abs=1e-5)


@pytest.mark.parametrize("teacher", ["small", "link"])
def test_a_pool_s_rates_are_within_bounds_and_the_teacher_s_own(teacher: str) -> None:
    played = calls()
    made = watch(played, by_oracle_astray(np.random.default_rng(1), 3), teacher_of(teacher, played))
    assert made.vectors.shape == (3, (80 - 8) // 4, TASK.width)
    for values, most in ((made.answers, 2.5), (made.scores, 5.0)):
        assert (values >= math.log(0.08) - 1e-6).all() and (values <= math.log(most) + 1e-6).all()
    assert np.abs(made.answers[:, :, 0] - made.scores[:, :, 0]).max() > 0.05, "it went astray"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("call") / "adapter"
    return tiny_adapter(TASK, folder)


def test_the_policy_decides_as_the_batch_does(tiny: Path) -> None:
    """One decision: later ones meet GCC, which guards a policy and no batch."""
    engine = Engine(TASK, tiny, device="cpu", slots=2, threads=1)
    rates = EngineRates(engine, 2)
    played = calls(2)
    seen = watch(played, rates, teacher_of("link", played))
    rates.close()
    policy = NetLLM(server="none", adapter=str(tiny), device="cpu", scale=1.0)
    first = []
    for n in range(2):
        one = calls(2)
        policies = [Notes(), Notes()]
        play_policies(one, policies)
        policy.reset(CALL, n, None)
        first.append(math.log(policy.decide(policies[n].seen[0]).kbps / 1000.0))
    bounded = np.clip(first, math.log(0.08), math.log(2.5))
    assert seen.answers[:, 0, 0] == pytest.approx(bounded, abs=1e-3)


def test_scale_is_the_knob(tiny: Path) -> None:
    observation = CallObservation(interval(3), (), tuple(interval(n) for n in range(3)))
    kbps = []
    for scale in (1.0, 0.5):
        policy = NetLLM(server="none", adapter=str(tiny), scale=scale, device="cpu")
        policy.reset(CALL, 0, None)
        rate = policy.decide(observation)
        kbps.append(rate.kbps)
        assert rate.by == "llm" and "spread" in rate.reason
    assert kbps[1] == pytest.approx(kbps[0] / 2, rel=1e-6)
    for scale in (0.0, math.nan):
        with pytest.raises(ValueError, match="scale"):
            NetLLM(adapter=str(tiny), scale=scale)


def test_an_adapter_is_shipped_with_what_its_rates_are_multiplied_by() -> None:
    policy = NetLLM()
    assert policy._scale == SCALE > 0 and len(policy.weights_sha256) == 64
    assert sum(each.stat().st_size for each in TASK.shipped.iterdir()) < 5e6


def test_a_long_call_goes_on_as_a_new_session(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policies.llm.tasks.call.policy.LONGEST", 6)
    monkeypatch.setattr("policies.llm.tasks.call.policy.OVERLAP", 2)
    policy = NetLLM(server="none", adapter=str(tiny), device="cpu")
    policy.reset(CALL, 0, None)
    counts = []
    for number in range(12):
        assert policy.decide(CallObservation(interval(number), (), ())).kbps > 0
        counts.append(len(policy._steps))
    assert counts == [1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 3, 4]


def test_a_run_starts_a_server_for_this_task(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMBED_LLM_SERVER", raising=False)
    command = NetLLM(adapter=str(tiny), dtype="float32").server()
    assert command is not None
    assert command.arguments == ("serve", "--task", f"call={tiny.absolute()}", "--dtype", "float32")
    assert NetLLM(server="none", adapter=str(tiny)).server() is None


def test_whole_calls_by_an_engine(tiny: Path) -> None:
    engine = Engine(TASK, tiny, device="cpu", slots=3, threads=1)
    played = calls()
    play_engine(played, engine)
    assert played.finished.all()
    assert engine.book.free == 3, "all slots are given back"


# ---- learned -------------------------------------------------------------------------------------


def test_collect_adapt_and_test_by_their_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("policies.llm.tasks.call.course.VALIDATION_S", 6.0)
    traces = ["3g[0:6]", "4g[0:6]"]
    words = ["collect", "--task", "call", "--traces", *traces, "--sessions", "9", "--duration-s", "4"]
    assert main([*words, "--out", str(tmp_path / "pool")]) == 0
    held, facts = pool.read(tmp_path / "pool", TASK)
    assert len(held) == 9 and facts["policies"] == {"gcc": 3, "small": 3, "astray": 3}
    base = tiny_base(tmp_path / "base")
    words = [
        "adapt",
        "--task",
        "call",
        "--pool",
        str(tmp_path / "pool"),
        "--base",
        str(base),
        "--layers",
        "2",
    ]
    words += ["--rank", "4", "--hidden", "16", "--batch", "4", "--steps", "12", "--check-every", "6"]
    words += ["--rounds", "1", "--round-sessions", "2", "--validation-sessions", "2", "--lr", "0.01"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "linear QoE more than gcc on held-out traces" in said and "--task call" in said
    words = ["test", "--task", "call", "--adapter", str(tmp_path / "out"), "--traces", "3g[1000:1002]"]
    assert main([*words, "--duration-s", "8", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = {row["policy"]: row for row in report["sets"]["3g[1000:1002]"]}
    assert list(rows) == ["gcc", "small", "netllm", "oracle"]
    assert rows["gcc"]["more_mbps"] == 0.0 and rows["oracle"]["bitrate_mbps"] > 0.0


def test_the_loss_is_the_gaussian_likelihood_of_the_oracle_s_rate() -> None:
    from policies.llm.learning.course import Batch
    from policies.llm.tasks.call.course import CallCourse

    course = CallCourse({"traces": ["3g[0:2]"], "duration_s": 4.0, "teacher": "small"})
    outputs = torch.tensor([[[0.5, math.log(2.0)]]])
    taught = torch.tensor([[[1.5]]])
    batch = Batch(torch.zeros(1, 1, TASK.width), taught, taught, torch.zeros(1))
    assert course.loss("distill", outputs, batch).item() == pytest.approx(math.log(2.0) + 0.125)


def test_the_task_is_found_by_its_name_and_its_modalities_fill_its_width() -> None:
    assert task_named("call") is TASK
    assert TASK.width == sum(each.size for each in MODALITIES) == 61
    rows = np.zeros((2, 4, len(Interval._fields)))
    assert vectors_of(rows, np.zeros((2, 3, 4)), CONTEXT).shape == (2, 61)
    assert dataclasses.is_dataclass(PredictedRate)
