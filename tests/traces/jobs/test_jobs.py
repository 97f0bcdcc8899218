"""Jobs: faults, published files, the generated family, words for sequences."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_jobs import sequence, spread, stage
from traces.jobs import __main__ as command
from traces.jobs.catalogue import job_sequences
from traces.jobs.fit import fit
from traces.jobs.generator import member, tasks_of
from traces.jobs.job import Job, JobError, faults_of
from traces.jobs.model import model_of, tpch_model
from traces.jobs.sequence import JobSequence, published_sequence
from traces.jobs.tpch_files import QUERIES, SIZES, read_job, read_library


def test_what_is_no_job_is_told() -> None:
    good = stage(3)
    assert faults_of(Job("a", (good, stage(1, (0,))))) == []
    for stages, said in [
        ((), "0 stages"),
        ((stage(0),), "0 tasks"),
        ((stage(1, (7,)),), "parent 7"),
        ((stage(1, (1,)), stage(1, (0,))), "stages 0, 1 wait for each other"),
        ((stage(1, (0,)),), "wait for each other, or for themselves"),
        ((stage(1, levels=(7000,)),), "7000 executors"),
        ((stage(1, first_ms=float("nan")),), "no number of ms"),
        ((dataclasses.replace(good, durations={**good.durations, "first": {5: spread()}}),), "first task"),
    ]:
        assert said in "; ".join(faults_of(Job("a", stages)))


def test_a_sequence_has_jobs_in_order() -> None:
    with pytest.raises(JobError, match="the first at 0"):
        sequence([[stage(1)], [stage(1)]], (5.0, 3.0))
    with pytest.raises(JobError, match="1 jobs, 2 arrivals"):
        sequence([[stage(1)]], (0.0, 1.0))


def published_folder(folder: Path) -> Path:
    """A chain of two stages, of every query and size."""
    first = {2: [500, 90], 5: [400, 90, 80], 10: [700]}
    fresh = {2: [500], 5: [400], 10: [700]}
    rest = {2: [30, 31, 32], 5: [30, 31], 10: []}
    told = {place: {"first_wave": first, "fresh_durations": fresh, "rest_wave": rest} for place in range(2)}
    for size in SIZES:
        (folder / size).mkdir(parents=True)
        for query in range(1, QUERIES + 1):
            np.save(folder / size / f"adj_mat_{query}.npy", np.array([[0.0, 1.0], [0.0, 0.0]]))
            np.save(folder / size / f"task_duration_{query}.npy", told, allow_pickle=True)  # type: ignore[arg-type]
    return folder


def test_published_files_are_read_as_the_published_environment_does(tmp_path: Path) -> None:
    job = read_job(published_folder(tmp_path / "jobs") / "5g", 3)
    first, second = job.stages
    assert (job.name, first.parents, second.parents, first.tasks) == ("tpch-q3-5g", (), (0,), 5)
    # fresh ones are not in the first wave; a level without any has those of the level below
    assert first.durations["first"][2].values.tolist() == [90.0]
    assert first.durations["first"][10].values.tolist() == [90.0, 80.0]
    assert first.durations["fresh"][10].values.tolist() == [700.0]
    every = [500, 400, 700, 90, 90, 80, 90, 80, 30, 31, 32, 30, 31]
    assert first.rough_ms == pytest.approx(sum(every) / len(every))


def test_published_sequences_are_those_of_the_seed(tmp_path: Path) -> None:
    library = read_library(published_folder(tmp_path / "jobs"))
    made = published_sequence(library, 5, 4)
    random = np.random.default_rng(5)
    at_ms = 0.0
    for job, arrival in zip(made.jobs, made.arrivals_ms, strict=True):
        query, size = 1 + random.integers(22), random.choice(list(SIZES))
        assert (job.name, arrival) == (f"tpch-q{query}-{size}", at_ms)
        at_ms += random.exponential(25_000.0)
    named = job_sequences(f"{tmp_path}/jobs[5:7]", 4)
    assert [one.name for one in named] == ["published/5", "published/6"]
    assert named[0].sha256 == made.sha256 != named[1].sha256


def test_a_member_is_the_same_everywhere() -> None:
    """Numbers that were made on another machine."""
    made = member(17, 30)
    assert made.sha256 == SHA_OF_17
    assert member(17).first(30).sha256 == made.sha256
    assert member(18, 30).sha256 != made.sha256
    assert made.arrivals_ms.dtype == np.float64 and (made.arrivals_ms == np.floor(made.arrivals_ms)).all()
    assert all(faults_of(job) == [] for job in made.jobs)


SHA_OF_17 = "2cea8c21bd1f0c0a81f06ec53d2f9efb903c5275185b91186a23ff364b68ee73"


def test_members_are_like_the_measured_jobs() -> None:
    """22 queries of 9.18 stages and 1237 tasks in the mean; gaps of 25 s; 48 % of stages have 200 tasks."""
    jobs = [job for index in range(4) for job in member(index, 100).jobs]
    gaps = np.concatenate([np.diff(member(index, 100).arrivals_ms) for index in range(4)])
    stages = [stage for job in jobs for stage in job.stages]
    assert np.mean([len(job.stages) for job in jobs]) == pytest.approx(9.18, rel=0.08)
    assert np.mean([job.tasks for job in jobs]) == pytest.approx(1155.0, rel=0.15)
    assert np.mean(gaps) == pytest.approx(25_000.0, rel=0.15)
    assert np.mean([stage.tasks == 200 for stage in stages]) == pytest.approx(0.48, abs=0.05)
    assert np.std([command.job_work_s(job) for job in jobs]) > np.mean(
        [command.job_work_s(job) for job in jobs]
    )


def test_scans_grow_with_the_job() -> None:
    scan = next(stage for query in tpch_model().queries for stage in query if stage.tasks_per_gb > 5.0)
    assert tasks_of(scan, 100.0) == pytest.approx(50 * tasks_of(scan, 2.0), rel=0.05)


def test_the_model_is_read_as_it_is_written(tmp_path: Path) -> None:
    model = tpch_model()
    assert model_of(json.loads(json.dumps(model.to_json())), "x") == model
    with pytest.raises(JobError, match="schema 9"):
        model_of({**model.to_json(), "schema": 9}, "x")
    with pytest.raises(JobError, match="not the figures of a family"):
        model_of({**model.to_json(), "queries": [[{}]]}, "x")


def test_a_fit_says_what_is_in_the_files(tmp_path: Path) -> None:
    model = fit(read_library(published_folder(tmp_path / "jobs")), "mine", "mine")
    first, second = model.queries[0]
    assert (first.role, second.role, first.tasks, first.tasks_per_gb) == ("root", "sink", 5, 0.0)
    assert np.exp(first.log_ms) == pytest.approx([700.0, 85.0, 85.0], rel=1e-2)  # no rest with 10: the first
    assert member(0, 3, model=model).name == "mine/0"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tpch[3:3]", "0 sequences"),
        ("tpch[0:5000]", "5000 sequences"),
        ("nothing[0:2]", "no jobs are named by 'nothing\\[0:2\\]'"),
        ("tpch[0:", "no jobs are named"),
    ],
)
def test_words_that_name_no_jobs(word: str, said: str) -> None:
    with pytest.raises(JobError, match=said):
        job_sequences(word)


def test_words_that_name_jobs() -> None:
    assert [one.name for one in job_sequences("tpch[2:4]", 2)] == ["tpch/2", "tpch/3"]
    assert isinstance(job_sequences("tpch/5", 2)[0], JobSequence)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = published_folder(tmp_path / "jobs")
    assert command.main(["lint", str(folder)]) == 0
    assert "154 jobs, 0 faults" in capsys.readouterr().out
    (folder / "2g" / "task_duration_7.npy").write_bytes(b"no")
    assert command.main(["lint", str(folder)]) == 1
    assert "2g/task_duration_7.npy: no .npy file" in capsys.readouterr().out
    assert command.main(["fit", str(tmp_path), "--out", str(tmp_path / "m.json")]) == 2
    assert "no folder of published jobs" in capsys.readouterr().err
    assert command.main(["show", "tpch/3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sequences"][0]["jobs"] == 200
