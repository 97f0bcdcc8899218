"""`explain`: a record replayed decides as it did, occlusion is the exact ablation, what is said to change a
decision does, and no record of somebody's steers anything."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from player.explained.file import explanation_path, read_explanation
from player.qoe import QoE
from player.record import EndRow, RecordError, RecordWriter
from player.sections import video_section
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from policies.explain import distilled, occlusion
from policies.explain.adapters import SIX_LEVELS
from policies.explain.agreement import agreement, compared, exactly
from policies.explain.inputs import INPUTS
from policies.explain.occlusion import Occlusion, modality_masks
from policies.explain.otherwise import PROBES, Probing
from policies.explain.replayed import PlayedSession, TaskSteps, played_session
from policies.llm.__main__ import main
from policies.llm.engine.engine import Engine
from policies.llm.model.adapter import read
from policies.llm.model.tiny import tiny_adapter
from policies.llm.serving.local import shared_engine
from policies.llm.task import NextSteps
from policies.llm.tasks.ladder.policy import NetLLM
from policies.llm.tasks.ladder.task import TASK
from policies.view import layout
from traces.safe_reading import BadFileError
from traces.trace import Trace

CHUNKS = 12
SLOTS = 2 + len(TASK.modalities) + occlusion.RECENT + PROBES
ESCAPE = "\x1b[31m"


def video_of(levels: int, chunks: int = CHUNKS) -> Video:
    ladder = [round(200 * 1.6**level) for level in range(levels)]
    swing = np.random.default_rng(levels).uniform(0.8, 1.2, chunks)
    sizes = tuple(tuple(round(rate * 500 * each) for rate in ladder) for each in swing)
    return Video(f"levels-{levels}", 4.0, tuple(ladder), sizes)


def trace_of(seed: int = 1) -> Trace:
    rates = np.random.default_rng(seed).uniform(0.2, 2.5, 100)
    return Trace(f"made-{seed}", tuple(map(float, range(100))), tuple(rates.tolist()))


@pytest.fixture(autouse=True)
def _nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_adapter(TASK, tmp_path_factory.mktemp("tiny"))


def a_record(path: Path, folder: Path, levels: int = 6, **manifest: Any) -> Path:
    """A session that the adapter has decided."""
    video, qoe = video_of(levels), QoE(mu=3.0)
    policy = NetLLM("none", adapter=str(folder))
    rows, end = simulate(
        video, trace_of(), policy, seed=0, qoe=qoe, link=PublishedLink(), chunks=CHUNKS, first_level=None
    )
    facts: dict[str, Any] = {
        "simulated": True,
        "video": video_section(video).to_json(),
        "policy": {
            "spec": "netllm",
            "name": "netllm",
            "weights_sha256": read(folder, TASK).sha256,
            "arithmetic": policy.arithmetic,
        },
        "told_qoe": asdict(qoe),
        "player": {"buffer_cap_s": 60.0},
        "link": {"model": "published", "rtt_ms": 80.0},
    }
    with RecordWriter(path, facts | manifest) as writer:
        for row in rows:
            writer.chunk(row)
        writer.finish(end)
    return path


@pytest.fixture
def told(tmp_path: Path, adapter: Path) -> PlayedSession:
    return played_session(a_record(tmp_path / "netllm.jsonl", adapter))


@pytest.fixture
def engine(adapter: Path) -> Iterator[Engine]:
    """The engine that the sessions of these tests are decided by."""
    found = shared_engine(TASK.name, adapter.absolute(), "auto", "auto")
    assert isinstance(found, Engine)
    free = found.book.free
    yield found
    assert found.book.free == free  # whoever explains gives all slots back


def test_a_replayed_record_decides_as_it_did(told: PlayedSession, engine: Engine, adapter: Path) -> None:
    seen = Occlusion(engine, TaskSteps.of(told))
    levels = [seen.at(chunk).chosen for chunk in range(CHUNKS)]
    seen.close()
    assert levels == [row.level for row in told.rows]
    assert len(set(levels)) > 1


def test_occlusion_is_the_exact_ablation(told: PlayedSession, engine: Engine, adapter: Path) -> None:
    session = TaskSteps.of(told)
    seen, pairs = Occlusion(engine, session), []
    for chunk in range(CHUNKS):
        cheap = seen.at(chunk)
        exact = exactly(engine, session, chunk, cheap)
        for name, scores in exact.modalities.items():
            np.testing.assert_allclose(cheap.modalities[name], scores, atol=1e-3)
        assert list(cheap.chunks) == list(range(max(chunk - occlusion.RECENT, 1), chunk))
        for place, scores in exact.chunks.items():
            np.testing.assert_allclose(cheap.chunks[place], scores, atol=1e-3)
        pairs += [one] if (one := compared(engine, session, chunk, cheap, 0.0, 0)) else []
    seen.close()
    assert agreement(pairs)["same_order"] >= 0.95


def test_one_decision_alone_is_the_one_of_the_whole_session(
    told: PlayedSession, engine: Engine, adapter: Path
) -> None:
    session = TaskSteps.of(told)
    whole, alone = Occlusion(engine, session), Occlusion(engine, session)
    for chunk in range(CHUNKS):
        last = whole.at(chunk)
    once = alone.at(CHUNKS - 1)
    whole.close()
    alone.close()
    for one, other in zip(last.contributions(), once.contributions(), strict=True):
        assert one.keys() == other.keys()
        np.testing.assert_allclose(list(one.values()), list(other.values()), atol=1e-3)


def test_what_is_withheld_is_one_modality_and_no_option_of_a_pointer(
    told: PlayedSession, engine: Engine, adapter: Path
) -> None:
    session = TaskSteps.of(told)
    rows = np.stack([
        TASK.features(step, past, session.context)
        for step, past in zip(session.steps, session.pasts, strict=True)
    ])  # fmt: skip
    masks = modality_masks(engine)
    assert list(masks) == [each.name for each in TASK.modalities]
    begin = 0
    for each in TASK.modalities:
        without, inside = masks[each.name](rows), slice(begin, begin + each.size)
        outside = np.ones(rows.shape[1], bool)
        outside[inside] = False
        np.testing.assert_array_equal(without[:, outside], rows[:, outside])
        begin += each.size
    options = layout.options_of(masks["levels"](rows))
    np.testing.assert_array_equal(options[:, :, 0], layout.options_of(rows)[:, :, 0])


def test_what_is_said_to_change_a_decision_does_and_a_little_less_does_not(
    told: PlayedSession, engine: Engine, adapter: Path
) -> None:
    session = TaskSteps.of(told)
    probing, nearer = Probing(engine, session), []

    def chosen(chunk: int, step: Any) -> int:
        """In a slot of its own, step by step, as a client is answered."""
        slot, past = engine.open(), TASK.empty
        for each in (*session.steps[:chunk], step):
            (row,) = TASK.fill([NextSteps([each], past, session.context)])
            past = TASK.after(past, each)
            (output,) = engine.forward([(slot, row)])
        engine.close(slot)
        return int(TASK.scores(output, row[0]).argmax())

    for chunk in range(0, CHUNKS, 2):
        step = session.steps[chunk]
        own = chosen(chunk, step)
        for each in probing.at(chunk):
            assert each.chosen != own
            assert chosen(chunk, each.given.put(step, each.becomes)) == each.chosen
            between = each.becomes + (each.was - each.becomes) / 20.0
            nearer.append(chosen(chunk, each.given.put(step, between)) == own)
        assert chosen(chunk, step) == own
    probing.close()
    assert np.mean(nearer) > 0.7  # what changes a decision back within a twentieth of the way is rare


def test_inputs_are_put_one_at_a_time(told: PlayedSession, adapter: Path) -> None:
    step = TaskSteps.of(told).steps[5]
    for each in INPUTS:
        was = each.value(step)
        assert was is not None
        below, above = each.tried(step)
        for value in (*below, *above):
            put = each.put(step, value)
            assert each.name == "next chunk's size" or each.value(put) == pytest.approx(value)
            assert (
                put.chunks_left == step.chunks_left and put.next_sizes_bytes[1:] == step.next_sizes_bytes[1:]
            )
        assert all(value < was for value in below) and all(value > was for value in above)


def test_the_command_says_it_and_writes_it_beside_the_record(
    tmp_path: Path, adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = a_record(tmp_path / "netllm.jsonl", adapter)
    assert main(["explain", str(path), "--adapter", str(adapter), "--no-tree"]) == 0
    out = capsys.readouterr().out
    assert f"of the task {TASK.name}" in out and "not the model's choice" not in out
    found = read_explanation(path)
    assert found is not None and found.decisions is not None and len(found.decisions) == CHUNKS
    assert found.modalities == tuple(each.name for each in TASK.modalities)
    assert all(each.level == each.recorded and each.by == "llm" for each in found.decisions)
    assert main(["explain", str(path), "--adapter", str(adapter), "--no-tree", "--chunk", "7"]) == 0
    alone = capsys.readouterr().out
    assert f"chunk 7: the model chooses level {found.decisions[7].level}" in alone
    assert "recent chunks     " in alone


def test_a_tree_is_distilled_once_and_its_fidelity_is_said(
    tmp_path: Path, adapter: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_record(tmp_path / "netllm.jsonl", adapter)
    words = ["explain", str(path), "--adapter", str(adapter), "--tree-sessions", "8", "--chunk", "5"]
    assert main([*words, "--show-tree"]) == 0
    assert "of decisions of 4 sessions that it was not grown on" in " ".join(capsys.readouterr().out.split())
    monkeypatch.setattr(distilled, "session_course", None)  # it would play again
    assert main([*words, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["records"]
    assert 0.0 <= found["tree"]["fidelity"] <= 1.0 and found["decisions"][0]["tree_path"]
    kept = next((tmp_path / "cache").rglob("*.json"))
    kept.write_text('{"branches": []}')
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main([*words, "--json"]) == 0  # a damaged one is made anew


def test_a_record_of_another_adapter_is_refused_in_a_line_but_for_anyway(
    tmp_path: Path, adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = a_record(tmp_path / "x.jsonl", adapter, policy={
        "spec": "netllm", "name": f"net{ESCAPE}llm", "weights_sha256": f"{ESCAPE}abc"})  # fmt: skip
    words = ["explain", str(record), "--no-tree", "--chunk", "3"]
    for named in ([], ["--adapter", str(adapter)]):
        assert main([*words, *named]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "--anyway" in error and "\x1b" not in error
    assert main([*words, "--adapter", str(adapter), "--anyway"]) == 0
    by_rule = a_record(tmp_path / "y.jsonl", adapter, policy={"spec": "bba", "name": "bba"})
    assert main(["explain", str(by_rule), "--no-tree"]) == 2
    assert "bba, which has no adapter" in capsys.readouterr().err


@pytest.mark.parametrize("sha256", SIX_LEVELS)
def test_a_record_of_six_levels_says_that_its_adapter_is_gone(
    tmp_path: Path, adapter: Path, capsys: pytest.CaptureFixture[str], sha256: str
) -> None:
    decided = {"spec": "netllm", "name": "netllm", "weights_sha256": sha256}
    record = a_record(tmp_path / "x.jsonl", adapter, policy=decided)
    assert main(["explain", str(record), "--no-tree"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"weights {sha256[:12]}, which chose among six levels alone" in error
    assert "decide it again with today's, or --anyway" in error


@pytest.mark.parametrize(
    ("section", "value", "word"),
    [
        ("video", video_section(video_of(6, chunks=5)).to_json(), "12 chunks came of a video of 5"),
        (
            "video",
            {"name": "a", "chunk_s": 4.0, "ladder_kbps": [300, 750, 1200, 1850, 2850, 4300]},
            "missing",
        ),
        ("told_qoe", {"kind": "best", "mu": 1.0, "smooth": 1.0}, "told_qoe"),
        ("told_qoe", {"colour": 1.0}, "told_qoe"),
        ("player", {"buffer_cap_s": 0.0}, "buffer_cap_s"),
    ],
)
def test_a_record_that_lacks_what_a_decision_needs_is_refused(
    tmp_path: Path,
    adapter: Path,
    capsys: pytest.CaptureFixture[str],
    section: str,
    value: dict[str, Any],
    word: str,
) -> None:
    path = a_record(tmp_path / "x.jsonl", adapter, **{section: value})
    assert main(["explain", str(path), "--adapter", str(adapter), "--no-tree"]) == 2
    error = capsys.readouterr().err
    assert word in error and str(path) in error and error.count("\n") == 1


def test_a_chunk_that_is_not_there(tmp_path: Path, adapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = a_record(tmp_path / "x.jsonl", adapter)
    assert main(["explain", str(path), "--adapter", str(adapter), "--chunk", "12"]) == 2
    assert "chunks 0 to 11" in capsys.readouterr().err


@pytest.mark.parametrize("levels", [3, 10])
def test_a_ladder_of_any_length_is_explained(
    tmp_path: Path, adapter: Path, capsys: pytest.CaptureFixture[str], levels: int
) -> None:
    path = a_record(tmp_path / "x.jsonl", adapter, levels)
    assert main(["explain", str(path), "--adapter", str(adapter), "--no-tree", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["records"]
    assert [each["level"] for each in found["decisions"]] == [each["recorded"] for each in found["decisions"]]
    assert all(0 <= each["runner_up"] < levels for each in found["decisions"])


def test_numbers_that_no_model_can_be_fed_are_refused(
    told: PlayedSession, engine: Engine, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Occlusion(engine, TaskSteps.of(told))
    monkeypatch.setattr(engine, "forward", lambda work: np.full((len(work), TASK.head.width), np.nan))
    with pytest.raises(RecordError, match="chunk 0: its numbers are beyond"):
        seen.at(0)
    seen.close()


def test_a_pipe_is_no_record_and_nobody_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "x.jsonl")
    assert main(["explain", str(tmp_path / "x.jsonl")]) == 2
    assert "a pipe" in capsys.readouterr().err


def test_a_session_of_one_chunk_and_one_cut_short(
    tmp_path: Path, adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = a_record(tmp_path / "whole.jsonl", adapter)
    lines = whole.read_text().splitlines()
    end = json.loads(lines[-1])
    for count in (1, 5):
        path = tmp_path / f"{count}.jsonl"
        last = json.dumps(end | {"chunks": count, "outcome": "interrupted"})
        path.write_text("\n".join([*lines[: count + 1], last]) + "\n")
        assert main(["explain", str(path), "--adapter", str(adapter), "--no-tree", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)["records"]
        assert [each["level"] for each in found["decisions"]] == [
            each["recorded"] for each in found["decisions"]
        ]


def test_an_explanation_of_what_the_record_was_before_is_not_taken(
    tmp_path: Path, adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = a_record(tmp_path / "x.jsonl", adapter)
    assert read_explanation(path) is None
    assert main(["explain", str(path), "--adapter", str(adapter), "--no-tree"]) == 0
    assert read_explanation(path) is not None
    path.write_text(path.read_text() + " ")
    with pytest.raises(BadFileError, match="of another record"):
        read_explanation(path)
    for damage in ("[]", "{}", '{"format": 1}', '{"format": 9, "modalities": []}', "{"):
        explanation_path(path).write_text(damage)
        with pytest.raises(BadFileError):
            read_explanation(path)


def test_a_long_session_that_begins_its_context_anew(tmp_path: Path, adapter: Path) -> None:
    session = TaskSteps.of(played_session(a_record(tmp_path / "x.jsonl", adapter)))
    engine = Engine(TASK, adapter, device="cpu", slots=SLOTS, max_steps=5, threads=1, alike=True)
    seen, probing = Occlusion(engine, session), Probing(engine, session)
    for chunk in range(CHUNKS):
        cheap = seen.at(chunk)
        before = cheap.scores.copy()
        probing.at(chunk)
        exact = exactly(engine, session, chunk, cheap)
        np.testing.assert_allclose(exact.scores, before, atol=1e-3)
        for name, scores in exact.modalities.items():
            np.testing.assert_allclose(cheap.modalities[name], scores, atol=1e-3)
    seen.close()
    probing.close()
    assert engine.book.free == SLOTS


def test_steps_stand_in_the_place_of_as_many(tmp_path: Path, adapter: Path) -> None:
    engine = Engine(TASK, adapter, device="cpu", slots=2, max_steps=8, threads=1, alike=True)
    rows = np.random.default_rng(1).normal(size=(6, TASK.width)).astype(np.float32)
    one, other = engine.open(), engine.open()
    engine.forward([(one, rows[:4])])
    (changed,) = engine.instead([(one, rows[4:5])])
    (plain,) = engine.forward([(other, np.concatenate([rows[:3], rows[4:5]]))])
    np.testing.assert_allclose(changed, plain, atol=1e-4)
    with pytest.raises(ValueError, match="to put back"):
        engine.instead([(one, np.repeat(rows, 2, axis=0))])


def test_a_light_policys_chunks_are_marked(
    tmp_path: Path, adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = played_session(a_record(tmp_path / "x.jsonl", adapter))
    rows = [
        replace(row, level=(row.level + 1) % 6, by="light") if row.chunk == CHUNKS - 1 else row
        for row in record.rows
    ]
    path = tmp_path / "light.jsonl"
    with RecordWriter(
        path, {key: value for key, value in record.record.manifest.items() if key != "line"}
    ) as out:
        for row in rows:
            out.chunk(row)
        out.finish(EndRow(**vars(record.record.end)))
    assert main(["explain", str(path), "--adapter", str(adapter), "--no-tree"]) == 0
    assert "1 of 12 levels in the record are not the model's choice, marked *" in capsys.readouterr().out
