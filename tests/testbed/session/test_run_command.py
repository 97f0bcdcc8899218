"""`run.py` before anything is made: what it refuses, in one line and with status 2; how it names things."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from player.qoe import LiveQoE, QoE
from player.record import EndRow
from player.video.built_in import load_video
from testbed import run
from testbed.lanes import able as planned_able
from testbed.lanes.folder import folder_of, prepare_folder
from testbed.lanes.plan import LOGS
from testbed.link import lane
from testbed.link.lane import check_congestion_control, delay_backend, require_tools
from testbed.link.settings import KERNEL_MAX_MBPS
from testbed.process.errors import TestbedError
from testbed.run import main
from testbed.session import plan
from testbed.session.command_line import parser
from testbed.session.live_plan import LivePlan
from testbed.session.plan import RunPlan, describe, plan_run
from testbed.session.watch import SessionsDisplay
from traces.families.catalogue import resolve

ROOT = Path(__file__).resolve().parents[3]

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that can do all, whoever runs the tests."""
    monkeypatch.setattr(planned_able, "require_tools", lambda: None)
    monkeypatch.setattr(planned_able, "delay_backend", lambda asked: "relay")


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The one line with which a command line is refused; nothing may have been made."""

    async def streamed(*_: object) -> None:
        pytest.fail("it was not refused")

    monkeypatch.setattr(run, "streamed", streamed)

    def refused(*words: str) -> str:
        before = sorted(Path.cwd().rglob("*"))
        try:
            status = main(words)
        except SystemExit as left:
            status = int(left.code or 0)
        shown = capsys.readouterr()
        assert status == 2
        assert shown.out == ""
        assert shown.err.count("\n") == 1 and shown.err.startswith("run.py: "), shown.err
        assert sorted(Path.cwd().rglob("*")) == before
        return shown.err

    return refused


def planned(*words: str) -> RunPlan:
    return plan_run(parser().parse_args(words), words)


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--trace"),
        (("--trace", "4gg"), "did you mean '4g'?"),
        (("--trace", "nowhere.log"), "no family and no file is named 'nowhere.log'"),
        (("--trace", "4g[0:3]"), "3 traces where one is wanted"),
        (("--trace", "4g", "--policy", "robustmcp"), "did you mean robustmpc?"),
        (("--trace", "4g", "--policy", "bba,,rate"), "an empty name in the list"),
        (("--trace", "4g", "--policy", "mine.py:Mine"), "no file mine.py"),
        (("--trace", "4g", "--policy", "bba:speed=3"), "no parameter 'speed'"),
        (("--trace", "4g", "--video", "envivo"), "did you mean envivio?"),
        (("--trace", "4g", "--chunks", "0"), "--chunks 0: must be 1 or more"),
        (("--trace", "4g", "--chunks", "4800"), "asked for 4800 chunks; it has"),
        (("--trace", "4g", "--chunks", "ten"), "--chunks"),
        (("--trace", "4g", "--lanes", "0"), "--lanes 0: must be 1 or more"),
        (("--trace", "4g", "--start-s", "-1"), "--start-s -1.0: must be 0 or more"),
        (("--trace", "4g", "--start-s", "nan"), "--start-s nan"),
        (("--trace", "4g", "--decision-deadline-s", "0"), "--decision-deadline-s 0.0: must be positive"),
        (("--trace", "4g", "--rtt-ms", "-5"), "RTT -5.0 ms: expected 0 to 10000"),
        (("--trace", "4g", "--queue-ms", "100", "--queue-bytes", "9000"), "not allowed with"),
        (("--trace", "4g", "--cc", "vega"), "congestion control 'vega': this kernel has"),
        (("--trace", "4g", "--transport", "h4"), "argument --transport: invalid choice: 'h4'"),
        (("--trace", "4g", "--aqm", "blue"), "argument --aqm: invalid choice: 'blue'"),
        (("--trace", "4g", "--cap-mbps", "0"), "--cap-mbps 0.0: must be positive"),
        (("--trace", "4g", "--mu", "nan"), "nan"),
        (("--trace", "4g", "--mu", "-1"), "-1"),
        (("--trace", "4g", "--qoe", "loud"), "loud"),
        (("--trace", "4g", "--delay-backend", "magic"), "magic"),
        (("--trace", "4g", "--flood"), "--flood"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    refusal: Callable[..., str], words: tuple[str, ...], said: str
) -> None:
    assert said in refusal(*words)


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no data"),
        (b"0 1\n2 x\n", ":2"),
        (b"0 1\n5 2\n4 2\n", ":3"),
        (b"0 1\n1 -2\n", ":2"),
        (b"0 1\n1 nan\n", ":2"),
        (b"0 0\n1 0\n2 0\n", "bad.log"),
        (bytes(range(256)), "bad.log"),
        (b"0 1\n1 %d\n" % (KERNEL_MAX_MBPS + 1), "Cap it in the open with --cap-mbps"),
    ],
)
def test_a_bad_trace_is_refused_with_file_and_line(
    refusal: Callable[..., str], tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "bad.log").write_bytes(content)
    told = refusal("--trace", "bad.log")
    assert said in told and "bad.log" in told


@pytest.mark.usefixtures("able")
def test_a_policy_file_that_cannot_be_had_is_refused_with_its_line(
    refusal: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("class Mine:\n    def select(self, observation):\n        return 0\n")
    assert "no reset" in refusal("--trace", "4g", "--policy", "mine.py:Mine")
    (tmp_path / "broken.py").write_text("x = 1\nraise OSError('no model here')\n")
    assert "broken.py:2" in refusal("--trace", "4g", "--policy", "broken.py:Mine")


@pytest.mark.usefixtures("able")
def test_an_out_folder_that_holds_records_is_refused_and_left_as_it_is(
    refusal: Callable[..., str], tmp_path: Path
) -> None:
    record = tmp_path / "mine" / "bba.jsonl"
    record.parent.mkdir()
    record.write_text("facts")
    told = refusal("--trace", "4g", "--out", "mine")
    assert "--out mine holds records already; name another folder" in told
    assert record.read_text() == "facts"


@pytest.mark.usefixtures("able")
def test_two_runs_at_the_same_moment_are_kept_apart(refusal: Callable[..., str], tmp_path: Path) -> None:
    first = planned("--trace", "4g", "--policy", "bba", "--out", "mine")
    with folder_of(first):  # it has just begun: no record is there, its folder of logs is empty
        told = refusal("--trace", "4g", "--policy", "bba", "--out", "mine")
        assert "--out mine: another run is writing there; name another folder" in told
        assert (tmp_path / "mine" / LOGS).is_dir()
    with folder_of(planned("--trace", "4g", "--policy", "bba", "--out", "mine")):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


@pytest.mark.usefixtures("able")
def test_a_run_that_came_and_went_since_the_folder_was_looked_at_is_seen(tmp_path: Path) -> None:
    late = planned("--trace", "4g", "--policy", "bba", "--out", "mine")
    with folder_of(planned("--trace", "4g", "--policy", "bba", "--out", "mine")):
        (tmp_path / "mine" / "bba.jsonl").write_text("facts")
    with pytest.raises(TestbedError, match="--out mine holds records already"), folder_of(late):
        pytest.fail("it was not refused")


@pytest.mark.usefixtures("able")
def test_a_file_system_without_locks_is_no_reason_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with folder_of(planned("--trace", "4g", "--policy", "bba", "--out", "mine")):
        assert Path("mine", LOGS).is_dir()


def test_who_is_not_root_is_told_to_use_sudo(
    refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "not root: network namespaces need it; run with sudo" in refusal("--trace", "4g")


@pytest.mark.parametrize(
    ("tool", "package"),
    [("mnexec", "mininet"), ("ip", "iproute2"), ("tc", "iproute2"), ("ethtool", "ethtool")],
)
def test_a_missing_tool_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tool: str, package: str
) -> None:
    for name in lane._TOOLS:
        if name != tool:
            (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(TestbedError, match=rf"^`{tool}` is missing: `apt-get install.* {package}`"):
        require_tools()


def test_without_any_tool_the_command_ends_in_one_line(
    refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "is missing: `apt-get install" in refusal("--trace", "4g")


class FakeReport:
    def __init__(self, has_netem: bool, has_packet_sockets: bool) -> None:
        self.has_netem, self.has_packet_sockets = has_netem, has_packet_sockets
        self.delay_backend = "netem" if has_netem else "relay" if has_packet_sockets else None


@pytest.mark.parametrize(
    ("asked", "netem", "sockets", "given"),
    [
        ("auto", True, True, "netem"),
        ("auto", False, True, "relay"),
        ("relay", True, True, "relay"),
        ("netem", True, False, "netem"),
    ],
)
def test_the_delay_backend_is_what_was_asked_or_what_there_is(
    monkeypatch: pytest.MonkeyPatch, asked: str, netem: bool, sockets: bool, given: str
) -> None:
    monkeypatch.setattr(lane, "probe_delay", lambda: FakeReport(netem, sockets))
    assert delay_backend(asked) == given


@pytest.mark.parametrize(
    ("asked", "netem", "sockets", "said"),
    [
        ("netem", False, True, "no netem: `modprobe sch_netem`"),
        ("relay", True, False, "no packet sockets here: `modprobe af_packet`"),
        ("auto", False, False, "neither netem nor packet sockets"),
    ],
)
def test_a_delay_backend_that_is_not_there_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, asked: str, netem: bool, sockets: bool, said: str
) -> None:
    monkeypatch.setattr(lane, "probe_delay", lambda: FakeReport(netem, sockets))
    with pytest.raises(TestbedError, match=said):
        delay_backend(asked)


def test_a_congestion_control_of_this_kernel_is_accepted() -> None:
    available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    check_congestion_control(available[0])


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a letter")
    with pytest.raises(
        TestbedError, match=r"^--out .*taken: Not a directory; name a folder that can be written"
    ):
        prepare_folder(tmp_path / "taken")
    with pytest.raises(TestbedError, match="name a folder that can be written"):
        prepare_folder(tmp_path / "taken" / "deeper")
    assert (tmp_path / "taken").read_text() == "a letter"


def test_a_folder_that_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(TestbedError, match="Permission denied; name a folder that can be written"):
        prepare_folder(tmp_path / "mine")


def test_a_disk_that_is_nearly_full_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 3 * 2**20))
    with pytest.raises(TestbedError, match="3 MiB free, 64 wanted; make room there"):
        prepare_folder(tmp_path / "mine")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("able")
def test_the_default_plan_is_five_policies_over_one_trace() -> None:
    plan = planned("--trace", "4g")
    assert [session.policy for session in plan.sessions] == ["netllm", "apc", "bba", "robustmpc", "genet"]
    assert len({session.trace.sha256 for session in plan.sessions}) == 1
    assert len({session.settings for session in plan.sessions}) == 1
    assert {session.video.name for session in plan.sessions} == {"envivio"}
    assert {session.video.chunks for session in plan.sessions} == {48}
    assert {session.record.parent for session in plan.sessions} == {plan.out.absolute()}
    assert planned("--trace", "lte").sessions[0].video.name == "uhd"


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize(
    ("words", "qoe"),
    [
        (("4g",), QoE("linear", 4.3)),
        (("lte",), QoE("linear", 40.0)),
        (("lte", "--mu", "4.3", "--smooth", "0.5"), QoE("linear", 4.3, 0.5)),
        (("lte", "--video", "envivio"), QoE("linear", 4.3)),
        (("4g", "--qoe", "log"), QoE("log", 2.66)),
        (("4g", "--qoe", "hd"), QoE("hd", 8.0)),
    ],
)
def test_without_a_mu_a_run_is_scored_by_the_top_of_its_ladder(words: tuple[str, ...], qoe: QoE) -> None:
    plan = planned("--trace", *words, "--policy", "bba")
    assert plan.qoe == qoe and plan.sessions[0].qoe == qoe


@pytest.mark.usefixtures("able")
def test_what_a_trace_brings_besides_its_rate_is_noted(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("time_s,mbps,rtt_ms\n0,5,20\n30,5,20\n60,5,140\n")
    assert planned("--trace", "4g").notes == ()
    assert planned("--trace", "4g", "--rtt-ms", "0.08").notes == (
        "--rtt-ms 0.08: is this in seconds? It counts milliseconds; 80 would be that",
    )
    past, short = planned("--trace", "4g", "--start-s", "700", "--chunks", "1").notes
    assert "past the end of trace 4g/0 (600 s)" in past and past.endswith("begin at 100 s")
    assert short.startswith("1 chunk: the first does not count")
    assert planned("--trace", str(tmp_path / "d.csv"), "--rtt-ms", "30").notes == (
        "trace d.csv brings delays of 20 to 140 ms; the round trip is these plus 30 ms (--rtt-ms)",
    )


@pytest.mark.usefixtures("able")
def test_policies_may_be_given_together_or_apart() -> None:
    plan = planned("--trace", "4g", "--policy", "bba,rate", "--policy", "fixed:1")
    assert [session.policy for session in plan.sessions] == ["bba", "rate", "fixed:1"]


@pytest.mark.usefixtures("able")
def test_equal_policies_get_records_of_their_own() -> None:
    plan = planned("--trace", "4g", "--policy", "bba,bba,fixed:1,bba,bba:reservoir_s=4")
    names = [session.record.name for session in plan.sessions]
    assert names == ["bba.jsonl", "bba-2.jsonl", "fixed-1.jsonl", "bba-3.jsonl", "bba-reservoir_s=4.jsonl"]


@pytest.mark.usefixtures("able")
def test_two_runs_that_begin_in_the_same_second_get_a_folder_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.strftime", lambda form: "20260102-030405")
    folders = [planned("--trace", "4g/3", "--policy", "bba").out for _ in range(3)]
    assert [folder.name for folder in folders] == [
        "20260102-030405-4g-3",
        "20260102-030405-4g-3-2",
        "20260102-030405-4g-3-3",
    ]
    assert all(folder.is_dir() for folder in folders)


@pytest.mark.usefixtures("able")
def test_results_that_cannot_be_a_folder_are_refused(refusal: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    assert "name a folder that can be written" in refusal("--trace", "4g", "--policy", "bba")


@pytest.mark.usefixtures("able")
def test_what_a_policy_file_prints_does_not_reach_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chatty.py").write_text(
        "print('loading')\n"
        "class Chatty:\n"
        "    def reset(self, video, seed, qoe): ...\n"
        "    def select(self, observation): return 0\n"
    )
    assert main(["--trace", "4g", "--policy", "chatty.py:Chatty", "--rtt-ms", "-5"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("loading\nrun.py: RTT -5.0 ms")


def test_ctrl_c_while_planning_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plan, "load_trace", interrupted)
    assert main(["--trace", "4g"]) == 130
    assert capsys.readouterr() == ("", "run.py: interrupted; nothing was recorded\n")


def test_the_script_itself_refuses_without_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "testbed" / "run.py", "--trace", "5gg", "--json"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("run.py: ") and done.stderr.count("\n") == 1


def test_help_groups_the_options() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "testbed" / "run.py", "--help"], capture_output=True, text=True, check=True
    )
    for group in ("what is streamed:", "who decides:", "link:", "scoring:", "output:"):
        assert f"\n{group}\n" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--loss-pct", "200"), "--loss-pct 200: expected 0 to under 100"),
        (("--loss-gemodel", "200"), "--loss-gemodel: loss p 200.0 %"),
        (("--buffer-cap-s", "3.5"), "--buffer-cap-s 3.5: a chunk of 4 s doesn't fit"),
        (("--latency-s", "3"), "--latency-s: goes with --live"),
        (("--part-s", "1"), "--part-s: goes with --live"),
        (("--live", "--latency-s", "3"), "--latency-s 3: what is made can be asked for after 4 s"),
        (("--live", "--part-s", "5"), "--part-s 5: expected 0.02 to 4"),
        (("--live", "--latency-weight", "-1"), "QoE latency -1.0: must be 0 or more"),
    ],
)
@pytest.mark.usefixtures("able")
def test_figures_are_refused_by_their_options_names(
    words: tuple[str, ...], said: str, refusal: Callable[..., str]
) -> None:
    assert said in refusal("--trace", "4g", *words)


@pytest.mark.usefixtures("able")
def test_a_live_run_is_planned_with_its_latency_and_what_that_costs() -> None:
    plan = planned("--trace", "4g", "--policy", "bba", "--live", "--part-s", "0.5")
    (one,) = plan.sessions
    assert one.live == LivePlan(12.0, 0.5) and one.live.ahead_s(4.0) == 3.5
    assert one.qoe == plan.qoe == LiveQoE(mu=4.3, latency=0.43)
    assert ", live, 12 s behind, in parts of 0.5 s, " in describe(plan)
    assert planned("--trace", "4g", "--policy", "bba").sessions[0].live is None


def test_live_lines_stand_in_columns() -> None:
    out = io.StringIO()
    names = ["my_policy.py:Patient", "bba"]
    display = SessionsDisplay(Console(file=out), names, load_video("envivio"), resolve("4g"), 0.0)
    for index in range(2):
        display.end(index, EndRow("finished", "", 1, 0.0, 0.0, 4.0, 4.0))
    assert [line.index("finished") for line in out.getvalue().splitlines()] == [22, 22]
