"""What the emulation tests share: namespaces of their own, short videos and traces, runs as processes.

All that a run starts carries a mark in its environment, so that what it leaves behind is found among
other people's processes, whatever it is called.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from traces.bound_processes import die_with_parent

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "testbed" / "run.py"

WIDE_S = 60.0
"""However loaded the machine, a thing that will happen has happened by then."""

MARK = "STREAMBED_TEST_MARK"


def wait_until(done: Callable[[], Any], what: str, timeout_s: float = WIDE_S) -> Any:
    """The first true answer of `done`."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        answer = done()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"waited {timeout_s:g} s in vain: {what}")


def net_namespace(pid: int | str) -> str:
    """`net:[…]`, the network namespace of a process."""
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def parent(pid: int) -> int:
    """The process that started it, or that took it over."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class Namespace:
    """A network namespace that a sleeping process holds, and that goes with it."""

    def __init__(self, *words: str) -> None:
        self._process = subprocess.Popen(
            ["mnexec", "-n", *(words or ("sleep", "600"))], preexec_fn=die_with_parent
        )
        self.pid = self._process.pid
        wait_until(
            lambda: self._comm() != "mnexec" and net_namespace(self.pid) != net_namespace("self"), "unshare"
        )

    def _comm(self) -> str:
        return Path(f"/proc/{self.pid}/comm").read_text().strip()

    def run(self, command: str) -> str:
        """Run a shell command in it; its output."""
        done = subprocess.run(
            ["mnexec", "-a", str(self.pid), "sh", "-ec", command], capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def a_namespace(*words: str) -> Iterator[Namespace]:
    """A namespace of the test's own, held by the process that `words` start."""
    held = Namespace(*words)
    try:
        yield held
    finally:
        held.close()


def write_trace(path: Path, rates_mbps: Sequence[float], step_s: float = 1.0) -> Path:
    """A two-column trace of equal steps."""
    lines = ["0 0\n", *(f"{(i + 1) * step_s:g} {rate:g}\n" for i, rate in enumerate(rates_mbps))]
    path.write_text("".join(lines))
    return path


def write_video(
    folder: Path, chunks: int, chunk_s: float, sizes_bytes: Sequence[int] = (8_000, 20_000, 40_000)
) -> Path:
    """A directory of sizes, three levels."""
    folder.mkdir()
    for level, size in enumerate(sizes_bytes):
        (folder / f"video_size_{level}").write_text("".join(f"{size + i}\n" for i in range(chunks)))
    (folder / "chunk_s").write_text(f"{chunk_s:g}\n")
    (folder / "ladder_kbps").write_text("300\n750\n1200\n")
    return folder


def marked(mark: str) -> list[int]:
    """All processes that were started with this mark in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


class Run:
    """`run.py`, or another script, as a process."""

    def __init__(self, folder: Path, *words: str | Path, path: str | None = None, script: Path = RUN) -> None:
        self.folder = folder
        self._mark = uuid.uuid4().hex
        environment = {**os.environ, MARK: self._mark, "PYTHONDONTWRITEBYTECODE": "1"}
        if path is not None:
            environment["PATH"] = path
        self._stdout = folder / f"{self._mark}.out"
        self._stderr = folder / f"{self._mark}.err"
        with self._stdout.open("w") as out, self._stderr.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, script, *map(str, words)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    @property
    def out(self) -> str:
        return self._stdout.read_text()

    @property
    def err(self) -> str:
        return self._stderr.read_text()

    def finish(self) -> int:
        """Its exit status, once it has ended by itself."""
        try:
            return self.process.wait(WIDE_S)
        finally:
            self.process.kill()
            self.process.wait()

    def one_line(self) -> str:
        """What it complained about; it must be one line and no traceback."""
        assert self.err.count("\n") == 1 and self.err.startswith("run.py: "), f"no single line: {self.err}"
        return self.err

    def processes(self) -> list[int]:
        """All processes that it started and that started from those, itself left out."""
        return [pid for pid in marked(self._mark) if pid != self.process.pid]

    def children(self, words: str) -> list[int]:
        """Those of its processes whose command line holds `words`."""
        found = []
        for pid in self.processes():
            with suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                if words in line:
                    found.append(pid)
        return found

    def eldest(self, words: str) -> int:
        """The one of them that none of the others started."""
        found = self.children(words)
        (first,) = (pid for pid in found if parent(pid) not in found)
        return first

    def child(self, words: str) -> int | None:
        """One of them, if there is any."""
        return next(iter(self.children(words)), None)

    def in_host(self, words: str, lane: int, role: str) -> int:
        """The process of this command line in a lane's host."""
        host = self.child(f"mininet:sb{self.process.pid}-{lane}-{role} ")
        assert host is not None, f"lane {lane} has no host {role}"
        (found,) = (pid for pid in self.children(words) if net_namespace(pid) == net_namespace(host))
        return found

    def namespaces(self) -> set[str]:
        """`net:[…]` of all its processes but our own namespace."""
        found = set()
        for pid in self.processes():
            with suppress(OSError):
                found.add(net_namespace(pid))
        return found - {net_namespace("self")}

    def expect(self, done: Callable[[], Any], what: str) -> Any:
        """Wait for something while it runs."""

        def ask() -> Any:
            answer = done()
            assert answer or self.process.poll() is None, f"ended before {what}: {self.out}{self.err}"
            return answer

        return wait_until(ask, what)

    def expect_hosts(self) -> None:
        """The set-up has begun."""
        self.expect(lambda: self.child(f"mininet:sb{self.process.pid}-"), "its hosts")

    def expect_origin(self) -> int:
        """The path is being probed, or soon will be."""
        return int(self.expect(lambda: self.child("-m testbed.origin"), "its origin"))

    def expect_chunk(self, out: Path, policy: str = "bba") -> None:
        """The session has begun, and its first chunk is in."""
        partial = out / f"{policy}.jsonl.partial"
        self.expect(lambda: partial.exists() and b'"line":"chunk"' in partial.read_bytes(), "a chunk")

    def interrupt_group(self) -> None:
        """What a terminal does at Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)

    def expect_nothing_left(self, namespaces: Collection[str] = ()) -> None:
        """None of its processes, and none of the namespaces that it had, is there any more."""
        wait_until(lambda: not self.processes(), "its processes end")
        wait_until(lambda: not all_namespaces() & set(namespaces), "its namespaces go")


def all_namespaces() -> set[str]:
    """`net:[…]` of every process of the machine."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.add(net_namespace(entry.name))
    return found


def surroundings() -> dict[str, Any]:
    """What of the machine's own network a run must not touch."""

    def said(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    named = Path("/run/netns")
    names = ("ip_forward", "tcp_slow_start_after_idle", "tcp_no_metrics_save", "conf/all/rp_filter")
    return {
        "interfaces": sorted(link["ifname"] for link in json.loads(said("ip", "-j", "link"))),
        "qdiscs": said("tc", "qdisc", "show"),
        "rules": said("ip", "rule"),
        "routes": said("ip", "route"),
        "named": sorted(path.name for path in named.iterdir()) if named.is_dir() else [],
        "sysctls": {name: Path("/proc/sys/net/ipv4", name).read_text() for name in names},
    }
