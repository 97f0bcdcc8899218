"""The verdict on a link log: what is true passes, every kind of untruth is named."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.link.bucket import BURST_BYTES, bucket_bytes
from testbed.link.log import LinkRow, read_link_log
from testbed.link.shaper import LONGEST_STEP_S, pieces
from testbed.link.step_bytes import StepBytes, carried_bytes, step_bytes
from testbed.link.tbf import DARK_BYTES_PER_S, FRAME_BYTES, bytes_per_s
from testbed.verdict.evidence import Evidence
from testbed.verdict.judge import Verdict
from testbed.verdict.judge import judge as judge_evidence
from testbed.verdict.link_bounds import LATE_MAX_MS, NOTICE_S, UNLOGGED_S, repaid_bytes, windows
from traces.trace import Trace

RATE_MBPS = 8.0
STEP_BYTES = 1_000_000
"""What `RATE_MBPS` carries in the second that a step here lasts."""


def link_row(step: int, **changes: Any) -> LinkRow:
    """A second at `RATE_MBPS`, backlogged throughout, in which exactly that passed."""
    row = LinkRow(
        step=step,
        start_s=float(step),
        duration_s=1.0,
        late_ms=0.1,
        rate_mbps=RATE_MBPS,
        applied_bytes_per_s=STEP_BYTES,
        kernel_bytes_per_s=STEP_BYTES,
        measured_s=1.0,
        sent_bytes=STEP_BYTES,
        backlog_start_bytes=30_000,
        backlog_min_bytes=10_000,
        backlog_end_bytes=30_000,
        drops=0,
    )
    return dataclasses.replace(row, **changes)


def judge(rows: Sequence[LinkRow]) -> Verdict:
    """The verdict on a link log of which nothing else is known."""
    return judge_evidence(Evidence(rows))


def rows_with(count: int, where: Sequence[int] = (), **changes: Any) -> list[LinkRow]:
    """`count` true rows, of which those at `where` are changed."""
    return [link_row(step, **(changes if step in where else {})) for step in range(count)]


def test_a_true_link_is_valid() -> None:
    verdict = judge(rows_with(100, where=[7], drops=3))
    assert (verdict.valid, verdict.reasons) == (True, ())
    assert (verdict.steps, verdict.backlogged_steps) == (100, 100)
    assert (verdict.sent_bytes, verdict.drops) == (100 * STEP_BYTES, 3)
    assert (verdict.over_ratio, verdict.short_ratio, verdict.error_p95) == (0.0, 0.0, 0.0)


def test_an_empty_log_proves_nothing() -> None:
    verdict = judge([])
    assert not verdict.valid
    assert verdict.reasons == ("the link log is empty",)


def changing(count: int, late: dict[int, float]) -> list[LinkRow]:
    """Rows that alternate between 8 and 2 Mbit/s; those of `late` came so many ms late."""
    return [
        link_row(
            step,
            rate_mbps=RATE_MBPS if step % 2 == 0 else 2.0,
            sent_bytes=STEP_BYTES if step % 2 == 0 else STEP_BYTES // 4,
            late_ms=late.get(step, 0.0),
        )
        for step in range(count)
    ]


def test_a_rate_change_that_comes_far_too_late_is_named_also_where_the_rate_stays() -> None:
    verdict = judge(rows_with(100, [50], late_ms=LATE_MAX_MS + 50))
    assert verdict.reasons == ("a rate change came 300 ms late",)
    assert verdict.late_max_ms == LATE_MAX_MS + 50


@pytest.mark.parametrize(
    ("duration_s", "backlog_bytes", "backlogged"),
    [(1.0, 20_000, True), (0.1, 20_000, True), (0.02, 20_000, True), (0.02, 19_000, False)],
)
def test_a_short_step_is_backlogged_if_all_that_it_carries_was_waiting(
    duration_s: float, backlog_bytes: int, backlogged: bool
) -> None:
    """8 Mbit/s carry 20 kB in 20 ms: a queue of less may have been empty between two looks."""
    row = link_row(
        0,
        start_s=0.0,
        duration_s=duration_s,
        measured_s=duration_s,
        backlog_start_bytes=backlog_bytes,
        backlog_min_bytes=1514,
    )
    (found,) = step_bytes([row])
    assert found.backlogged == backlogged


def test_what_a_late_change_gives_and_the_next_takes_back_is_misplaced_once() -> None:
    """Late by 30 ms each, four changes within 4 s move 90 kB, but no run of steps has more than 22.5 kB too
    much or too few. Late on the way down only, two of them add up to 45 kB, where 29 are the most."""
    assert judge(changing(100, dict.fromkeys(range(40, 60), 30.0))).valid
    (said,) = judge(changing(100, dict.fromkeys(range(41, 60, 2), 30.0))).reasons
    assert "misplaced" in said


def test_late_changes_are_a_fault_by_the_bytes_they_misplace_within_a_chunks_time() -> None:
    """Of 2.5 MB in 4 s a hundredth and three frames may go astray: 29 kB, 39 ms at 6 Mbit/s less."""
    assert judge(changing(100, {50: 35.0})).valid
    (said,) = judge(changing(100, {50: 45.0})).reasons
    assert "misplaced" in said and "4 s" in said
    assert not judge(changing(100, {50: 25.0, 52: 25.0})).valid, "two within one chunk's time"
    assert judge(changing(100, {50: 25.0, 60: 25.0})).valid, "one chunk feels one of them"


def test_a_bound_on_late_changes_does_not_thin_with_the_sessions_length() -> None:
    late = {50: 25.0, 52: 25.0}
    assert not judge(changing(100, late)).valid
    assert not judge(changing(3000, late)).valid


def test_a_step_between_whose_readings_the_link_was_dark_has_an_error_all_the_same() -> None:
    """The shaper was away past the end of a backlogged step: both its readings lie in the dark one."""
    rows = rows_with(10)
    rows[4] = link_row(4, read_s=5.2, measured_s=0.1, sent_bytes=0)
    rows[5] = link_row(5, rate_mbps=0.0, read_s=5.3, measured_s=0.7, sent_bytes=0)
    assert step_bytes(rows)[4].carried == 0.0
    assert step_bytes(rows)[4].error == 0.0
    assert judge(rows).backlogged_steps == 9


def test_late_changes_between_equal_rates_misplace_nothing() -> None:
    assert judge(rows_with(100, range(100), late_ms=60.0)).valid


@pytest.mark.parametrize(
    "changes", [{"sent_bytes": STEP_BYTES * 13 // 12}, {"sent_bytes": STEP_BYTES * 11 // 12}]
)
def test_a_chunk_does_not_notice_one_step_but_two(changes: dict[str, Any]) -> None:
    assert judge(rows_with(6, [3], **changes)).valid
    assert not judge(rows_with(6, [3, 4], **changes)).valid
    assert not judge(rows_with(3000, [1003, 1004], **changes)).valid


def test_a_step_far_beyond_is_a_fault_even_alone() -> None:
    assert not judge(rows_with(100, [50], sent_bytes=STEP_BYTES * 2 // 3)).valid
    assert not judge(rows_with(100, [50], sent_bytes=STEP_BYTES * 4 // 3)).valid


def short_steps(sent: dict[int, int]) -> list[LinkRow]:
    """Steps of 20 ms at 8 Mbit/s, 20,000 bytes each, those of `sent` with so many."""
    changes: dict[str, Any] = {"duration_s": 0.02, "measured_s": 0.02}
    return [
        link_row(step, start_s=step * 0.02, sent_bytes=sent.get(step, 20_000), **changes)
        for step in range(500)
    ]


def test_what_moves_from_one_short_step_to_the_next_is_noticed_by_nobody() -> None:
    verdict = judge(short_steps({20: 6_000, 21: 34_000}))
    assert verdict.reasons == ()
    assert verdict.over_ratio == pytest.approx(0.14), (
        "of the tenth of a second that holds only what came late"
    )


def test_a_tenth_of_a_second_far_beyond_is_a_fault_however_short_its_steps() -> None:
    assert judge(short_steps(dict.fromkeys(range(20, 25), 40_000))).reasons == (
        "a tenth of a second passed more than the trace carries (+100.0%)",
    )
    assert judge(short_steps(dict.fromkeys(range(20, 25), 5_000))).reasons == (
        "a tenth of a second in which frames waited passed less than the trace carries (-75.0%)",
    )


def test_counters_that_run_backwards_are_named() -> None:
    verdict = judge(rows_with(10, [4], sent_bytes=-105_602, backlog_min_bytes=0))
    assert any("step 4: the bottleneck's counters ran backwards" in reason for reason in verdict.reasons)


def test_what_the_kernel_had_that_was_not_ours_is_said() -> None:
    verdict = judge(rows_with(10, [4, 5], foreign="the kernel had a limit of 3200 bytes"))
    assert verdict.reasons == ("step 4: the kernel had a limit of 3200 bytes (2 steps)",)


def test_a_log_that_ends_before_the_session_proves_nothing_of_the_rest() -> None:
    rows = rows_with(10)
    assert judge_evidence(Evidence(rows, elapsed_s=10 + UNLOGGED_S - 0.1)).valid
    verdict = judge_evidence(Evidence(rows, elapsed_s=10 + UNLOGGED_S + 0.1))
    assert verdict.reasons == ("the link log ends at 10.0 s and the session at 12.6 s",)


@given(st.lists(st.floats(0.01, 3.0), min_size=1, max_size=60))
def test_windows_cover_all_steps_and_are_no_longer_than_they_must_be(lengths: list[float]) -> None:
    starts = [0.0, *itertools.accumulate(lengths)]
    rows = [
        link_row(step, start_s=starts[step], duration_s=length, measured_s=length)
        for step, length in enumerate(lengths)
    ]
    steps = step_bytes(rows)
    found = list(windows(steps))
    assert {step for begin, end in found for step in range(begin, end)} == set(range(len(rows)))
    for begin, end in found:
        whole = steps[end - 1].end_s - steps[begin].start_s
        assert whole >= NOTICE_S or (begin, end) == (0, len(rows))
        shorter = [(begin + 1, end), (begin, end - 1)]
        assert end - begin == 1 or any(
            steps[last - 1].end_s - steps[first].start_s < NOTICE_S for first, last in shorter
        )


def test_a_rate_that_the_kernel_does_not_have_is_named_with_its_step() -> None:
    verdict = judge(rows_with(100, [41, 42], kernel_bytes_per_s=12_345))
    assert verdict.reasons == (
        "step 41: the kernel had 12345 bytes/s in force where 1000000 were set (2 steps)",
    )


@pytest.mark.parametrize("backlog_bytes", [10_000, 0])
def test_more_than_the_trace_carries_is_a_fault_even_of_an_idle_link(backlog_bytes: int) -> None:
    changes = {"sent_bytes": STEP_BYTES * 6 // 5, "backlog_min_bytes": backlog_bytes}
    verdict = judge(rows_with(100, [1, 2], **changes))
    assert verdict.reasons == ("4 s from 0.0 s on passed 10.0% more than the trace carries",)
    assert verdict.over_ratio == pytest.approx(0.2)


def test_less_than_the_trace_carries_is_a_fault_while_frames_wait() -> None:
    verdict = judge(rows_with(100, [1, 2, 3], sent_bytes=STEP_BYTES // 2))
    assert not verdict.valid
    assert any("passed 37.5% less than the trace carries" in reason for reason in verdict.reasons)
    assert not any("a backlogged step passed less" in reason for reason in verdict.reasons), "said once"
    assert verdict.short_ratio == pytest.approx(0.5)


def test_a_player_that_idles_takes_less_and_that_is_no_fault() -> None:
    rows = rows_with(100, range(100), sent_bytes=1000, backlog_min_bytes=FRAME_BYTES - 1)
    verdict = judge(rows)
    assert (verdict.valid, verdict.backlogged_steps) == (True, 0)


def test_a_bias_too_small_for_any_step_shows_in_the_sum() -> None:
    verdict = judge(rows_with(100, range(100), sent_bytes=round(STEP_BYTES * 0.975)))
    assert verdict.reasons == ("backlogged steps passed 0.975 of what the trace carries",)


def test_a_frame_and_a_burst_more_are_no_fault_however_slow_the_link() -> None:
    slow = {"rate_mbps": 0.008, "applied_bytes_per_s": 1000, "kernel_bytes_per_s": 1000}
    within = 1000 + FRAME_BYTES + BURST_BYTES
    assert judge(rows_with(3, range(3), **slow, sent_bytes=1000, backlog_min_bytes=0)).valid
    once = [
        link_row(step, **slow, sent_bytes=within if step == 1 else 1000, backlog_min_bytes=0)
        for step in range(3)
    ]
    assert judge(once).valid
    assert not judge(rows_with(3, range(3), **slow, sent_bytes=3 * within, backlog_min_bytes=0)).valid


def test_a_dark_step_may_pass_nothing() -> None:
    dark = {"rate_mbps": 0.0, "applied_bytes_per_s": 1, "kernel_bytes_per_s": 1, "sent_bytes": 0}
    verdict = judge(rows_with(100, range(10, 20), **dark))
    assert (verdict.valid, verdict.backlogged_steps) == (True, 90)


def test_what_a_late_reading_counts_twice_is_taken_off_by_the_next_rate() -> None:
    """Step 0 at 8 Mbit/s is read 0.1 s late, when 2 Mbit/s were already due."""
    rows = [
        link_row(0, late_ms=0.0, measured_s=1.1),
        link_row(1, rate_mbps=2.0, late_ms=100.0, measured_s=0.9),
    ]
    assert carried_bytes(rows, 0) == pytest.approx(1_000_000 + 25_000)
    assert carried_bytes(rows, 1) == pytest.approx(225_000)


def test_the_last_row_has_only_its_own_rate() -> None:
    assert carried_bytes([link_row(0, late_ms=0.0, measured_s=1.5)], 0) == pytest.approx(1_500_000)


def test_a_log_is_read_back_up_to_a_line_that_was_cut_off(tmp_path: Path) -> None:
    rows = rows_with(5)
    whole = "".join(json.dumps(dataclasses.asdict(row)) + "\n" for row in rows)
    log = tmp_path / "link.jsonl"
    log.write_text(whole)
    assert read_link_log(log) == rows
    log.write_text(whole[:-20])
    assert read_link_log(log) == rows[:4]


STEPS = st.lists(st.tuples(st.floats(0.001, 7.0), st.floats(0.0, 100.0)), min_size=1, max_size=6).filter(
    lambda steps: any(rate > 0 for _, rate in steps)
)


@given(STEPS, st.floats(0.0, 50.0))
def test_pieces_of_steps_are_short_and_carry_what_the_trace_carries(
    steps: list[tuple[float, float]], start_s: float
) -> None:
    times = (0.0, *itertools.accumulate(duration for duration, _ in steps))
    trace = Trace("drawn", times, (0.0, *(rate for _, rate in steps)))
    cut = list(itertools.islice(pieces(trace.steps(start_s)), 40))
    assert all(0 < piece.duration_s <= LONGEST_STEP_S * (1 + 1e-9) for piece in cut)
    assert cut[0].start_s == 0.0
    for before, after in itertools.pairwise(cut):
        assert after.start_s == pytest.approx(before.start_s + before.duration_s)
    carried = sum(piece.rate_mbps * piece.duration_s for piece in cut)
    end_s = start_s + cut[-1].start_s + cut[-1].duration_s
    assert carried == pytest.approx(
        trace.megabits_until(end_s) - trace.megabits_until(start_s), abs=1e-6, rel=1e-6
    )


def test_steps_that_are_short_enough_stay_whole() -> None:
    trace = Trace("ragged", (0.0, 1.0, 2.1, 4.5), (1.0, 1.0, 2.0, 3.0))
    cut = [(piece.duration_s, piece.rate_mbps) for piece in itertools.islice(pieces(trace.steps()), 5)]
    assert cut == [
        (1.0, 1.0),
        (pytest.approx(1.1), 2.0),
        *[(pytest.approx(0.8), 3.0)] * 3,
    ]


def test_the_burst_follows_the_rate_and_never_cuts_a_frame() -> None:
    assert bucket_bytes(0.0) == bucket_bytes(10.0) == BURST_BYTES >= FRAME_BYTES
    assert bucket_bytes(100.0) == 5000
    assert bucket_bytes(190.0) >= 3200  # 1600 bytes reached 84 % of it only


def test_a_dark_link_passes_no_full_frame() -> None:
    assert bytes_per_s(0.0) == DARK_BYTES_PER_S
    assert bytes_per_s(0.5) == 62_500
    assert FRAME_BYTES / bytes_per_s(0.0) > 1000  # seconds


def a_step(number: int, carried: float, sent: int, backlogged: bool) -> StepBytes:
    return StepBytes(0.02 * number, 0.02 * (number + 1), carried, sent, 0.0, 0, backlogged)


def test_what_passed_before_frames_waited_may_be_taken_back_once_and_no_more() -> None:
    ahead = a_step(0, 100.0, 1300, False)
    waiting = [a_step(number, 500.0, 100, True) for number in range(1, 4)]
    assert repaid_bytes([ahead, *waiting]) == [0.0, 1200.0, 0.0, 0.0]
    idle = a_step(1, 1500.0, 0, False)  # what it does not use is gone
    assert repaid_bytes([ahead, idle, *waiting]) == [0.0, 0.0, 0.0, 0.0, 0.0]
    assert repaid_bytes([a_step(0, 0.0, 99_999, False), *waiting])[1] == 3 * FRAME_BYTES
