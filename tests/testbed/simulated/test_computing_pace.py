"""The forecast of computed sessions is learned, policy by policy, and remembered."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from player.compiled.compiling import compiling_s
from testbed.simulated.computing_pace import FILE, ComputingPace, remembered
from testbed.simulated.first_use import telling_s, working_s
from traces.ownership import caller_cache_dir

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "streambed" / FILE


def test_each_policy_has_a_pace_of_its_own_and_the_loading_of_the_first_session_does_not_count() -> None:
    pace = ComputingPace()
    for took_s in (5.0, 0.1, 0.1, 0.1):
        pace.ended("model", 10, took_s)
    pace.ended("rule", 10, 0.01)
    assert pace.left_s({"model": 100, "rule": 100}, processes=1) == pytest.approx(1.0 + 0.1)
    assert pace.left_s({"model": 100, "rule": 100}, processes=2) == pytest.approx(0.55)


def test_a_batch_weighs_as_its_sessions_and_takes_its_time_once(cache: Path) -> None:
    pace = ComputingPace()
    pace.ended("model", 10, 5.0)
    pace.ended("model", 40, 0.4, sessions=4)
    assert pace.chunk_s("model") == pytest.approx(0.01)
    short = ComputingPace()
    short.ended("small", 400, 0.5, sessions=40)
    short.keep()
    assert not cache.exists()


def test_no_forecast_is_made_of_what_was_never_timed() -> None:
    pace = ComputingPace({"rule": 0.001})
    assert pace.words({"rule": 5000}, 1) == "about 5 s"
    assert pace.words({"rule": 5000, "model": 10}, 1).startswith("no run has timed model yet")
    pace.ended("model", 10, 10.0)
    assert pace.words({"rule": 5000, "model": 10}, 1) == "about 15 s"


def test_later_runs_know_it_and_a_lost_or_damaged_file_costs_only_that(cache: Path) -> None:
    pace = ComputingPace({"other": 1.0, "model": 0.5})
    pace.ended("model", 10, 10.0)
    pace.keep()
    assert remembered().known == {"other": 1.0, "model": 0.75}
    assert remembered().counts == {"other": 1, "model": 2}
    for damage in ("", "[1]", '{"a": ', '{"a": "b", "c": -1}', "\0"):
        cache.write_text(damage)
        assert remembered().known == {}
    cache.unlink()
    assert remembered().known == {}


def test_what_many_sessions_took_replaces_what_few_did(cache: Path) -> None:
    wrong = ComputingPace({"rule": 1.0}, {"rule": 5})
    for _ in range(500):
        wrong.ended("rule", 10, 0.1)
    wrong.keep()
    assert remembered().known["rule"] == pytest.approx(0.01, rel=1.0)
    known = remembered()
    for _ in range(2):
        known.ended("rule", 10, 10.0)
    known.keep()
    assert remembered().known["rule"] < 0.05
    cache.write_text('{"rule": 60.0}')  # an older version's
    assert (remembered().known, remembered().counts) == ({"rule": 60.0}, {"rule": 1})


def test_the_start_of_a_process_is_not_learned_as_the_time_of_a_session() -> None:
    def told(policy: str, took_s: float, sessions: int = 1) -> float:
        return telling_s(policy, "tcp", took_s, sessions)

    assert [told("start-1", 4.0), told("start-1", 0.03), told("start-2", 2.0)] == [0.0, 0.03, 0.0]
    assert told("start-3", 40.0) == 40.0  # the start is little beside it
    assert told("start-4", 4.0, sessions=100) == 4.0


def test_machine_code_is_no_part_of_the_time() -> None:
    import numba

    begun_s, made_s = working_s(), compiling_s()
    wall_s = time.perf_counter()
    assert numba.njit(lambda x: x + 1)(1) == 2
    wall_s, made_s = time.perf_counter() - wall_s, compiling_s() - made_s
    assert 0.0 < made_s <= wall_s
    assert working_s() - begun_s == pytest.approx(wall_s - made_s, abs=0.05)


def test_what_was_over_at_once_is_not_worth_remembering(cache: Path) -> None:
    pace = ComputingPace()
    pace.ended("rule", 1000, 0.5)
    pace.keep()
    assert not cache.exists()


def test_tests_leave_the_users_cache_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert ROOT in caller_cache_dir().parents
