"""Who decides: how a run's server is told of task and adapter, and a server that is not the one asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from policies.llm.arithmetic import DTYPES
from policies.llm.model.tiny import tiny_adapter
from policies.llm.serving.client import RemoteSession
from policies.llm.serving.conversation import ServerError
from policies.llm.task import Task, task_named
from policies.llm.tasks import decider
from policies.llm.tasks.call.task import TASK
from policies.llm.tasks.call.wire import CallContext
from policies.llm.tasks.decider import AUTO, NONE, Decider

CONTEXT = CallContext(80.0, 2500.0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_adapter(TASK, tmp_path_factory.mktemp("decider") / "adapter")


@pytest.fixture(autouse=True)
def _nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("STREAMBED_LLM_SERVER", raising=False)


def made(adapter: Path, server: str, task: Task = TASK, dtype: str = AUTO) -> Decider:
    return Decider(task, server, 50.0, str(adapter), "cpu", dtype)


def serves(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any] | Exception) -> None:
    """The server says these, one after the other."""
    left = iter(answers)

    def health(*_: Any) -> Any:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(decider, "ask_health", health)


def has(sha256: str, dtype: str = "float32") -> dict[str, Any]:
    return {"tasks": {"call": {"adapter_sha256": sha256, "dtype": dtype}}}


def test_the_server_that_a_run_starts_is_told_task_and_adapter(tiny: Path, tmp_path: Path) -> None:
    command = made(tiny, AUTO, dtype="float32").command()
    assert command is not None
    assert command.arguments == ("serve", "--task", f"call={tiny}", "--dtype", "float32")
    ladder = task_named("ladder")
    other = tiny_adapter(ladder, tmp_path / "ladder")
    command = made(other, AUTO, ladder).command()
    assert command is not None and command.arguments == ("serve", "--adapter", str(other))
    assert made(tiny, NONE).command() is None


def test_nobody_there_is_said_with_the_way_out(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"start it \(python -m policies.llm serve --task call\)"):
        made(tiny, str(tmp_path / "nobody.sock")).reach()


def test_a_server_with_another_adapter_or_arithmetic_is_refused(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, own = str(tmp_path / "s.sock"), made(tiny, NONE).weights_sha256
    serves(monkeypatch, has("0" * 64), has(own, "int8"), has(own))
    with pytest.raises(ValueError, match="for call it has adapter 000000000000"):
        made(tiny, place).reach()
    with pytest.raises(ValueError, match="computes in int8, not in float32"):
        made(tiny, place, dtype="float32").reach()
    made(tiny, place, dtype="float32").reach()


def test_a_server_that_was_down_is_looked_at_once_it_decides(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = made(tiny, str(tmp_path / "s.sock"))
    monkeypatch.setattr(RemoteSession, "decide", lambda self, steps: "answer")
    serves(monkeypatch, ServerError("down"), ServerError("down"), has(asked.weights_sha256))
    session = asked.begin(CONTEXT)
    assert session.remote and session.arithmetic is None
    for expected in (None, "float32", "float32"):  # the third time nobody asks
        assert session.decide([]) == "answer" and session.arithmetic == expected
    serves(monkeypatch, ServerError("down"), has("0" * 64))
    other = asked.begin(CONTEXT)
    with pytest.raises(ValueError, match="it has adapter 000000000000"):
        other.decide([])


def test_only_this_process_decides_many_at_once(tiny: Path, tmp_path: Path) -> None:
    assert made(tiny, str(tmp_path / "s.sock")).together() == 1
    assert made(tiny, NONE).together() > 1
    session = made(tiny, NONE).begin(CONTEXT)
    assert not session.remote and session.arithmetic in DTYPES
    session.end()
