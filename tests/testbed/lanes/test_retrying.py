"""`--retry-invalid`: what was invalid is streamed again, kept under a name that says so, and never lost."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from testbed.lanes import retrying
from testbed.lanes.side_by_side import Interrupt, Interrupted
from testbed.session.plan import RunPlan
from testbed.session.session_plan import SessionPlan, SessionResult
from testbed.session.videos import VIDEOS
from tests.testbed.lanes.test_lanes_now import a_plan
from tests.testbed.session.test_run_summary import QOE, result


def planned(out: Path, names: Sequence[str], retries: int) -> RunPlan:
    sessions = tuple(
        replace(one, record=out / f"{name}.jsonl")
        for one, name in zip(a_plan(len(names)).sessions, names, strict=True)
    )
    (out / "logs").mkdir()
    return RunPlan(sessions=sessions, out=out, qoe=QOE, named=True, retries=retries)


class Streams:
    """In place of `side_by_side`: writes records and says which sessions are valid, in turn."""

    def __init__(self, *verdicts: Sequence[bool] | type[Exception]) -> None:
        self.verdicts = list(verdicts)
        self.asked: list[list[SessionPlan]] = []

    async def __call__(self, plan: RunPlan, *_: object) -> list[SessionResult]:
        self.asked.append(list(plan.sessions))
        verdict = self.verdicts.pop(0)
        if isinstance(verdict, type):
            raise verdict
        return [self._streamed(one, valid) for one, valid in zip(plan.sessions, verdict, strict=False)]

    def _streamed(self, plan: SessionPlan, valid: bool) -> SessionResult:
        plan.record.write_text(f"try {len(self.asked)}")
        plan.log("link.jsonl").write_text(f"link {len(self.asked)}")
        found = result("bba", plan.name)
        verdict = replace(found.verdict, valid=valid, reasons=() if valid else ("late",))
        return replace(found, plan=plan, end=replace(found.end, valid=valid), verdict=verdict)


def run(
    monkeypatch: pytest.MonkeyPatch, plan: RunPlan, streams: Streams
) -> tuple[list[SessionResult], list[retrying.RetriedSession[SessionResult]], str]:
    printed = io.StringIO()

    async def work() -> Any:
        monkeypatch.setattr(retrying, "side_by_side", streams)
        return await retrying.streamed(plan, VIDEOS, Console(file=printed, width=200), Interrupt())

    results, retried = cast(
        tuple[list[SessionResult], list[retrying.RetriedSession[SessionResult]]], asyncio.run(work())
    )
    return results, retried, printed.getvalue()


def test_only_what_was_invalid_is_streamed_again_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    streams = Streams([True, False], [False], [True])
    results, retried, printed = run(monkeypatch, planned(tmp_path, ["a", "b"], 3), streams)
    assert [[one.name for one in asked] for asked in streams.asked] == [["a", "b"], ["b"], ["b"]]
    assert [one.facts.get("attempt") for asked in streams.asked[1:] for one in asked] == [2, 3]
    assert all(one.end.valid for one in results)
    assert (tmp_path / "a.jsonl").read_text() == "try 1" and (tmp_path / "b.jsonl").read_text() == "try 3"
    assert [one.record for one in retried] == [
        tmp_path / "invalid" / f"b-{number}.jsonl" for number in (1, 2)
    ]
    assert [one.record.read_text() for one in retried] == ["try 1", "try 2"]
    assert (tmp_path / "invalid" / "logs" / "b-2.link.jsonl").read_text() == "link 2"
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == ["a.jsonl", "b.jsonl"]
    assert "1 invalid session again, 1 of 3: b" in printed


def test_without_the_option_nothing_is_streamed_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    results, retried, printed = run(monkeypatch, planned(tmp_path, ["a"], 0), Streams([False]))
    assert not results[0].end.valid and retried == [] and printed == ""


def test_an_interrupt_leaves_the_invalid_record_where_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan = planned(tmp_path, ["a", "b"], 1)
    results, retried, _ = run(monkeypatch, plan, Streams([False, False], Interrupted))
    assert retried == [] and not any(one.end.valid for one in results)
    assert (tmp_path / "b.jsonl").read_text() == "try 1"
    assert list((tmp_path / "invalid").glob("*.jsonl")) == []
    assert (tmp_path / "logs" / "a.link.jsonl").read_text() == "link 1"


def test_a_fault_in_the_second_try_does_not_lose_the_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match=r"^$"):
        run(monkeypatch, planned(tmp_path, ["a"], 1), Streams([False], OSError))
    assert (tmp_path / "a.jsonl").read_text() == "try 1"
