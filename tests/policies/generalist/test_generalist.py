"""Runs of the generalist: turns, what stays frozen, resuming, rows, and what is printed of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from policies.generalist import learning, rows
from policies.generalist.learning import SharedLearning, Turns
from policies.generalist.lessons import Lesson, lessons_of
from policies.generalist.plan import Run, planned
from policies.llm.__main__ import main
from policies.llm.learning.settings import AdaptError, LearningSettings
from policies.llm.model.adapter import read
from policies.llm.model.shape import FROZEN, Shape
from policies.llm.model.tiny import tiny_base
from tests.support.toy_tasks import LARGER, SUMS, TOYS, collect, forget, know

SETTINGS = LearningSettings(seed=1, steps=4, rounds=0, warmup=2)


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    know()
    yield
    forget()


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    know()
    folder = tmp_path_factory.mktemp("pools")
    return [collect(task, folder / task.name) for task in TOYS]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


def taught(pools: list[Path]) -> dict[str, Lesson]:
    return lessons_of(pools, tokens=24, judged=24, settings=SETTINGS)


def shape(base: Path, **other: Any) -> Shape:
    return Shape(str(base), **{"layers": 2, "rank": 4, "hidden": 16} | other)


def made(pools: list[Path], base: Path, out: Path, **other: Any) -> SharedLearning:
    lessons = list(taught(pools).values())
    return SharedLearning(lessons, shape(base), out, SETTINGS, lambda text: None, **other)


def test_tasks_take_turns_and_each_has_all_its_steps(
    pools: list[Path], base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = []
    learn = SharedLearning.learn

    def noted(self: SharedLearning, lesson: Lesson, turn: int) -> None:
        turns.append((lesson.task.name, turn))
        learn(self, lesson, turn)

    monkeypatch.setattr(SharedLearning, "learn", noted)
    run = made(pools, base, tmp_path)
    run.go()
    assert turns == [(name, turn) for turn in range(4) for name in ("larger", "sums")]
    assert {name: len(losses) for name, losses in run.losses.items()} == {"larger": 4, "sums": 4}
    assert read(tmp_path / "adapter", SUMS).among == ("larger", "sums")
    assert run.gains(taught(pools)["larger"])["held out"].shape == (8,)


def test_a_batch_moves_what_is_shared_and_its_own_task_s_ends_alone(
    pools: list[Path], base: Path, tmp_path: Path
) -> None:
    run = made(pools, base, tmp_path)
    run.learn(run.lessons[0], 3)  # the low-rank matrices' second halves begin as zeros
    before = {name: each.clone() for name, each in run.model.state_dict().items()}
    run.learn(run.lessons[1], 3)
    moved = {name for name, each in run.model.state_dict().items() if not torch.equal(each, before[name])}
    assert any("lora_" in name for name in moved)
    assert any(".sums.head" in name for name in moved)
    assert not any(".larger.encoder" in name or ".larger.head" in name for name in moved)
    assert not any("base_layer" in name or ("norm" in name and ".encoder." not in name) for name in moved)


def test_no_task_counts_more_by_the_size_of_its_loss() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    turns = Turns()
    sizes = []
    for task, size in (("small", 1e-3), ("large", 1e3), ("small", 1e-3), ("large", 1e3)):
        weight.grad = torch.full((2,), size)
        turns.weigh(task, [weight])
        sizes.append(float(weight.grad.norm()))
    assert sizes == pytest.approx([1.0] * 4)
    weight.grad = None
    turns.weigh("small", [weight])
    assert weight.grad is None


def test_what_is_taken_from_others_stays_as_it_is(pools: list[Path], base: Path, tmp_path: Path) -> None:
    first = made(pools[:1], base, tmp_path / "first")
    first.go()
    tensors = read(tmp_path / "first" / "adapter", LARGER).tensors()
    second = made(pools[1:], base, tmp_path / "second", source=tensors)
    second.go()
    kept = read(tmp_path / "second" / "adapter", SUMS).tensors()
    lora = [name for name in tensors if name.startswith("lora.")]
    assert lora and all(torch.equal(tensors[name], kept[name]) for name in lora)
    assert any(tensors[name].any() for name in lora if name.endswith(".B")), "it had learned something"
    assert not second.model.shared()


def test_frozen_weights_leave_encoder_and_head_alone_to_learn(
    pools: list[Path], base: Path, tmp_path: Path
) -> None:
    lessons = list(taught(pools[:1]).values())
    run = SharedLearning(lessons, shape(base, train=FROZEN), tmp_path, SETTINGS, lambda text: None)
    before = {name: each.clone() for name, each in run.model.llm.state_dict().items()}
    run.go()
    assert all(torch.equal(each, before[name]) for name, each in run.model.llm.state_dict().items())
    assert not any(name.startswith("lora.") for name in read(tmp_path / "adapter", LARGER).tensors())


class _Killed(Exception):
    pass


def test_a_killed_run_goes_on_as_if_it_had_not_been(
    pools: list[Path], base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made(pools, base, tmp_path / "whole")
    whole.go()
    learn, asked = SharedLearning.learn, []

    def dies(self: SharedLearning, lesson: Lesson, turn: int) -> None:
        asked.append(turn)
        if len(asked) == 6:
            raise _Killed
        learn(self, lesson, turn)

    with monkeypatch.context() as patched:
        patched.setattr(SharedLearning, "learn", dies)
        with pytest.raises(_Killed):
            made(pools, base, tmp_path / "killed").go()
    again = made(pools, base, tmp_path / "killed")
    assert again.step == 4, "of eight, at the last checkpoint"
    again.go()
    assert again.losses == whole.losses
    for task in TOYS:
        mine, other = (read(tmp_path / name / "adapter", task).tensors() for name in ("killed", "whole"))
        assert all(torch.equal(mine[name], other[name]) for name in other)
    assert not (tmp_path / "killed" / learning.CHECKPOINT).exists()


def test_a_checkpoint_of_another_run_is_not_gone_on_from(
    pools: list[Path], base: Path, tmp_path: Path
) -> None:
    run = made(pools, base, tmp_path)
    run._save()
    with pytest.raises(AdaptError, match="of another run; name another --out"):
        SharedLearning(run.lessons[:1], shape(base), tmp_path, SETTINGS, lambda text: None)


def test_what_is_claimed_is_run_first_and_nothing_twice() -> None:
    runs = planned(("b", "a"), (1, 2), (1.0, 100.0))
    assert runs[0] == Run("own", "pretrained", ("a",), 1)
    assert runs[2] == Run("shared", "pretrained", ("a", "b"), 1)
    moved = Run("transfer", "pretrained", ("a",), 1, 1.0, ("b",))
    assert runs[6] == moved and moved.source == Run("own", "pretrained", ("b",), 1)
    assert len(set(runs)) == len(runs) and len({run.key for run in runs}) == len(runs)
    claims = [place for place, run in enumerate(runs) if run.backbone in ("pretrained", "frozen-random")]
    assert claims == list(range(len(claims)))
    assert all(run.setup == "own" for run in planned(("a",), (1,), (100.0,)))


def test_the_command_runs_what_is_missing_and_prints_it(
    pools: list[Path], base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["generalist", "run", "--pool", *map(str, pools), "--out", str(out), "--base", str(base)]
    words += ["--layers", "2", "--rank", "4", "--hidden", "16", "--steps", "2", "--tokens", "24"]
    words += ["--seeds", "1", "--percent", "10,100"]
    assert main([*words, "--only", "pretrained"]) == 0
    said = capsys.readouterr().out
    assert (
        "On these: no small net." in said
        and "| shared, pretrained |" in said
        and "generalist: open" in said
        and "transfer: open" in said
    )
    files = sorted(path.name for path in (out / rows.FOLDER).iterdir())
    assert "shared-pretrained-larger+sums-100-1.jsonl" in files
    assert "transfer-pretrained-sums-from-larger-10-1.jsonl" in files
    (out / rows.FOLDER / files[0]).unlink()  # as if it had been killed before
    assert main([*words, "--only", "pretrained", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdicts"] == {"generalist": "open", "transfer": "open"}
    assert sorted(path.name for path in (out / rows.FOLDER).iterdir()) == files
    assert main(["generalist", "figure", "--out", str(out), "--plot", str(tmp_path / "f.png")]) == 0
    assert (tmp_path / "f.png").stat().st_size > 0
    whole = tmp_path / "rows.jsonl"
    assert main(["generalist", "table", "--out", str(out), "--into", str(whole)]) == 0
    capsys.readouterr()
    assert main(["generalist", "table", "--rows", str(whole)]) == 0
    assert capsys.readouterr().out == said
    assert main([*words, "--steps", "3", "--only", "pretrained"]) == 2
    assert "was run with steps 2, not 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--out", "x"], "name the pools"),
        (["table", "--rows", "nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["run", "--pool", "nowhere", "--out", "x"], "nowhere: no pool"),
    ],
)
def test_what_makes_no_study_is_refused_in_a_line(
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["generalist", *words]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
