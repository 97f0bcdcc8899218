"""What the machine's processors did meanwhile: time that others took (steal), waiting, work. From /proc.

On a virtual machine the hypervisor may take a processor away for milliseconds (steal), and on any machine
other processes make ours wait. Both show in the links' figures, so both stand beside them: take a
`MachineReading` before and one after, and ask for the `MachineChange`. What a kernel does not tell is None.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
"""In which /proc/stat and /proc/PID/stat count."""

LEAST_WANTED_SHARE = 0.05
"""A machine that wanted its processors for less than this tells little of how many are taken when wanted:
its steal is held against this much."""

DIGITS = 6
"""Of shares and seconds, in records: microseconds are all that these counters know."""


@dataclass(frozen=True)
class CpuTimes:
    """One processor, since boot, in seconds."""

    busy_s: float
    idle_s: float
    """Waiting for a disk included."""
    steal_s: float
    """It wanted to run and the hypervisor ran somebody else."""

    @property
    def total_s(self) -> float:
        return self.busy_s + self.idle_s + self.steal_s


@dataclass(frozen=True)
class RunQueue:
    """A process (its first thread), since it began, in seconds."""

    run_s: float
    wait_s: float
    """It could have run and had no processor."""


@dataclass(frozen=True)
class MachineChange:
    """What happened between two readings. Shares are of all processors' time, 0 to 1."""

    duration_s: float
    cpus: int
    steal: float | None
    steal_worst_cpu: float | None
    """Of the processor that lost most."""
    busy: float | None
    idle: float | None
    pressure: float | None
    """Share of the time in which some process wanted a processor and had none (/proc/pressure/cpu)."""
    others_cores: float | None
    """Processors that were kept busy by what is not ours, in the mean."""
    waits_ms_per_s: Mapping[str, float] = field(default_factory=dict)
    """How long each watched process waited for a processor, a second."""

    @property
    def stolen_of_wanted(self) -> float:
        """Steal as a share of the time in which processors were wanted: an idle machine loses nothing."""
        if self.steal is None or self.busy is None:
            return 0.0
        return self.steal / max(self.steal + self.busy, LEAST_WANTED_SHARE)

    @property
    def wanted_share(self) -> float:
        """Of the time in which somebody waited for a processor; that in which processors were busy where
        the kernel does not tell."""
        return self.pressure if self.pressure is not None else self.busy or 0.0

    @property
    def worst_wait_ms_per_s(self) -> float | None:
        """Of the process that waited most; None where none was watched."""
        return max(self.waits_ms_per_s.values(), default=None)


@dataclass(frozen=True)
class MachineReading:
    """The counters at one moment."""

    at_s: float
    """On the monotonic clock."""
    cpus: tuple[CpuTimes, ...]
    pressure_s: float | None
    queues: Mapping[str, RunQueue]
    """Of watched processes, by their names."""
    ours_s: float
    """Processor time of this process and of all that it started."""

    def since(self, earlier: MachineReading) -> MachineChange:
        """What happened since an earlier reading of the same machine."""
        duration_s = max(self.at_s - earlier.at_s, 1e-9)
        spent = [_less(now, then) for now, then in zip(self.cpus, earlier.cpus, strict=False)]
        total_s = sum(one.total_s for one in spent)
        busy_s = sum(one.busy_s for one in spent)
        known = bool(spent) and total_s > 0
        worst = max((one.steal_s / one.total_s for one in spent if one.total_s > 0), default=0.0)
        others = max(busy_s - (self.ours_s - earlier.ours_s), 0.0) / duration_s
        return MachineChange(
            duration_s=round(duration_s, DIGITS),
            cpus=len(self.cpus) or len(os.sched_getaffinity(0)),
            steal=round(sum(one.steal_s for one in spent) / total_s, DIGITS) if known else None,
            steal_worst_cpu=round(worst, DIGITS) if known else None,
            busy=round(busy_s / total_s, DIGITS) if known else None,
            idle=round(sum(one.idle_s for one in spent) / total_s, DIGITS) if known else None,
            pressure=_share(self.pressure_s, earlier.pressure_s, duration_s),
            others_cores=round(others, 3) if known else None,
            waits_ms_per_s={
                name: round(max(queue.wait_s - earlier.queues[name].wait_s, 0.0) * 1e3 / duration_s, DIGITS)
                for name, queue in self.queues.items()
                if name in earlier.queues
            },
        )


def _less(now: CpuTimes, then: CpuTimes) -> CpuTimes:
    """The difference; counters of a kernel may step back by a tick, time may not."""
    return CpuTimes(
        max(now.busy_s - then.busy_s, 0.0),
        max(now.idle_s - then.idle_s, 0.0),
        max(now.steal_s - then.steal_s, 0.0),
    )


def _share(now: float | None, then: float | None, duration_s: float) -> float | None:
    if now is None or then is None:
        return None
    return round(min(max(now - then, 0.0) / duration_s, 1.0), DIGITS)


# ---- the files, as text ----------------------------------------------------------------------------


def parse_cpus(text: str) -> tuple[CpuTimes, ...]:
    """The processors of a `/proc/stat`, each on its own; empty where it lists none.

    Fields are user, nice, system, idle, iowait, irq, softirq, steal (proc(5)); what guests took is in
    `user` already. Old kernels have fewer.
    """
    found = []
    for line in text.splitlines():
        name, *words = line.split() or [""]
        if not (name.startswith("cpu") and name[3:].isdecimal()):
            continue
        ticks = [int(word) if word.isdecimal() else 0 for word in words[:8]]
        user, nice, system, idle, waiting, irq, softirq, steal = ticks + [0] * (8 - len(ticks))
        busy = user + nice + system + irq + softirq
        found.append(CpuTimes(*(value / TICKS_PER_S for value in (busy, idle + waiting, steal))))
    return tuple(found)


def parse_running(text: str) -> int | None:
    """How many threads could run at that moment, by a `/proc/stat`."""
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == "procs_running" and value.strip().isdecimal():
            return int(value)
    return None


def parse_pressure(text: str) -> float | None:
    """Seconds since boot in which some task waited for a processor, by a `/proc/pressure/cpu`."""
    for line in text.splitlines():
        kind, *words = line.split() or [""]
        totals = [word.removeprefix("total=") for word in words if word.startswith("total=")]
        if kind == "some" and totals and totals[0].isdecimal():
            return int(totals[0]) / 1e6
    return None


def parse_run_queue(text: str) -> RunQueue | None:
    """A `/proc/PID/schedstat`: nanoseconds run, nanoseconds waited, turns. None where it is not that."""
    words = text.split()
    if len(words) < 2 or not all(word.isdecimal() for word in words[:2]):
        return None
    return RunQueue(int(words[0]) / 1e9, int(words[1]) / 1e9)


def parse_process(text: str) -> tuple[int, float] | None:
    """A `/proc/PID/stat`: its parent and its processor time in seconds, with that of children it buried.

    A process's name, the second field, may hold blanks and brackets; the rest begins after the last one.
    """
    words = text.rpartition(")")[2].split()
    times = words[11:15]  # utime, stime, cutime, cstime
    if len(times) < 4 or not all(word.isdecimal() for word in (words[1], *times)):
        return None
    return int(words[1]), sum(map(int, times)) / TICKS_PER_S


def time_of_family(processes: Mapping[int, tuple[int, float]], eldest: int) -> float:
    """Processor time in seconds of a process and of all that descend from it."""
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in processes.items():
        children.setdefault(parent, []).append(pid)
    family, waiting = set(), [eldest]
    while waiting:
        pid = waiting.pop()
        if pid not in family:  # processes read one after the other may seem to go round in a circle
            family.add(pid)
            waiting += children.get(pid, [])
    return sum(processes[pid][1] for pid in family if pid in processes)


# ---- reading them ----------------------------------------------------------------------------------


def _text(path: Path) -> str:
    """A file of /proc; empty where this kernel has none, or where the process is gone."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def read_running(proc: Path = PROC) -> int | None:
    """How many threads can run now, the asking one included."""
    return parse_running(_text(proc / "stat"))


def our_time_s(proc: Path = PROC) -> float:
    """Processor time in seconds of this process and of all that it started, whoever has ended included."""
    found = {}
    for place in proc.iterdir() if proc.is_dir() else ():
        if place.name.isdecimal() and (one := parse_process(_text(place / "stat"))) is not None:
            found[int(place.name)] = one
    return time_of_family(found, os.getpid())


def read_machine(watched: Iterable[tuple[str, int | None]] = (), proc: Path = PROC) -> MachineReading:
    """The counters now.

    Args:
        watched: names and ids of processes whose waiting matters; an id may be None (there is none).
    """
    queues = {}
    for name, pid in watched:
        found = None if pid is None else parse_run_queue(_text(proc / str(pid) / "schedstat"))
        if found is not None:
            queues[name] = found
    return MachineReading(
        at_s=time.monotonic(),
        cpus=parse_cpus(_text(proc / "stat")),
        pressure_s=parse_pressure(_text(proc / "pressure" / "cpu")),
        queues=queues,
        ours_s=our_time_s(proc),
    )
