"""`python -m player` as a person and as the testbed run it: statuses, records, lines."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from player.__main__ import main
from player.record import EndRow, read_record
from tests.support.player_fakes import Fault, Origin, a_video, serving

QUICK_TO_GIVE_UP = ("--read-timeout-s", "0.3", "--give-up-s", "0.6")
SILENT = Fault(pause_after=0, pause_s=60)


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


async def begin(*arguments: str, folder: Path, **pipes: Any) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "player",
        *arguments,
        cwd=folder,
        **({"stdin": -3, "stdout": -1, "stderr": -1} | pipes),
    )


async def finish(process: asyncio.subprocess.Process) -> Done:
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


def run(folder: Path, *arguments: str, origin: Origin | None = None) -> Done:
    """The command against an origin; `URL` in the arguments is its MPD's."""

    async def work() -> Done:
        async with serving(origin or Origin(a_video())) as served:
            words = [word.replace("URL", served.mpd_url) for word in arguments]
            return await finish(await begin(*words, folder=folder))

    return asyncio.run(work())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_session_on_a_pipe(tmp_path: Path) -> None:
    done = run(tmp_path, "URL", "--policy", "fixed:1", "--seed", "4")
    assert (done.status, done.err) == (0, "")
    assert names(tmp_path) == names(tmp_path / "results")
    (path,) = (tmp_path / "results").iterdir()
    assert path.name.endswith("-fixed-1.jsonl")
    record = read_record(path)
    assert (record.end.outcome, len(record.chunks)) == ("finished", 4)
    manifest = record.manifest
    assert manifest["video"]["chunks"] == 4
    assert len(manifest["video"]["sizes_bytes"]) == 4
    assert manifest["video"]["sizes_exact"] is True
    assert (manifest["policy"]["spec"], manifest["policy"]["name"]) == ("fixed:1", "fixed")
    assert list(manifest["policy"]["parameters"].values()) == [1]
    assert manifest["seed"] == 4
    assert manifest["told_qoe"] == {"kind": "linear", "mu": 1.2, "smooth": 1.0}, "the top of 1200 kbit/s"
    assert manifest["command_line"][:3] == ["python", "-m", "player"]
    assert manifest["player"]["congestion_control"]
    assert set(manifest["versions"]) == {"python", "kernel", "streambed", "aiohttp"}
    lines = done.out.splitlines()
    assert sum(line.startswith("chunk ") for line in lines) == 4
    assert "QoE per chunk (linear, mu 1.2 (the ladder's top), smooth 1)  0.750" in done.out
    assert f"results/{path.name}" in done.out
    assert "\x1b" not in done.out, "no terminal codes on a pipe"


def test_json_is_all_there_is_on_stdout(tmp_path: Path) -> None:
    (tmp_path / "chatty.py").write_text(
        "class P:\n"
        "    def reset(self, video, seed, qoe): print('reset')\n"
        "    def select(self, observation): print('select'); return 2\n"
    )
    arguments = (
        "URL",
        "--policy",
        "chatty.py:P",
        "--json",
        "--out",
        "a/b.jsonl",
        "--chunks",
        "2",
        "--mu",
        "10",
    )
    done = run(tmp_path, *arguments)
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert (told["policy"], told["sessions"], told["invalid"]) == ("chatty.py:P", 1, 0)
    assert (told["qoe"], told["qoe_weights"]["mu"]) == (
        pytest.approx(1.2 - 10 * told["stall_s_per_chunk"]),
        10.0,
    )
    assert (told["bitrate_mbps"], told["smoothness_mbps"], told["outcome"]) == (1.2, 0.0, "finished")
    assert told["out"] == "a/b.jsonl"
    assert len(read_record(tmp_path / "a" / "b.jsonl").chunks) == 2
    assert "select" in done.err


def test_nothing_is_folded_for_a_pipe(tmp_path: Path) -> None:
    name = f"{'long' * 40}.jsonl"
    done = run(tmp_path, "URL", "--chunks", "1", "--out", name)
    assert done.status == 0, done.err
    record, then = done.out.splitlines()[-2:]
    assert record.split() == ["record", name]
    assert then.startswith("next: ") and then.endswith(
        f"python -m analysis plot {name} --what timeline --out session.png"
    )


NOISY = """
import ctypes, os, subprocess
C = ctypes.CDLL(None)
class P:
    def reset(self, video, seed, qoe): print("by Python")
    def select(self, observation):
        os.system("echo by a shell")
        subprocess.run(["echo", "by a child"])
        os.write(1, b"by the descriptor\\n")
        C.printf(b"by C, kept until it is flushed\\n")
        return 1
"""
NOISE = ("by Python", "by a shell", "by a child", "by the descriptor", "by C, kept until it is flushed")


def test_nothing_that_a_policy_writes_gets_on_stdout(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    done = run(tmp_path, "URL", "--policy", "noisy.py:P", "--json", "--chunks", "2")
    assert done.status == 0, done.err
    assert json.loads(done.out)["outcome"] == "finished"
    assert [word for word in NOISE if word not in done.err] == []


def test_nothing_that_a_policy_writes_gets_between_the_lines(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)

    async def work() -> list[dict[str, Any]]:
        async with serving(Origin(a_video())) as origin:
            stream = await begin_stream(origin, tmp_path, "--policy", "noisy.py:P", "--chunks", "2")
            lines = [await stream.until("ready")]
            stream.say('{"start_s": 0}\n')
            return lines + await stream.rest_of_session()

    lines = asyncio.run(work())
    assert [line["line"] for line in lines if line["line"] != "state"] == ["ready", "chunk", "chunk", "end"]
    assert lines[-1]["outcome"] == "finished"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--policy", "bbaa", "http://h/v.mpd"), "did you mean bba"),
        (("--policy", "bba:x=1", "http://h/v.mpd"), "no parameter 'x'"),
        (("--chunks", "0", "http://h/v.mpd"), "must be 1 or more"),
        (("--qoe", "best", "http://h/v.mpd"), "invalid choice"),
        (("--mu", "nan", "http://h/v.mpd"), "mu nan"),
        (("--decision-deadline-s", "-1", "http://h/v.mpd"), "must be positive"),
        (("--buffer-cap-s", "0.1", "http://h/v.mpd"), "buffer_cap_s 0.1: must be 0.5 or more"),
        (("--out", ".", "http://h/v.mpd"), "is a folder"),
        (("--stream", "--json", "http://h/v.mpd"), "leave --json and --out away"),
        (("ftp://x/y.mpd",), "is no URL of an MPD"),
        (("nonsense",), "is no URL of an MPD"),
        (("http://[::1/x",), "is no URL of an MPD"),
        ((), "required: URL"),
    ],
)
def test_a_bad_command_line_is_one_line_and_status_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(list(arguments))
    except SystemExit as ended:
        status = ended.code
    told = capsys.readouterr()
    assert (status, told.out) == (2, "")
    assert message in told.err
    assert len(told.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("URL", "--chunks", "99"), "asked for 99 chunks; it has 4"),
        (("URL", "--out", "/dev/null/a.jsonl"), "cannot write the record /dev/null/a.jsonl: /dev/null is no"),
        (("URL/none",), "404 Not Found"),
    ],
)
def test_what_cannot_be_streamed_is_one_line_and_status_2(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = run(tmp_path, *arguments)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert names(tmp_path) == []


def test_a_closed_port_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:  # bound, but it does not listen
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v/manifest.mpd"
        assert main([url]) == 2
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 1)
    assert "no byte for 2 s; last: connection refused; does a server listen on port" in told.err


def test_hd_with_a_ladder_it_does_not_know(tmp_path: Path) -> None:
    video = a_video()
    other = type(video)("other", video.chunk_s, (300, 750, 1000), video.sizes_bytes)
    done = run(tmp_path, "URL", "--qoe", "hd", origin=Origin(other))
    assert (done.status, len(done.err.splitlines())) == (2, 1)
    assert "no value for 1000 kbit/s" in done.err


def test_a_session_cut_short_is_status_1_and_a_record(tmp_path: Path) -> None:
    origin = Origin(a_video(), [Fault()], then=SILENT)
    done = run(tmp_path, "URL", "--out", "a.jsonl", *QUICK_TO_GIVE_UP, origin=origin)
    assert done.status == 1, done.err
    assert read_record(tmp_path / "a.jsonl").end.outcome == "origin-lost"
    assert "origin-lost" in done.out


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_writes_the_record_first(tmp_path: Path, number: signal.Signals, status: int) -> None:
    async def work() -> Done:
        async with serving(Origin(a_video(), [Fault()], then=SILENT)) as origin:
            process = await begin(origin.mpd_url, "--out", "a.jsonl", folder=tmp_path)
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), 30)
            assert line.startswith(b"chunk   1/4")
            process.send_signal(number)
            return await finish(process)

    done = asyncio.run(work())
    assert (done.status, done.err) == (status, "")
    assert names(tmp_path) == ["a.jsonl"]
    end = read_record(tmp_path / "a.jsonl").end
    assert (end.outcome, end.reason, end.chunks) == ("interrupted", number.name, 1)


def test_a_signal_with_a_stuck_policy_ends_it_too(tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text(
        "import threading\n"
        "class P:\n"
        "    def reset(self, video, seed, qoe): pass\n"
        "    def select(self, observation): print('asked', flush=True); threading.Event().wait()\n"
    )

    async def work() -> Done:
        async with serving(Origin(a_video())) as origin:
            process = await begin(
                origin.mpd_url, "--policy", "stuck.py:P", "--out", "a.jsonl", folder=tmp_path
            )
            assert process.stderr is not None
            assert await asyncio.wait_for(process.stderr.readline(), 30) == b"asked\n"
            process.send_signal(signal.SIGINT)
            return await finish(process)

    assert asyncio.run(work()).status == 130
    assert read_record(tmp_path / "a.jsonl").end.outcome == "interrupted"


def test_a_reader_that_leaves_does_not_cost_the_record(tmp_path: Path) -> None:
    async def work() -> Done:
        async with serving(Origin(a_video())) as origin:
            reading, writing = os.pipe()
            os.close(reading)
            try:
                process = await begin(origin.mpd_url, "--out", "a.jsonl", folder=tmp_path, stdout=writing)
            finally:
                os.close(writing)
            _, err = await asyncio.wait_for(process.communicate(), 60)
            assert process.returncode is not None
            return Done(process.returncode, "", err.decode())

    done = asyncio.run(work())
    assert "Traceback" not in done.err
    assert read_record(tmp_path / "a.jsonl").end.outcome == "finished"


def test_on_a_terminal_a_live_line(tmp_path: Path) -> None:
    async def work() -> tuple[int | None, str]:
        async with serving(Origin(a_video(chunks=6))) as origin:
            ours, theirs = pty.openpty()
            process = await begin(
                origin.mpd_url, "--out", "a.jsonl", folder=tmp_path, stdout=theirs, stderr=theirs
            )
            os.close(theirs)
            shown = asyncio.get_running_loop().run_in_executor(None, read_all, ours)
            await asyncio.wait_for(process.wait(), 60)
            return process.returncode, await shown

    status, shown = asyncio.run(work())
    assert status == 0, shown
    assert "chunk   6/6" in shown
    assert "playing" in shown
    assert "QoE per chunk" in shown


def read_all(terminal: int) -> str:
    shown = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # what Linux answers once the other side is closed
            data = b""
        if not data:
            os.close(terminal)
            return shown.decode(errors="replace")
        shown += data


class Stream:
    """A parent that speaks with `--stream`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        text = await asyncio.wait_for(self.process.stdout.readline(), 30)
        return json.loads(text) if text else {}

    async def until(self, kind: str) -> dict[str, Any]:
        while (line := await self.line()).get("line") != kind:
            assert line, f"no {kind} line"
        return line

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())

    async def rest_of_session(self) -> list[dict[str, Any]]:
        """All lines to the end of stdout, every one JSON."""
        lines = []
        while line := await self.line():
            lines.append(line)
        await self.rest()
        return lines

    async def rest(self) -> list[dict[str, Any]]:
        """Close the player's stdin and read to the end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        done = await finish(self.process)
        return [json.loads(line) for line in done.out.splitlines()]


async def begin_stream(origin: Origin, folder: Path, *arguments: str) -> Stream:
    return Stream(await begin(origin.mpd_url, "--stream", *arguments, folder=folder, stdin=-1))


def test_stream_from_ready_to_end(tmp_path: Path) -> None:
    async def work() -> tuple[dict[str, Any], float, list[dict[str, Any]], int | None]:
        async with serving(Origin(a_video())) as origin:
            stream = await begin_stream(origin, tmp_path, "--policy", "fixed:2")
            ready = await stream.line()
            assert origin.ranges == [], "nothing is streamed before the start"
            start_s = time.monotonic() + 0.3
            stream.say(json.dumps({"start_s": start_s}) + "\n")
            lines: list[dict[str, Any]] = []
            while not lines or lines[-1]["line"] != "end":
                lines.append(await stream.line())
            assert time.monotonic() - start_s >= lines[-1]["elapsed_s"] >= 0.8 - 1e-6
            assert await stream.rest() == []
            return ready, start_s, lines, stream.process.returncode

    ready, _, lines, status = asyncio.run(work())
    assert status == 0
    assert ready["line"] == "ready"
    assert ready["manifest"]["policy"]["spec"] == "fixed:2"
    chunks = [line for line in lines if line["line"] == "chunk"]
    assert [(line["chunk"], line["level"]) for line in chunks] == [(k, 2) for k in range(4)]
    states = [line for line in lines if line["line"] == "state"]
    assert len(states) >= 2
    assert set(states[0]) == {
        "line", "t_s", "phase", "chunk", "level", "buffer_s", "stall_s", "downloaded_bytes"
    }  # fmt: skip
    end = {key: value for key, value in lines[-1].items() if key != "line"}
    assert EndRow(**end).outcome == "finished"
    assert names(tmp_path) == [], "the testbed writes the record"


def test_a_held_player_keeps_its_connection_until_it_is_let_go(tmp_path: Path) -> None:
    """The parent reads the path's counters in peace: a connection's end would be packets."""

    async def work() -> tuple[int, int | None, int, list[dict[str, Any]], int | None]:
        async with serving(Origin(a_video())) as origin:
            stream = await begin_stream(origin, tmp_path, "--hold", "--chunks", "1")
            await stream.until("loaded")
            stream.say('{"go": true}\n')
            await stream.until("ready")
            stream.say('{"start_s": 0}\n')
            await stream.until("end")
            ended = asyncio.ensure_future(stream.process.wait())
            await asyncio.wait([ended], timeout=0.3)
            held = (origin.connections(), stream.process.returncode)
            rest = await stream.rest()
            await ended
            while origin.connections():
                await asyncio.sleep(0.01)
            return *held, origin.connections(), rest, stream.process.returncode

    assert asyncio.run(work()) == (1, None, 0, [], 0)


def test_stream_whose_parent_goes_before_the_start(tmp_path: Path) -> None:
    async def work() -> tuple[list[dict[str, Any]], int | None]:
        async with serving(Origin(a_video())) as origin:
            stream = await begin_stream(origin, tmp_path)
            await stream.until("ready")
            return await stream.rest(), stream.process.returncode

    lines, status = asyncio.run(work())
    assert status == 1
    assert (lines[-1]["line"], lines[-1]["outcome"], lines[-1]["chunks"]) == ("end", "interrupted", 0)
    assert "stdin" in lines[-1]["reason"]


def test_stream_whose_parent_goes_during_a_session(tmp_path: Path) -> None:
    async def work() -> tuple[list[dict[str, Any]], int | None]:
        async with serving(Origin(a_video(), [Fault()], then=SILENT)) as origin:
            stream = await begin_stream(origin, tmp_path)
            await stream.until("ready")
            stream.say('{"start_s": 0}\n')
            await stream.until("chunk")
            return await stream.rest(), stream.process.returncode

    lines, status = asyncio.run(work())
    assert status == 1
    assert (lines[-1]["outcome"], lines[-1]["chunks"]) == ("interrupted", 1)


def test_stream_with_a_start_line_that_is_none(tmp_path: Path) -> None:
    async def work() -> Done:
        async with serving(Origin(a_video())) as origin:
            stream = await begin_stream(origin, tmp_path)
            await stream.until("ready")
            stream.say('{"start": "now"}\n')
            await asyncio.wait_for(stream.process.wait(), 30)
            return await finish(stream.process)

    done = asyncio.run(work())
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert "expected" in done.err


def test_stream_that_cannot_begin(tmp_path: Path) -> None:
    done = run(tmp_path, "URL/none", "--stream")
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)


BROKEN = """
class Alone:
    fallback = "fixed:1"
    def reset(self, video, seed, qoe): raise RuntimeError("no weights")
    def select(self, observation): return 0
class Six:
    def reset(self, video, seed, qoe): raise ValueError("made for 6 levels")
    def select(self, observation): return 0
"""


def test_what_the_fallback_plays_alone_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    done = run(tmp_path, "URL", "--policy", "broken.py:Alone", "--out", "a.jsonl")
    assert done.status == 1
    assert "QoE per chunk (linear, mu 1.2 (the ladder's top), smooth 1)  -" in done.out
    assert "the fallback, fixed:1, decided all 4 chunks, first because the policy raised" in done.out
    record = read_record(tmp_path / "a.jsonl")
    assert record.manifest["player"]["fallback"] == "fixed:1"
    assert {(row.level, row.by) for row in record.chunks} == {(1, "fallback")}
    done = run(tmp_path, "URL", "--policy", "broken.py:Alone", "--strict")
    assert done.status == 2 and "RuntimeError: no weights at reset (broken.py:4)" in done.err
    assert "; stopped, as --strict says\nTraceback" in done.err


def test_what_cannot_play_the_video_is_refused_before_a_chunk(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    done = run(tmp_path, "URL", "--policy", "broken.py:Six")
    assert done.status == 2 and done.err.count("\n") == 1
    assert "policy broken.py:Six can't play http" in done.err and "6 levels (broken.py:7)" in done.err
    done = run(tmp_path, "URL", "--policy", "oracle")
    assert done.status == 2 and "only the simulated player knows" in done.err
    assert names(tmp_path) == ["broken.py"]
