"""The policy server with a real, tiny model: the command, the policy that asks it, and runs that start it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from player.playable import refuse_unplayable
from player.policy import Served
from player.qoe import QoE
from player.record import ChunkRow, read_record
from player.registry import PolicyError, load_policy
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from policies.llm.engine.engine import Engine
from policies.llm.model.tiny import tiny_adapter
from policies.llm.serving.client import SERVER_VARIABLE, Address, ask_health
from policies.llm.serving.conversation import ServerError
from policies.llm.serving.desks import TaskEngine
from policies.llm.serving.serve import listening
from policies.llm.serving.server import Server
from policies.llm.tasks.ladder.policy import NetLLM
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep
from testbed.session.command_line import parser
from testbed.session.plan import plan_run
from tests.support.emulation import ROOT, Run, write_trace, write_video
from tests.support.llm_server_fakes import FACTS, TRACES, VIDEO, blocking, observations, remote, run

pytestmark = pytest.mark.beside

CHUNKS = 10
SIZES = (4_000, 8_000, 12_000, 18_000, 26_000, 40_000)
LADDER = "300\n750\n1200\n1850\n2850\n4300\n"
LONG = 400


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_adapter(TASK, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def nobody_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine's user has running."""
    monkeypatch.delenv(SERVER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def levels(policy: Any, number: int = 1, first_level: int | None = None) -> list[tuple[int, str]]:
    rows, _ = simulate(
        VIDEO,
        TRACES[number],
        policy,
        seed=number,
        qoe=QoE(),
        link=PublishedLink(noise=True),
        chunks=CHUNKS,
        first_level=first_level,
    )
    return [(row.level, row.by) for row in rows]


def test_a_real_model_decides_the_same_alone_and_with_others_and_after_a_restart(
    adapter: Path, tmp_path: Path
) -> None:
    steps = [[VideoStep.of(seen) for seen in observations(number, CHUNKS)] for number in range(3)]

    async def ask(together: bool) -> list[list[tuple[int, int]]]:
        place = tmp_path / f"{together}.sock"
        sessions, got = [remote(place) for _ in steps], [[] for _ in steps]  # type: ignore[var-annotated]
        for begin, end in ((1, 5), (5, CHUNKS + 1)):  # two servers, one after the other
            server = Server([TaskEngine(TASK, Engine(TASK, adapter, device="cpu", threads=1))])
            async with listening(server, place):
                for count in range(begin, end):
                    calls = [
                        blocking(lambda s=session, some=mine[:count]: s.decide(some))
                        for session, mine in zip(sessions, steps, strict=True)
                    ]
                    answers = await asyncio.gather(*calls) if together else [await call for call in calls]
                    for mine, answer in zip(got, answers, strict=True):
                        mine.append(answer)
        assert any(answer.batch > 1 for answer in got[0]) == together
        return [[answer.value for answer in mine] for mine in got]

    async def whole() -> None:
        assert await ask(together=True) == await ask(together=False)

    run(whole())


@contextlib.contextmanager
def command(
    place: Path, adapter: Path, *words: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`serve` as a process, once it is ready."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "policies.llm",
            "serve",
            "--adapter",
            adapter,
            "--socket",
            place,
            "--device",
            "cpu",
            "--threads",
            "1",
            "--json",
            *words,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def refusal(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """The one line with which `serve` refuses."""
    from policies.llm.__main__ import main

    with contextlib.suppress(SystemExit):
        assert main(["serve", *map(str, words)]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1, shown
    return shown.err


def test_serve_takes_a_dead_ones_place_keeps_it_and_leaves_nothing(
    adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "streambed" / "llm.sock"
    place.parent.mkdir(mode=0o700)
    with command(place, adapter) as (process, _):
        process.kill()
        process.wait()
        assert place.is_socket(), "a killed one leaves its socket"
    with command(place, adapter) as (process, ready):
        served_now = ready["tasks"]["ladder"]
        assert (ready["line"], served_now["device"], served_now["outputs"]) == ("ready", "cpu", 12)
        assert ask_health(Address.of(str(place)), None, 30)["tasks"] == ready["tasks"]
        assert place.stat().st_mode & 0o077 == 0
        assert "a server listens there already" in refusal(capsys, "--socket", place, "--adapter", adapter)
        mine, local = NetLLM(adapter=str(adapter)), NetLLM("none", adapter=str(adapter))
        served = levels(mine)
        assert mine.remote and served == levels(local) and not local.remote
        assert {by for _, by in served} == {"llm"}
        other = NetLLM(adapter=str(tiny_adapter(TASK, tmp_path / "other", seed=1)))
        other.reset(VIDEO, 0, QoE())
        assert not other.remote, "who listens there has other weights"
        told = NetLLM(str(place), adapter=str(adapter))
        assert levels(told) == served and told.remote
        told = NetLLM(str(place), adapter=str(tmp_path / "other" / "adapter"))
        with pytest.raises(
            ValueError,
            match=f"{place}: for ladder it has adapter {ready['tasks']['ladder']['adapter_sha256'][:12]}",
        ):
            told.reset(VIDEO, 0, QoE())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not place.exists()


def test_a_server_that_is_down_at_the_beginning_is_asked_for_its_adapter_once_it_decides(
    adapter: Path, tmp_path: Path
) -> None:
    place = tmp_path / "s.sock"
    mine = NetLLM(str(place), adapter=str(adapter))
    other = NetLLM(str(place), adapter=str(tiny_adapter(TASK, tmp_path / "other", seed=1)))
    for policy in (mine, other):
        policy.reset(VIDEO, 0, QoE())
        with pytest.raises(ServerError):
            policy.select(observations(0)[0])
    with command(place, adapter):
        assert mine.select(observations(0)[1]).by == "llm"
        with pytest.raises(ValueError, match="it has adapter"):
            other.select(observations(0)[1])


def test_serve_refuses_in_one_line(adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, short = tmp_path / "file", tmp_path / "short"
    file.touch()
    short.write_text("secret\n")
    for words, said in (
        (("--socket", file), "a file that is no socket lies there"),
        (("--socket", tmp_path / "no" / "s"), f"no folder {tmp_path / 'no'}"),
        (("--socket", tmp_path / ("x" * 100)), "name a shorter path"),
        (("--host", "0.0.0.0"), "--host needs --port"),
        (("--host", "0.0.0.0", "--port", "0"), "name a --token-file"),
        (("--port", "0", "--token-file", short), "16 or more"),
        (("--port", "0", "--token-file", tmp_path / "none"), "No such file"),
        (("--adapter", tmp_path), "adapter.json"),
        (("--max-sessions", "0"), "must be 1 or more"),
    ):
        assert said in refusal(capsys, *words)


def test_a_fixed_first_level_is_told_to_the_model_as_if_it_had_been_asked(adapter: Path) -> None:
    class Shown(NetLLM):
        def select(self, observation: Any) -> Any:
            decision = super().select(observation)
            seen.append(list(self._steps))
            return decision

    seen: list[list[VideoStep]] = []
    levels(Shown("none", adapter=str(adapter)), first_level=None)
    asked = seen[0][0]
    levels(Shown("none", adapter=str(adapter)), first_level=0)
    assert seen[-1][0] == asked and len(seen[-1]) == CHUNKS


def test_netllm_is_made_checked_and_planned_without_torch(adapter: Path) -> None:
    script = (
        "import sys\n"
        "from player.registry import load_policy\n"
        "from player.video.built_in import load_video\n"
        "from player.qoe import QoE\n"
        f"loaded = load_policy('netllm:adapter={adapter}')\n"
        "loaded.policy.check(load_video('uhd'), QoE())\n"
        "command = loaded.policy.server()\n"
        "assert command.arguments[0] == 'serve' and len(loaded.weights_sha256) == 64\n"
        "assert 'torch' not in sys.modules and 'numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_netllm_refuses_what_it_can_not_do() -> None:
    three = VIDEO.__class__("three", 4.0, (1, 2, 3), ((1, 2, 3),) * 8)
    NetLLM().check(three, QoE())
    with pytest.raises(ValueError, match="three: QoE hd has no value for 1 kbit/s"):
        NetLLM().check(three, QoE("hd"))
    for wrong in (
        "netllm:deadline_ms=0",
        "netllm:deadline_ms=90000",
        "netllm:server=ftp://x",
        "netllm:adapter=/nowhere",
    ):
        with pytest.raises(ValueError, match=r"^policy netllm:"):
            load_policy(f"netllm:{wrong}")
    assert isinstance(NetLLM(), Served) and NetLLM("none").server() is None
    assert FACTS.ladder_kbps == VIDEO.ladder_kbps


def test_a_server_that_is_named_is_asked_before_the_first_session(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for spec in ("netllm", "small", "apc"):
        named = load_policy(f"{spec}:server={tmp_path}/none.sock")
        with pytest.raises(
            PolicyError, match=rf"^policy {spec}:.*none.sock: No such file or directory; start"
        ):
            refuse_unplayable(named, VIDEO, "vbr", 0, QoE())
        refuse_unplayable(load_policy(spec), VIDEO, "vbr", 0, QoE())
    monkeypatch.setenv(SERVER_VARIABLE, f"{tmp_path}/none.sock")
    with pytest.raises(PolicyError, match=r"none.sock: No such file"):
        refuse_unplayable(load_policy(f"netllm:adapter={adapter}"), VIDEO, "vbr", 0, QoE())
    refuse_unplayable(load_policy("netllm:server=none"), VIDEO, "vbr", 0, QoE())


def test_default_policies_are_those_that_can_stream_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("testbed.lanes.able.require_tools", lambda: None)
    monkeypatch.setattr("testbed.lanes.able.delay_backend", lambda asked: "relay")

    def planned(*words: str) -> Any:
        return plan_run(parser().parse_args(words), words)

    whole = planned("--trace", "4g", "--out", "a", "--device", "cpu")
    assert [one.policy for one in whole.sessions] == ["netllm", "apc", "bba", "robustmpc", "genet"]
    assert len(whole.servers) == 1 and whole.device == "cpu" and whole.left_out == ()
    write_video(tmp_path / "three", 4, 1.0)
    some = planned("--trace", "4g", "--out", "b", "--video", "three")
    assert [one.policy for one in some.sessions] == ["netllm", "apc", "bba", "robustmpc"]
    left_out = [why.split(" can't play")[0] for why in some.left_out]
    assert left_out == ["policy genet"]


def six_levels(folder: Path, chunks: int) -> Path:
    video = write_video(folder, chunks, 0.4, SIZES)
    (video / "ladder_kbps").write_text(LADDER)
    return video


def partial_rows(path: Path) -> list[dict[str, Any]]:
    """The chunks' lines so far; none where the file has just got its final name."""
    try:
        lines = [json.loads(line) for line in path.read_text().split("\n")[1:-1]]
    except FileNotFoundError:
        return []
    return [line for line in lines if line["line"] == "chunk"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts runs of a video that lasts, over a slow link; ends them with the test."""
    runs: list[Run] = []
    write_trace(tmp_path / "t.log", [0.8, 0.9])
    six_levels(tmp_path / "short", 4)
    six_levels(tmp_path / "long", LONG)

    def start_one(*words: str | Path) -> Run:
        common = ("--trace", "t.log", "--rtt-ms", "10", "--device", "cpu", "--out", "o")
        runs.append(Run(tmp_path, *common, *words))
        return runs[-1]

    yield start_one
    for one in runs:
        one.process.kill()
        one.process.wait()


@pytest.mark.emulation
def test_a_run_starts_the_server_and_sessions_without_one_finish_by_the_fallback(
    adapter: Path, tmp_path: Path, start: Callable[..., Run]
) -> None:
    """Two lanes: the run's own server, and one that is too slow. None at all is refused."""
    slow = tmp_path / "slow.sock"
    with command(slow, adapter, "--delay-ms", "3000"):
        asks = (
            f"netllm:adapter={adapter}",
            f"netllm:adapter={adapter}:deadline_ms=100:server={slow}",
        )
        whole = start("--video", "short", "--policy", ",".join(asks), "--lanes", "2", "--json")
        status = whole.finish()
    assert status == 1, whole.err
    whole.expect_nothing_left()
    policies = json.loads(whole.out)["policies"]
    records = [read_record(Path(path)) for each in policies for path in (tmp_path / each["records"][0],)]
    own, late = records
    assert all((record.end.outcome, record.end.valid) == ("finished", True) for record in records)
    assert {row.by for row in own.chunks} == {"llm"} and "ahead by" in own.chunks[1].reason
    assert {row.by for row in late.chunks} == {"fallback"}
    assert all("no answer within" in row.reason or "not decided" in row.reason for row in late.chunks)
    served = own.manifest["policy_server"]
    assert (served["module"], served["tasks"]["ladder"]["device"]) == ("policies.llm", "cpu")
    assert served["tasks"]["ladder"]["adapter_sha256"] == own.manifest["policy"]["weights_sha256"]
    assert "policy_server" not in late.manifest
    assert "the fallback, robustmpc, decided all 4 chunks" in whole.err


@pytest.mark.emulation
def test_a_server_that_is_killed_is_started_again_and_the_session_goes_on(
    adapter: Path, tmp_path: Path, start: Callable[..., Run]
) -> None:
    whole = start("--video", "long", "--policy", f"netllm:adapter={adapter}", "--json")

    def deciders() -> list[str]:
        """Who decided each chunk so far, also once the session is over."""
        found = [*(tmp_path / "o").glob("*.jsonl.partial"), *(tmp_path / "o").glob("*.jsonl")]
        return [row["by"] for row in partial_rows(found[0])] if found else []

    def model_again() -> bool:
        told = deciders()
        return "fallback" in told and "llm" in told[told.index("fallback") :]

    whole.expect(lambda: len(deciders()) >= 3, "chunks")
    os.kill(whole.eldest("policies.llm serve"), signal.SIGKILL)
    whole.expect(lambda: "fallback" in deciders(), "the fallback")
    whole.expect(model_again, "the model again")
    whole.process.send_signal(signal.SIGINT)
    assert whole.finish() == 130
    whole.expect_nothing_left()
    (record,) = (read_record(path) for path in (tmp_path / "o").glob("*.jsonl"))
    chunks: tuple[ChunkRow, ...] = record.chunks
    assert [row.by for row in chunks[:3]] == ["llm"] * 3
    replaced = [row for row in chunks if row.by == "fallback"]
    assert replaced and all("policy server" in row.reason for row in replaced)
    assert (record.end.outcome, record.end.valid) == ("interrupted", True)
    assert "died (exit status -9)" in whole.err and "was started again" in whole.err


@pytest.mark.emulation
def test_killing_a_run_ends_its_server_and_one_that_cannot_start_costs_one_line(
    adapter: Path, tmp_path: Path, start: Callable[..., Run]
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("adapter.json", "adapter.safetensors"):
        (broken / name).write_bytes((adapter / name).read_bytes())
    (broken / "adapter.json").write_text(
        (broken / "adapter.json").read_text().replace(str(adapter.parent / "base"), str(tmp_path / "gone"))
    )
    refused = start("--video", "short", "--policy", f"netllm:adapter={broken}")
    assert refused.finish() == 2
    assert "did not start: " in refused.one_line() and "gone" in refused.err
    refused.expect_nothing_left()
    whole = start("--video", "long", "--policy", f"netllm:adapter={adapter}")
    whole.expect(lambda: whole.child("policies.llm serve"), "its server")
    whole.process.kill()
    whole.process.wait()
    whole.expect_nothing_left()
