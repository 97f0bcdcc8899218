"""A sweep on several nodes: what dies gives its sessions back; and once on a real, local Ray."""

from __future__ import annotations

import json
import os
import signal
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from player.record import read_record
from testbed import sweep
from testbed.process.errors import TestbedError
from testbed.simulated.simulation import RunFacts as SimulationFacts
from testbed.sweeps import cluster
from testbed.sweeps.cluster import Lost, NodeResult, NodeTask, run_on, run_task
from testbed.sweeps.experiment.plan import plan_sweep
from testbed.sweeps.experiment.schema import read_sweep
from testbed.sweeps.folder import Attempt, SweepFolder
from testbed.sweeps.state import DONE, SweepFacts
from testbed.sweeps.work import SweepWork
from tests.support.emulation import MARK, marked, wait_until

SLOW = """
import time

class Slow:
    def reset(self, video, seed, qoe): pass
    def select(self, observation):
        time.sleep(0.02)
        return 1
"""


def write_sweep(place: Path, traces: str = "4g[0:5]", policies: str = '"bba", "rate"') -> Path:
    (place / "s.toml").write_text(
        f'name = "far"\npolicies = [{policies}]\n'
        f'[[setting]]\nlabel = "usual"\ntraces = "{traces}"\nchunks = 4\n'
    )
    return place / "s.toml"


class Silent:
    """A display that shows nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *words: None


class FakeNodes:
    """Two nodes, of which one dies at its third task; a unit named in `poison` kills whoever runs it."""

    def __init__(self, poison: str = "") -> None:
        self.poison = poison
        self.started: list[tuple[str, NodeTask]] = []
        self.dead = False

    def slots(self) -> dict[str, int]:
        return {"a": 1} if self.dead else {"a": 1, "b": 2}

    def start(self, node: str, task: NodeTask) -> int:
        assert node in self.slots()
        self.started.append((node, task))
        return len(self.started) - 1

    def ended(self, handles: list[int], timeout_s: float) -> list[int]:
        return handles[:1]

    def result(self, handle: int) -> NodeResult:
        node, task = self.started[handle]
        assert task.computed is not None
        of_b = [index for index, (where, _) in enumerate(self.started) if where == "b"]
        if node == "b" and of_b.index(handle) >= 2:
            self.dead = True
            raise Lost("its node died")
        if self.poison and self.poison in task.computed.record.name:
            raise Lost("its worker died")
        return run_task(task)

    def cancel(self, handles: list[int]) -> None:
        assert handles == []


@pytest.mark.parametrize("poison", ["", "4g-3_s0_rate"])
def test_a_node_that_dies_gives_its_sessions_back_and_one_that_kills_is_given_up(
    tmp_path: Path, poison: str
) -> None:
    plan = plan_sweep(read_sweep(write_sweep(tmp_path)), simulated=True)
    nodes, said = FakeNodes(poison), []
    with SweepFolder(plan, tmp_path / "out") as folder:
        work = SweepWork(folder, SweepFacts("ray", "", [], {}), Silent())  # type: ignore[arg-type]
        run_on(nodes, work, SimulationFacts("out", "", ("sweep.py",)), said.append)
        counts = work.write().to_json()["counts"]
    in_vain = 1 if poison else 0
    assert (counts["done"], counts["failed"]) == (10 - in_vain, in_vain)
    records = sorted((tmp_path / "out").glob("*.jsonl"))
    assert len(records) == 10 - in_vain and all(read_record(path).manifest["sweep"] for path in records)
    assert nodes.dead and any("given back" in line for line in said)
    names = [task.computed.record.name for _, task in nodes.started if task.computed]
    assert len(set(names)) == 10 < len(names)  # some of them twice, none of them left out


class Shouting(Silent):
    """A display that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


class OneNode(FakeNodes):
    """A node that streams, and never dies."""

    def result(self, handle: int) -> NodeResult:
        return run_task(self.started[handle][1])


@pytest.mark.parametrize("fault", [None, "no link to be had"])
def test_what_happens_to_a_nodes_policy_server_is_said_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    class Services:
        def __init__(self, stack: object, device: str) -> None:
            self.device = device

        def news(self) -> list[str]:
            return [f"the server on {self.device} died (killed)"]

    async def streamed(*words: object) -> Attempt:
        if fault is not None:
            raise TestbedError(fault)
        return Attempt(DONE)

    monkeypatch.setattr(cluster, "require_tools", lambda: None)
    monkeypatch.setattr(cluster, "delay_backend", lambda asked: "relay")
    monkeypatch.setattr(cluster, "LaneServices", Services)
    monkeypatch.setattr(cluster, "stream_unit", streamed)
    plan = plan_sweep(read_sweep(write_sweep(tmp_path, "4g/0", '"bba"')), simulated=False)
    display = Shouting()
    with SweepFolder(plan, tmp_path / "out") as folder:
        work = SweepWork(folder, SweepFacts("ray", "", [], {}), display)  # type: ignore[arg-type]
        run_on(OneNode(), work, SimulationFacts("out", "", ("sweep.py",)), print, device="cpu")
        counts = work.write().to_json()["counts"]
    assert "note: the server on cpu died (killed)" in display.said
    assert counts["done"] == (fault is None) and counts["failed"] == (fault is not None)


@pytest.mark.stress
def test_on_a_local_ray_a_killed_worker_costs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    (tmp_path / "slow.py").write_text(SLOW)
    file = write_sweep(tmp_path, "4g[0:20]", f'"bba", "{tmp_path / "slow.py"}:Slow"')
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    monkeypatch.setenv("RAY_DEDUP_LOGS", "0")
    out = tmp_path / "out"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)

    def workers() -> list[int]:
        found = []
        for pid in marked(mark):
            with suppress(OSError):
                if b"ray::run_task" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found

    killed: list[int] = []

    def kill_one() -> None:
        wait_until(lambda: len(list(out.glob("*.jsonl"))) >= 3, "records")
        killed.append(wait_until(workers, "a worker at work")[0])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    assert sweep.main([str(file), "--simulate", "--engine", "ray", "--out", str(out), "--json"]) == 0
    killer.join()
    said = capsys.readouterr()
    assert json.loads(said.out)["counts"]["done"] == 40 == len(list(out.glob("*.jsonl")))
    assert killed and "it is given back" in said.err
