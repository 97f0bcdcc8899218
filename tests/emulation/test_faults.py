"""Whatever ends a run, it leaves nothing behind and touches nothing of anybody else's.

The long versions, with kills at many random moments, are `stress` tests: `make stress`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from player.record import read_record
from testbed import run as run_module
from testbed.lanes.streaming import LaneSessions, ProbedSessions, ReadySessions, StartedSessions
from testbed.session import videos
from tests.support.emulation import (
    MARK,
    Run,
    a_namespace,
    marked,
    surroundings,
    wait_until,
    write_trace,
    write_video,
)

pytestmark = pytest.mark.beside

Start = Callable[..., Run]

POLICIES = ("bba", "rate")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a trace, a video that is soon over and one that never is."""
    write_trace(tmp_path / "t.log", [4.0, 4.5] * 4, step_s=0.5)
    write_video(tmp_path / "short", 3, 0.3)
    write_video(tmp_path / "long", 400, 0.5)
    return tmp_path


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    """Starts runs, and ends at the test's end those that still go on."""
    runs: list[Run] = []

    def start_one(*words: str, video: str = "long", policy: str = "bba", path: str | None = None) -> Run:
        chunks = "3" if video == "short" else "400"
        common = ("--trace", "t.log", "--video", video, "--chunks", chunks, "--rtt-ms", "10", "--lanes", "9")
        run = Run(place, *common, "--policy", policy, *words, path=path)
        runs.append(run)
        return run

    yield start_one
    for run in runs:
        run.process.kill()
        run.process.wait()


@pytest.fixture(autouse=True)
def others() -> Iterator[None]:
    """The machine's own network stays as it is, and so does a namespace of somebody else's.

    Its process and interfaces are named as ours might be.
    """
    before = surroundings()
    with a_namespace("bash", "-c", "exec -a mininet:sb1-0-server sleep 600") as foreign:
        foreign.run("ip link add router-down type veth peer name relay; ip link set router-down up")
        foreign.run("tc qdisc add dev router-down root handle 1: tbf rate 5mbit burst 1600 limit 9000")
        theirs = foreign.run("ip -br link; tc qdisc")
        yield
        assert foreign.alive(), "somebody else's process was ended"
        assert foreign.run("ip -br link; tc qdisc") == theirs, "somebody else's interfaces were touched"
    assert surroundings() == before


def ended(run: Run, number: signal.Signals | None = None) -> int:
    """Send a run the signal, if any; its exit status, once it has ended and nothing of it is left."""
    namespaces = run.namespaces()
    if number is not None:
        run.process.send_signal(number)
    status = run.finish()
    run.expect_nothing_left(namespaces)
    assert "Traceback" not in run.out + run.err
    return status


def final_names(folder: Path) -> list[str]:
    """Records and logs under their final names."""
    return sorted(path.name for path in folder.rglob("*.jsonl"))


def partial_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.partial"))


@pytest.mark.emulation
def test_sigint_while_streaming_records_what_there_was(start: Start, place: Path) -> None:
    run = start("--out", "o", "--json", policy=",".join(POLICIES))
    for policy in POLICIES:
        run.expect_chunk(place / "o", policy)
    assert len(run.namespaces()) == 8
    assert ended(run, signal.SIGINT) == 130
    for policy in POLICIES:
        end = read_record(place / "o" / f"{policy}.jsonl").end
        assert (end.outcome, end.valid) == ("interrupted", True), end
        assert end.chunks >= 1
    assert partial_names(place) == []
    assert [line["unfinished"] for line in json.loads(run.out)["policies"]] == [1, 1]


@pytest.mark.emulation
def test_other_signals_do_the_same(start: Start, place: Path) -> None:
    numbers = (signal.SIGTERM, signal.SIGHUP)
    runs = [start("--out", number.name) for number in numbers]
    for run, number in zip(runs, numbers, strict=True):
        run.expect_chunk(place / number.name)
        assert ended(run, number) == 128 + number
        assert read_record(place / number.name / "bba.jsonl").end.outcome == "interrupted"


@pytest.mark.emulation
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_start_leaves_no_record(
    start: Start, place: Path, number: signal.Signals
) -> None:
    """One run is met while its hosts are made, the other while its path is probed."""
    early, probing = start("--out", "early"), start("--out", "probing")
    early.expect_hosts()
    early.process.send_signal(number)
    probing.expect_origin()
    assert ended(probing, number) == 128 + number
    assert ended(early) == 128 + number
    for run in (early, probing):
        assert "interrupted before any session had begun; nothing was recorded" in run.out
    assert final_names(place) == partial_names(place) == []


@pytest.mark.emulation
def test_ctrl_c_reaches_the_whole_group_and_ends_as_an_interrupt(start: Start, place: Path) -> None:
    """A terminal sends SIGINT to all processes of the foreground group, set-up commands too."""
    run = start("--out", "o", policy="bba,rate,bola")
    run.expect_hosts()
    for _ in range(5):  # five times: one of them surely while a command of the set-up runs
        run.interrupt_group()
        time.sleep(0.02)
    assert ended(run) == 130
    assert final_names(place) == partial_names(place) == []


@pytest.mark.emulation
def test_kill_9_leaves_nothing_and_a_new_run_works(start: Start, place: Path) -> None:
    """Killed while streaming, while probing and while its hosts are made; then again, the same folder."""
    setting_up, probing, streams = (start("--out", name) for name in ("a", "b", "c"))
    setting_up.expect_hosts()
    assert ended(setting_up, signal.SIGKILL) == -signal.SIGKILL
    probing.expect_origin()
    assert ended(probing, signal.SIGKILL) == -signal.SIGKILL
    streams.expect_chunk(place / "c")
    assert ended(streams, signal.SIGKILL) == -signal.SIGKILL
    assert final_names(place) == []
    assert "bba.jsonl.partial" in partial_names(place)
    again = start("--out", "c", video="short")
    assert ended(again) == 0, again.out + again.err
    assert read_record(place / "c" / "bba.jsonl").end.outcome == "finished"
    assert partial_names(place / "c") == []


@pytest.mark.emulation
def test_two_runs_at_once_work_and_do_not_meet(start: Start, place: Path) -> None:
    runs = [start(video="short"), start(video="short")]
    for run in runs:
        assert ended(run) == 0, run.out + run.err
    records = sorted((place / "results").rglob("bba.jsonl"))
    assert len({record.parent for record in records}) == 2
    assert [read_record(record).end.outcome for record in records] == ["finished"] * 2


@pytest.mark.emulation
def test_a_process_that_dies_ends_its_session_and_the_record_says_which(start: Start, place: Path) -> None:
    """Of four lanes the first loses its player, the second its origin, the third its relay."""
    run = start("--out", "o", "--delay-backend", "relay", policy="fixed:0,fixed:1,fixed:2,bba")
    for policy in ("fixed-0", "fixed-1", "fixed-2", "bba"):
        run.expect_chunk(place / "o", policy)
    for module, lane, role in (
        ("player", 0, "player"),
        ("testbed.origin", 1, "server"),
        ("testbed.link.relay", 2, "wan"),
    ):
        os.kill(run.in_host(f"-m {module} ", lane, role), signal.SIGKILL)
    for policy in ("fixed-0", "fixed-1", "fixed-2"):
        run.expect(lambda policy=policy: (place / "o" / f"{policy}.jsonl").exists(), f"the end of {policy}")
    assert ended(run, signal.SIGINT) == 130
    ends = {
        name: read_record(place / "o" / f"{name}.jsonl").end for name in ("fixed-0", "fixed-1", "fixed-2")
    }
    assert [end.outcome for end in ends.values()] == ["player-died", "origin-lost", "link-lost"]
    assert "exit status -9" in ends["fixed-0"].reason
    assert ends["fixed-1"].reason == "the origin died: exit status -9"
    assert ends["fixed-2"].reason == "the delay stage's relay process died"
    assert not ends["fixed-2"].valid
    assert read_record(place / "o" / "bba.jsonl").end.outcome == "interrupted"


@pytest.mark.emulation
def test_sessions_that_do_not_finish_make_the_exit_status_1(start: Start, place: Path) -> None:
    """One ends by its policy, the other by the death of the shaper."""
    (place / "gone.py").write_text(
        "import os\n"
        "class Gone:\n"
        "    def reset(self, video, seed, qoe): ...\n"
        "    def select(self, observation): os._exit(3) if observation.chunk else None; return 0\n"
    )
    run = start("--out", "o", policy="bba,gone.py:Gone")
    gone = place / "o" / "gone.py-Gone.jsonl"
    run.expect(gone.exists, "the end of the first")
    end = read_record(gone).end
    assert (end.outcome, end.reason, end.chunks) == ("player-died", "exit status 3", 1)
    os.kill(run.expect(lambda: run.child("-m testbed.link.shaper"), "the shaper"), signal.SIGKILL)
    assert ended(run) == 1
    end = read_record(place / "o" / "bba.jsonl").end
    assert (end.outcome, end.valid) == ("link-lost", False)


@pytest.mark.emulation
def test_hosts_that_do_not_start_are_one_line(start: Start, place: Path) -> None:
    """Also in the middle of the set-up: the shim lets `mnexec` work so many times."""
    real = subprocess.run(["which", "mnexec"], capture_output=True, text=True, check=True).stdout.strip()
    for worked in (0, 3, 7):
        shim = place / f"shim-{worked}" / "mnexec"
        shim.parent.mkdir()
        shim.write_text(
            f"#!/bin/sh\necho >>{shim}.log\n"
            f'[ "$(wc -l <{shim}.log)" -gt {worked} ] || exec {real} "$@"\n'
            "echo 'mnexec: no namespace for you' >&2\nexit 1\n"
        )
        shim.chmod(0o755)
        run = start("--out", f"o{worked}", path=f"{shim.parent}:{os.environ['PATH']}")
        assert ended(run) == 2
        assert "lane sb" in run.one_line()
        assert final_names(place) == partial_names(place) == []


@pytest.mark.emulation
def test_a_disk_that_is_full_at_the_start_is_one_line(start: Start, place: Path) -> None:
    with small_disk(place, "1m"):
        run = start("--out", "disk/o")
        assert ended(run) == 2
        assert "--out disk/o: " in run.one_line() and "MiB free, 64 wanted" in run.err
        assert final_names(place) == []


@pytest.mark.emulation
def test_a_disk_that_fills_up_while_streaming_is_one_line_and_no_record(start: Start, place: Path) -> None:
    with small_disk(place, "66m") as disk:
        run = start("--out", "disk/o")
        run.expect_chunk(disk / "o")
        with (
            (disk / "filler").open("wb", buffering=0) as filler,
            pytest.raises(OSError, match="No space left"),
        ):
            while filler.write(bytes(1 << 16)):
                pass
        assert ended(run) == 2
        assert "No space left on device" in run.one_line()
        assert final_names(disk) == partial_names(disk) == []


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of its own at `place / "disk"`."""
    disk = place / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def run_here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """`run.py` in this process, where its parts can be replaced; what it starts is marked with the place."""
    monkeypatch.chdir(place)
    monkeypatch.setenv(MARK, place.name)
    words = [
        "--trace",
        "t.log",
        "--video",
        "short",
        "--chunks",
        "3",
        "--rtt-ms",
        "10",
        "--policy",
        "bba",
        "--out",
        "o",
    ]
    return lambda: run_module.main(words)


@pytest.mark.emulation
@pytest.mark.parametrize(
    ("stage", "where"),
    [
        (LaneSessions, "start"),
        (StartedSessions, "probe"),
        (ProbedSessions, "ready"),
        (ReadySessions, "stream"),
    ],
)
def test_an_exception_takes_all_down(
    place: Path, monkeypatch: pytest.MonkeyPatch, stage: type, where: str
) -> None:
    """A fault of our own, before or after the step has done its work."""
    real = getattr(stage, where)

    async def fails(self: object, *values: object) -> None:
        if where != "stream":
            await real(self, *values)
        raise ZeroDivisionError(where)

    monkeypatch.setattr(stage, where, fails)
    with pytest.raises(ZeroDivisionError):
        run_here(place, monkeypatch)()
    wait_until(lambda: not marked(place.name), "its processes end, and with them its namespaces")
    assert final_names(place) == partial_names(place) == []


@pytest.mark.emulation
def test_an_origin_that_cannot_listen_is_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(videos, "SERVER_IP", "10.9.9.9")
    assert run_here(place, monkeypatch)() == 2
    told = capfd.readouterr().err
    assert told.startswith("run.py: lane sb") and told.count("\n") == 1
    assert "origin did not start: origin.py: cannot listen on 10.9.9.9 port 8080" in told
    wait_until(lambda: not marked(place.name), "its processes end, and with them its namespaces")
    assert final_names(place) == partial_names(place) == []


@pytest.mark.stress
def test_a_player_that_is_deaf_to_an_interrupt_is_killed(start: Start, place: Path) -> None:
    run = start("--out", "o")
    run.expect_chunk(place / "o")
    os.kill(run.expect(lambda: run.child("-m player "), "the player"), signal.SIGSTOP)
    assert ended(run, signal.SIGINT) == 130
    assert read_record(place / "o" / "bba.jsonl").end.outcome == "player-died"


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(40))
def test_any_signal_at_any_moment_leaves_nothing(start: Start, place: Path, seed: int) -> None:
    """Two lanes; within some 6 s the run has planned, set up, probed, streamed and cleaned up."""
    draw = random.Random(seed)
    number = draw.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL))
    run = start("--out", "o", video="short", policy=",".join(POLICIES))
    time.sleep(draw.uniform(0.0, 6.5))
    status = ended(run, number)
    if number == signal.SIGKILL:
        assert status in (-number, 0)
    else:
        assert status in (128 + number, -number, 0)  # -number: before we listen
        assert partial_names(place) == []
    for record in (place / "o").glob("*.jsonl"):
        assert read_record(record).end.outcome in ("finished", "interrupted")


@pytest.mark.stress
def test_many_runs_at_once_work(start: Start, place: Path) -> None:
    runs = [start(video="short", policy=",".join(POLICIES)) for _ in range(6)]
    for run in runs:
        assert ended(run) == 0, run.out + run.err
    assert len(list((place / "results").rglob("rate.jsonl"))) == 6
