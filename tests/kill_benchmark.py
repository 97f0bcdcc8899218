"""Kill commands with `kill -9` at random moments, half of them while they start, and look at what is left.

    sudo python -m tests.kill_benchmark [--kills 500] [--kinds sweep,simulation,run,server] [--seed 0]

A command is killed a few times over the same folder and then let finish. Exit status: 0 when no record was
lost, doubled or halved and no process, network namespace, interface or temporary folder was left, else 1.
Run it where nobody else emulates: namespaces and interfaces of others would be taken for ours.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from player.record import read_record
from traces.files import PARTIAL

ROOT = Path(__file__).resolve().parent.parent
GONE_WITHIN_S = 15.0
"""The kernel kills at once; a namespace goes when the last of its processes was taken down."""
STARTING_S = 1.6
"""Half of the kills fall within so long from the start."""
KILLS_A_ROUND = 5
FINISH_WITHIN_S = 600.0
TEMPORARY = "tmp"
"""Where a command's temporary files go, in its folder; libraries keep caches there too, as torch does."""
MARK = "STREAMBED_KILL_BENCHMARK"
"""In the environment of all that a command starts."""

SWEEP = """\
name = "killed"
policies = ["bba", "robustmpc", "small:server=none"]
baseline = "bba"

[[setting]]
label = "usual"
traces = "4g[0:{traces}]"
chunks = 48
rtt_ms = 80
"""


@dataclass(frozen=True)
class KilledKind:
    """A kind of command."""

    command: Callable[[Path], list[str]]
    """In a folder of its own."""
    records: Callable[[Path], int]
    """How many there are in the end."""
    lasts_s: float
    """About; kills fall within."""


def _script(name: str, *words: str) -> list[str]:
    return [sys.executable, str(ROOT / "testbed" / name), *words]


def _sweep(folder: Path) -> list[str]:
    (folder / "s.toml").write_text(SWEEP.format(traces=12))
    return _script(
        "sweep.py", str(folder / "s.toml"), "--simulate", "--jobs", "2", "--out", str(folder / "out")
    )


def _simulation(folder: Path) -> list[str]:
    words = ("--traces", "4g[0:12]", "--policy", "bba,robustmpc,small:server=none", "--jobs", "2")
    return _script("simulate.py", *words, "--out", str(folder / "out"))


def _run(folder: Path) -> list[str]:
    number = len(list(folder.glob("out*")))  # a run doesn't go on: each has a folder of its own
    words = ("--trace", "4g", "--policy", "bba,small", "--chunks", "2")
    return _script("run.py", *words, "--out", str(folder / f"out{number}"))


def _server(folder: Path) -> list[str]:
    return [sys.executable, "-m", "policies.llm", "serve", "--socket", str(folder / "s.sock"), "--json"]


KINDS = {
    "sweep": KilledKind(_sweep, lambda folder: 36, 7.0),
    "simulation": KilledKind(_simulation, lambda folder: 36, 7.0),
    "run": KilledKind(_run, lambda folder: 2, 18.0),
    "server": KilledKind(_server, lambda folder: 0, 6.0),
}


@dataclass
class KillTally:
    """What was done, and what was found that should not be."""

    kills: int = 0
    while_starting: int = 0
    faults: list[str] = field(default_factory=list)


def marked(mark: str) -> list[int]:
    """Processes with this mark in their environment that are not dead."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            alive = (place / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            if alive and f"{MARK}={mark}".encode() in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
    return found


def surroundings() -> dict[str, set[str]]:
    """Network namespaces and interfaces on this machine."""
    namespaces = set()
    for place in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):
            namespaces.add(str(place.readlink()))
    return {
        "network namespace": namespaces,
        "interface": {path.name for path in Path("/sys/class/net").iterdir()},
    }


def _left(mark: str, folder: Path, before: dict[str, set[str]]) -> list[str]:
    """What is there that should not be, once it had time to go."""
    until_s = time.monotonic() + GONE_WITHIN_S
    while True:
        left = [f"process {pid} ({_command(pid)})" for pid in marked(mark)]
        left += [f"temporary {path.name}" for path in (folder / TEMPORARY).glob("streambed*")]
        now = surroundings()
        left += [f"{what} {name}" for what in before for name in sorted(now[what] - before[what])]
        if not left or time.monotonic() > until_s:
            return left
        time.sleep(0.1)


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:90]
    return "gone"


def _started(words: Sequence[str], mark: str, folder: Path) -> subprocess.Popen[bytes]:
    (folder / TEMPORARY).mkdir(exist_ok=True)
    return subprocess.Popen(
        words,
        env={**os.environ, MARK: mark, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / TEMPORARY)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def kill_once(kind: KilledKind, folder: Path, after_s: float) -> list[str]:
    """Start a command, kill it, and say what is left of it."""
    mark, before = uuid.uuid4().hex, surroundings()
    process = _started(kind.command(folder), mark, folder)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    process.kill()
    process.communicate()
    return _left(mark, folder, before)


def finish(name: str, folder: Path) -> list[str]:
    """Let a command do all that is left, and say what is wrong with it and its records."""
    kind, mark, before = KINDS[name], uuid.uuid4().hex, surroundings()
    process = _started(kind.command(folder), mark, folder)
    if name == "server":
        return [*_serves(process, folder), *_left(mark, folder, before)]
    _, said = process.communicate(timeout=FINISH_WITHIN_S)
    faults = []
    if process.returncode != 0 and not (name == "run" and process.returncode == 1):  # an untrue link is told
        faults.append(f"exit status {process.returncode}: {said.decode(errors='replace')[-300:]}")
    out = max(folder.glob("out*"), key=lambda path: path.stat().st_mtime_ns)
    return [*faults, *_wrong_records(out, kind.records(folder)), *_left(mark, folder, before)]


def _wrong_records(out: Path, expected: int) -> list[str]:
    paths = sorted(out.glob("*.jsonl"))
    faults = [] if len(paths) == expected else [f"{len(paths)} records of {expected} in {out}"]
    faults += [f"left: {path}" for path in out.rglob(f"*{PARTIAL}")]
    seen = set()
    for path in paths:
        try:
            record = read_record(path)
        except ValueError as error:
            faults.append(f"a record is broken: {error}")
            continue
        key = json.dumps([record.manifest["policy"], record.manifest["trace"]["sha256"]], sort_keys=True)
        faults += [f"doubled: {path}"] if key in seen else []
        seen.add(key)
    return faults


def _serves(process: subprocess.Popen[bytes], folder: Path) -> list[str]:
    """A server takes the place of one that was killed, and leaves nothing when it is told to end."""
    socket, until_s = folder / "s.sock", time.monotonic() + 120.0
    inode = socket.stat().st_ino if socket.exists() else 0
    while process.poll() is None and time.monotonic() < until_s:
        if socket.exists() and socket.stat().st_ino != inode:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    try:
        _, said = process.communicate(timeout=30.0)
    except subprocess.TimeoutExpired:
        process.kill()
        return ["a server did not end"]
    faults = [] if process.returncode in (0, 143) else [f"server: {said.decode(errors='replace')[-300:]}"]
    return faults + ([f"left: {socket}"] if socket.exists() else [])


def rounds(names: Sequence[str], kills: int, chance: random.Random) -> Iterator[KillTally]:
    """Kill and finish in rounds; yields what is known after each."""
    tally, turn = KillTally(), 0
    while tally.kills < kills:
        name, turn = names[turn % len(names)], turn + 1
        with tempfile.TemporaryDirectory(prefix="kill-benchmark-") as place:
            folder = Path(place)
            for _ in range(min(KILLS_A_ROUND, kills - tally.kills)):
                starting = tally.kills % 2 == 0
                bounds = (0.0, STARTING_S) if starting else (STARTING_S, KINDS[name].lasts_s)
                after_s = chance.uniform(*bounds)
                left = kill_once(KINDS[name], folder, after_s)
                tally.faults += [f"{name} killed after {after_s:.2f} s: {what}" for what in left]
                tally.kills += 1
                tally.while_starting += starting
            tally.faults += [f"{name} in the end: {what}" for what in finish(name, folder)]
        yield tally


def main() -> int:
    """Kill, look, and say; the exit status."""
    command = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    command.add_argument("--kills", type=int, default=500, metavar="N")
    command.add_argument("--kinds", default=",".join(KINDS), metavar="NAME,…")
    command.add_argument("--seed", type=int, default=0, metavar="N")
    args = command.parse_args()
    names, said = args.kinds.split(","), 0
    tally = KillTally()
    for tally in rounds(names, args.kills, random.Random(args.seed)):
        for fault in tally.faults[said:]:
            print(fault, flush=True)
        said = len(tally.faults)
        print(f"{tally.kills} of {args.kills} kills, {said} faults", flush=True)
    print(f"{tally.kills} kills, {tally.while_starting} of them while starting: {len(tally.faults)} faults")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
