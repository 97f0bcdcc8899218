"""Readings of /proc: parsed whatever is in them, differences in shares, and files that are not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.machine.lateness import lateness_of, look
from testbed.machine.readings import (
    TICKS_PER_S,
    CpuTimes,
    MachineReading,
    RunQueue,
    parse_cpus,
    parse_pressure,
    parse_process,
    parse_run_queue,
    parse_running,
    read_machine,
    time_of_family,
)

STAT = """\
cpu  300 20 100 4000 40 5 15 60 0 0
cpu0 100 10 50 2000 20 5 5 10 7 0
cpu1 200 10 50 2000 20 0 10 50 0 0
intr 1 0 0
procs_running 3
procs_blocked 0
"""


def reading(
    at_s: float, *cpus: CpuTimes, pressure_s: float | None = None, ours_s: float = 0.0
) -> MachineReading:
    return MachineReading(at_s, cpus, pressure_s, {}, ours_s)


def test_every_processor_is_read_on_its_own() -> None:
    first, second = parse_cpus(STAT)
    assert first == CpuTimes(170 / TICKS_PER_S, 2020 / TICKS_PER_S, 10 / TICKS_PER_S)
    assert second.steal_s == 50 / TICKS_PER_S
    assert parse_running(STAT) == 3


def test_an_old_kernel_without_steal_has_none_of_it() -> None:
    (only,) = parse_cpus("cpu0 100 10 50 2000\n")
    assert only == CpuTimes(160 / TICKS_PER_S, 2000 / TICKS_PER_S, 0.0)


def test_pressure_is_that_of_some_task_in_seconds() -> None:
    text = "some avg10=2.30 avg60=1.11 avg300=0.47 total=3946683\nfull avg10=0.00 avg60=0 avg300=0 total=17\n"
    assert parse_pressure(text) == 3.946683
    assert parse_pressure("") is None
    assert parse_pressure("full total=17\n") is None


def test_a_run_queue_is_in_seconds() -> None:
    assert parse_run_queue("1500000000 250000000 12\n") == RunQueue(1.5, 0.25)
    assert parse_run_queue("") is None


def test_a_name_with_blanks_and_brackets_does_not_shift_the_fields() -> None:
    line = f"77 (a) b (c)) S 5 77 77 0 -1 4194560 1 2 3 4 {TICKS_PER_S} {TICKS_PER_S} 0 {TICKS_PER_S} 20 0 1"
    assert parse_process(line) == (5, 3.0)
    assert parse_process("77 (gone") is None


@given(st.text())
def test_no_text_is_too_strange_to_be_read(text: str) -> None:
    parse_cpus(text)
    parse_running(text)
    parse_pressure(text)
    parse_run_queue(text)
    parse_process(text)


@given(st.lists(st.lists(st.integers(0, 2**60), max_size=12), max_size=6))
def test_whatever_ticks_there_are_none_is_counted_twice(ticks: list[list[int]]) -> None:
    lines = [f"cpu{number} {' '.join(map(str, row))}" for number, row in enumerate(ticks)]
    found = parse_cpus("\n".join(lines))
    assert len(found) == len(ticks)
    for one, row in zip(found, ticks, strict=True):
        assert one.total_s == pytest.approx(sum(row[:8]) / TICKS_PER_S)


def test_a_family_is_all_that_descend_from_it_and_nobody_else() -> None:
    processes = {1: (0, 100.0), 10: (1, 1.0), 11: (10, 2.0), 12: (11, 4.0), 20: (1, 8.0)}
    assert time_of_family(processes, 10) == 7.0
    assert time_of_family({10: (11, 1.0), 11: (10, 2.0)}, 10) == 3.0  # a circle ends
    assert time_of_family({}, 10) == 0.0


def test_shares_are_of_all_processors_time() -> None:
    before = reading(10.0, CpuTimes(0, 0, 0), CpuTimes(5, 5, 5), pressure_s=1.0, ours_s=2.0)
    after = reading(20.0, CpuTimes(3, 6, 1), CpuTimes(6, 14, 5), pressure_s=3.5, ours_s=4.0)
    change = after.since(before)
    assert (change.cpus, change.duration_s) == (2, 10.0)
    assert (change.steal, change.steal_worst_cpu) == (0.05, 0.1)
    assert (change.busy, change.idle) == (0.2, 0.75)
    assert change.pressure == 0.25
    assert change.others_cores == 0.2  # 4 s busy, 2 of them ours, over 10 s
    assert change.stolen_of_wanted == pytest.approx(0.2)


def test_an_idle_machines_steal_is_not_blown_up() -> None:
    before = reading(0.0, CpuTimes(0, 0, 0))
    change = reading(10.0, CpuTimes(0.01, 9.98, 0.01)).since(before)
    assert change.stolen_of_wanted == pytest.approx(0.02)


def test_waiting_is_told_of_processes_that_were_there_both_times() -> None:
    before = MachineReading(0.0, (), None, {"shaper": RunQueue(1, 0.5), "relay": RunQueue(1, 0)}, 0.0)
    after = MachineReading(2.0, (), None, {"shaper": RunQueue(2, 0.6), "new": RunQueue(0, 9)}, 0.0)
    change = after.since(before)
    assert change.waits_ms_per_s == {"shaper": pytest.approx(50.0)}
    assert change.worst_wait_ms_per_s == pytest.approx(50.0)


def test_a_machine_that_tells_nothing_gives_none_and_no_fault(tmp_path: Path) -> None:
    found = read_machine([("shaper", os.getpid()), ("relay", None)], proc=tmp_path / "nowhere")
    change = found.since(found)
    assert (found.cpus, found.queues, change.steal, change.pressure) == ((), {}, None, None)
    assert (change.others_cores, change.worst_wait_ms_per_s, change.stolen_of_wanted) == (None, None, 0.0)
    assert change.cpus >= 1


def test_counters_that_step_back_are_no_time() -> None:
    change = reading(2.0, CpuTimes(1, 3, 0.9)).since(reading(0.0, CpuTimes(1, 2, 1.0)))
    assert (change.steal, change.idle) == (0.0, 1.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300))
def test_quantiles_of_lateness_are_in_order(late_s: list[float]) -> None:
    found = lateness_of(late_s, granted=True)
    assert found.p50_ms <= found.p99_ms <= found.max_ms == round(max(late_s) * 1e3, 3)


def test_one_late_wake_up_of_a_hundred_is_the_worst_and_not_the_99th() -> None:
    found = lateness_of([0.0001] * 99 + [0.02], granted=False)
    assert (found.p50_ms, found.p99_ms, found.max_ms, found.real_time) == (0.1, 0.1, 20.0, False)


def test_a_look_at_this_machine_tells_all_of_it() -> None:
    seen = look(0.02)
    assert 0.0 <= seen.lateness.p50_ms <= seen.lateness.max_ms
    assert seen.others >= 0.0 and seen.change.cpus >= 1
