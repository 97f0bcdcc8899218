"""What this machine can emulate, what is missing, and how to get it.

Features of the kernel are tried for real, in a network namespace of no name that goes when its last
process ends; nothing is left behind but perhaps a loaded kernel module. Only the standard library
is needed, so that the doctor can be asked before anything is set up.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from testbed.process.handover import hand_over

    hand_over(required=False)

import dataclasses
import errno
import json
import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from testbed.link.settings import KERNEL_MAX_MBPS
from testbed.machine.capacity import LATE_ALONE_MS, highest_true_mbps, lanes_held
from testbed.machine.lateness import Look, look
from testbed.machine.readings import CpuTimes, Reading, read_machine
from testbed.process.handover import ENVIRONMENT, ROOT, can_stay, search_path
from traces.commands import Parser, exit_with

OK = "ok"
MISSING = "missing"
UNKNOWN = "cannot tell"
NOTE = "note"
"""Worth knowing; nothing to be had or mended."""

SETUP_TOOLS = {
    "mnexec": ("mininet", "starts processes in namespaces"),
    "ifconfig": ("net-tools", "called by Mininet"),
    "ip": ("iproute2", "makes interfaces"),
    "tc": ("iproute2", "shapes links"),
    "ethtool": ("ethtool", "turns offloads off"),
}
"""Program: (Debian package, what for)."""
SYSCTLS = (
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_no_metrics_save",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.core.default_qdisc",
)
SEARCH_PATH = search_path()
PROBE_LIMIT_S = 30.0
LEAST_DISK_MB = 200
"""A session's record is some 50 kB; a capture of its headers can be a hundred MB."""
LOOK_S = 2.0
"""Of timers and processors: long enough to meet what a hypervisor does, short enough to be waited for."""
WAY_OUT_OF_NOISE = "end other work, or give this virtual machine more of its host"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    group: str
    name: str
    status: str
    """`ok`, `missing`, `cannot tell` or `note`."""
    detail: str
    way_out: str = ""
    """What to do about it, where there is something to do."""
    needed: bool = False
    """Whether no session can run without it."""


@dataclass(frozen=True)
class Report:
    """All that was found on this machine."""

    findings: tuple[Finding, ...]

    def has(self, name: str) -> bool:
        """Whether the finding of that name is there and ok."""
        return any(finding.name == name and finding.status == OK for finding in self.findings)

    @property
    def has_netem(self) -> bool:
        return self.has("netem")

    @property
    def has_packet_sockets(self) -> bool:
        return self.has(PACKET_SOCKETS)

    @property
    def delay_backend(self) -> str | None:
        """What delays and drops packets here: `netem`, else the user-space `relay`, else None."""
        if self.has_netem:
            return "netem"
        return "relay" if self.has_packet_sockets else None

    @property
    def missing(self) -> tuple[Finding, ...]:
        """What is needed and not there."""
        return tuple(f for f in self.findings if f.needed and f.status == MISSING)

    @property
    def unknown(self) -> tuple[Finding, ...]:
        """What is needed and could not be looked at."""
        return tuple(f for f in self.findings if f.needed and f.status == UNKNOWN)

    @property
    def can_emulate(self) -> bool:
        """Whether a session can run here, by this user."""
        return not self.missing and not self.unknown

    def summary(self) -> str:
        """One line: does it work, and by which delay backend."""
        backends = {
            "netem": "delay and loss by netem",
            "relay": "delay and loss by the user-space relay (no netem here)",
            None: "nothing to delay packets with",
        }
        if self.can_emulate:
            return f"Emulation works here; {backends[self.delay_backend]}."
        # What only root may try goes without saying where root itself is missing.
        shown = self.missing if "root" in {f.name for f in self.missing} else (*self.missing, *self.unknown)
        causes = "; ".join(f"{f.name}: {f.way_out or f.detail}" for f in shown)
        return f"Emulation cannot run here: {causes}."

    def as_json(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "can_emulate": self.can_emulate,
            "delay_backend": self.delay_backend,
            "missing": [finding.name for finding in self.missing],
            "cannot_tell": [finding.name for finding in self.unknown],
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }


@dataclass(frozen=True)
class KernelFeature:
    """Something that the kernel has or has not, and the commands that show it."""

    name: str
    module: str
    purpose: str
    commands: str
    """For sh, in a fresh namespace; succeeds only where the feature is really in force."""
    needed: bool = False


PACKET_SOCKETS = "packet sockets"
_OPEN_A_PACKET_SOCKET = """
import socket, sys
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
except OSError as error:
    sys.exit(error.strerror)
"""

KERNEL_FEATURES = (
    KernelFeature(
        "veth",
        "veth",
        "a lane's cables",
        "ip link add sb0 type veth peer name sb1 && ip link set sb0 up && ip link set sb1 up",
        needed=True,
    ),
    KernelFeature(
        "tbf",
        "sch_tbf",
        "the link's rate",
        "tc qdisc replace dev sb0 root handle 1: tbf rate 1mbit burst 3200 limit 60000 && "
        "tc qdisc change dev sb0 root handle 1: tbf rate 2mbit burst 3200 limit 60000 && "
        "tc qdisc show dev sb0 | grep -q 'tbf 1: .*rate 2Mbit'",
        needed=True,
    ),
    KernelFeature(
        "bfifo",
        "sch_fifo",
        "the link's queue, in bytes",
        "tc qdisc replace dev sb1 root handle 1: bfifo limit 60000 && "
        "tc qdisc show dev sb1 | grep -q 'bfifo 1: .*limit 60000b'",
        needed=True,
    ),
    KernelFeature(
        "netem",
        "sch_netem",
        "delay and loss in the kernel; without it, the user-space relay does that",
        "tc qdisc replace dev sb1 root handle 3: netem delay 1ms limit 100000",
    ),
    KernelFeature(
        PACKET_SOCKETS,
        "af_packet",
        "probes, and delay and loss by the user-space relay where there is no netem",
        f"{shlex.quote(sys.executable)} -ISc '{_OPEN_A_PACKET_SOCKET}'",
        needed=True,
    ),
    KernelFeature(
        "htb",
        "sch_htb",
        "the link's rate, another way",
        "tc qdisc replace dev sb0 root handle 2: htb default 1 && "
        "tc class add dev sb0 parent 2: classid 2:1 htb rate 1mbit burst 1600",
    ),
    KernelFeature("ingress", "sch_ingress", "hooks on arriving packets", "tc qdisc add dev sb0 ingress"),
    KernelFeature(
        "fq",
        "sch_fq",
        "pacing by the kernel; without it, TCP paces by itself",
        "tc qdisc replace dev sb1 root handle 4: fq",
    ),
)
NOT_PERMITTED = "Operation not permitted"
WAY_TO_CAPABILITIES = (
    "CAP_NET_RAW or CAP_NET_ADMIN is missing: in a container, --cap-add both or --privileged"
)

CONGESTION_CONTROLS = {"cubic": True, "reno": False, "bbr": False}
"""Name: whether the main job needs it (it pins cubic unless told otherwise)."""


def probe() -> Report:
    """Find out what is there; takes about a third of a second and changes nothing."""
    tools = _tools()
    iproute = all(shutil.which(tool, path=SEARCH_PATH) for tool in ("ip", "tc"))
    kernel = _kernel_features() if iproute else _kernel_unknown("ip and tc are missing")
    return Report(
        (
            _root(),
            _python(),
            _environment(),
            _real_time(),
            *tools,
            _namespaces(),
            *kernel,
            _delay_stage(kernel),
            *(_congestion_control(name, needed) for name, needed in CONGESTION_CONTROLS.items()),
            _cores(),
            _load(),
            _clock(),
            _disk(),
            *_sysctls(),
        )
    )


# ---- this process ------------------------------------------------------------------------------


def _root() -> Finding:
    if os.geteuid() == 0:
        return Finding("process", "root", OK, "uid 0", needed=True)
    way_out = "run as root, for example by sudo" if shutil.which("sudo") else "run as root"
    return Finding("process", "root", MISSING, f"uid {os.geteuid()}", way_out, needed=True)


def _python() -> Finding:
    return Finding("process", "python", NOTE, f"{platform.python_version()}, {sys.executable}")


def _environment() -> Finding:
    name, needed = "environment", True
    if can_stay():
        own = os.path.realpath(sys.prefix) == os.path.realpath(ENVIRONMENT)
        return Finding(
            "process", name, OK, str(ENVIRONMENT) if own else f"{sys.prefix} (yours)", needed=needed
        )
    return Finding(
        "process", name, MISSING, f"{ENVIRONMENT} is not set up", f"make -C '{ROOT}' setup", needed
    )


def _real_time() -> Finding:
    done = _command("chrt", "--fifo", "1", "true")
    if done == "":
        return Finding("process", "real time", OK, "SCHED_FIFO is allowed")
    return Finding(
        "process", "real time", NOTE, f"SCHED_FIFO is refused ({done}): shaping keeps time less well"
    )


# ---- programs ------------------------------------------------------------------------------------


def _tools() -> list[Finding]:
    findings = []
    for tool, (package, purpose) in SETUP_TOOLS.items():
        place = shutil.which(tool, path=SEARCH_PATH)
        if place:
            findings.append(Finding("programs", tool, OK, f"{place}, {purpose}", needed=True))
        else:
            way_out = f"apt-get install --no-install-recommends {package}"
            findings.append(Finding("programs", tool, MISSING, purpose, way_out, needed=True))
    return findings


# ---- the kernel ----------------------------------------------------------------------------------


def _namespaces() -> Finding:
    """By Mininet's own starter, which also mounts a /sys for the new namespace."""
    group, name = "kernel", "namespaces"
    if not shutil.which("mnexec", path=SEARCH_PATH):
        return Finding(group, name, UNKNOWN, "needs mnexec to try", needed=True)
    if os.geteuid() != 0:
        return Finding(group, name, UNKNOWN, "only root may try", "ask again as root", needed=True)
    complaint = _command("mnexec", "-n", "true")
    if complaint == "":
        return Finding(group, name, OK, "a host of its own for each end of a link", needed=True)
    way_out = "in a container: start it with --privileged, or with CAP_SYS_ADMIN and CAP_NET_ADMIN"
    return Finding(group, name, MISSING, complaint, way_out, needed=True)


def _kernel_features() -> list[Finding]:
    """Try each feature, in one namespace; a user who is not root tries in a user namespace."""
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    script = "".join(
        f"if said=$( {{ {feature.commands}; }} 2>&1 ); then echo ok; else echo failed $said; fi\n"
        for feature in KERNEL_FEATURES
    )
    try:
        done = subprocess.run(
            [*unshare, "sh"],
            input=script,
            capture_output=True,
            text=True,
            timeout=PROBE_LIMIT_S,
            env={**os.environ, "PATH": SEARCH_PATH, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _kernel_unknown(str(error))
    answers = done.stdout.splitlines()
    if len(answers) != len(KERNEL_FEATURES):
        return _kernel_unknown(done.stderr.strip() or f"the probe ended with status {done.returncode}")
    findings = [_feature(*pair) for pair in zip(KERNEL_FEATURES, answers, strict=True)]
    if findings[0].status != OK:  # without cables, the others were tried on nothing
        return [findings[0], *_kernel_unknown("needs veth to try")[1:]]
    return findings


def _feature(feature: KernelFeature, answer: str) -> Finding:
    if answer == "ok":
        return Finding("kernel", feature.name, OK, feature.purpose, needed=feature.needed)
    said = answer.removeprefix("failed").strip() or "did not apply, and no error was given"
    if os.geteuid() != 0:
        return Finding("kernel", feature.name, UNKNOWN, said, "ask again as root", feature.needed)
    detail = f"{feature.purpose} ({said})"
    way_out = WAY_TO_CAPABILITIES if NOT_PERMITTED in said else _way_to_module(feature.module)
    return Finding("kernel", feature.name, MISSING, detail, way_out, feature.needed)


def _kernel_unknown(why: str) -> list[Finding]:
    why = why.splitlines()[-1]
    way_out = "" if os.geteuid() == 0 else "ask again as root"
    return [Finding("kernel", f.name, UNKNOWN, why, way_out, f.needed) for f in KERNEL_FEATURES]


def _delay_stage(kernel: list[Finding]) -> Finding:
    status = {finding.name: finding.status for finding in kernel}
    either = {status["netem"], status[PACKET_SOCKETS]}
    if OK in either:
        detail = "by netem" if status["netem"] == OK else "by the user-space relay"
        return Finding("kernel", "delay stage", OK, detail, needed=True)
    detail = "needs netem or packet sockets"
    if UNKNOWN in either:
        return Finding("kernel", "delay stage", UNKNOWN, detail, needed=True)
    way_out = next(finding.way_out for finding in kernel if finding.name == PACKET_SOCKETS)
    return Finding("kernel", "delay stage", MISSING, detail, way_out, needed=True)


def modules_folder() -> Path:
    """Where the running kernel's modules lie, if it has any."""
    return Path("/lib/modules", platform.release())


def _module_is_there(module: str) -> bool:
    """Whether the running kernel has the module, in it or on disk."""
    folder = modules_folder()
    return any(
        f"/{module}.ko" in listing.read_text(errors="replace")
        for name in ("modules.dep", "modules.builtin")
        if (listing := folder / name).is_file()
    )


def _way_to_module(module: str) -> str:
    if _module_is_there(module):
        return f"as root: modprobe {module}"
    if modules_folder().is_dir() and "ubuntu" in _os_release().get("ID", "").lower():
        return f"apt-get install linux-modules-extra-{platform.release()}"
    return f"this kernel was built without {module}; Debian's and Ubuntu's own kernels have it"


def _congestion_control(name: str, needed: bool) -> Finding:
    """Ask for it on a socket: root's asking loads the module where there is one."""
    group, label = "kernel", f"tcp {name}"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
        except OSError as error:
            if error.errno == errno.EPERM:
                return Finding(group, label, OK, "there, for root only", needed=needed)
            if os.geteuid() != 0 and _module_is_there(f"tcp_{name}"):
                return Finding(group, label, OK, "a module that root's first use loads", needed=needed)
            return Finding(group, label, MISSING, "not there", _way_to_module(f"tcp_{name}"), needed)
    return Finding(group, label, OK, "--cc can pin it", needed=needed)


# ---- the machine -----------------------------------------------------------------------------------


def _cores() -> Finding:
    return Finding("machine", "cores", NOTE, str(len(os.sched_getaffinity(0))))


def _load() -> Finding:
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    way_out = "end other work: a busy machine keeps the link's time badly" if load > cores else ""
    return Finding("machine", "load", NOTE, f"{load:.2f} over the last minute", way_out)


def _clock() -> Finding:
    source = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    name = source.read_text().strip() if source.is_file() else "unknown source"
    return Finding(
        "machine", "clock", NOTE, f"{name}, {time.clock_getres(time.CLOCK_MONOTONIC) * 1e9:.0f} ns"
    )


def _disk() -> Finding:
    free_mb = shutil.disk_usage(ROOT).free // 10**6
    detail = f"{free_mb} MB free beside the repository"
    if free_mb >= LEAST_DISK_MB:
        return Finding("machine", "disk", OK, detail, needed=True)
    return Finding("machine", "disk", MISSING, detail, f"free {LEAST_DISK_MB} MB", needed=True)


def _sysctls() -> list[Finding]:
    findings = []
    for name in SYSCTLS:
        path = Path("/proc/sys", *name.split("."))
        value = " ".join(path.read_text().split()) if path.is_file() else "not there"
        findings.append(Finding("machine", name, NOTE, value))
    return findings


def _os_release() -> dict[str, str]:
    path = Path("/etc/os-release")
    lines = path.read_text().splitlines() if path.is_file() else []
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key: value.strip('"') for key, value in pairs}


def _command(*command: str) -> str:
    """Run it: empty when it succeeded, else what it complained about, in a line."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PROBE_LIMIT_S,
            env={**os.environ, "PATH": SEARCH_PATH, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return " ".join(done.stderr.split()) or f"{command[0]} ended with status {done.returncode}"


# ---- what it holds now -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Capacity:
    """How the machine keeps time at the moment, and what that is enough for."""

    timer_late_p50_ms: float
    timer_late_p99_ms: float
    timer_late_max_ms: float
    real_time: bool
    """Whether the timer ran in real time, as the shaper's does."""
    steal: float | None
    """Share of the processors' time that others took meanwhile, and …"""
    steal_since_boot: float | None
    idle: float | None
    highest_mbps: float
    """Of a link that stays within a percent of every second."""
    lanes: int
    """That go side by side, a player on each."""


def capacity_of(seen: Look, since_boot: Reading) -> Capacity:
    """What a look at the machine comes to."""
    stolen, late = seen.change.stolen_of_wanted, seen.lateness
    whole = since_boot.since(Reading(0.0, (CpuTimes(0.0, 0.0, 0.0),) * len(since_boot.cpus), None, {}, 0.0))
    return Capacity(
        timer_late_p50_ms=late.p50_ms,
        timer_late_p99_ms=late.p99_ms,
        timer_late_max_ms=late.max_ms,
        real_time=late.real_time,
        steal=seen.change.steal,
        steal_since_boot=whole.steal,
        idle=seen.change.idle,
        highest_mbps=round(highest_true_mbps(late.max_ms / 1000, stolen), 1),
        lanes=lanes_held(seen.change.cpus, seen.others, stolen, late.p99_ms),
    )


def capacity_findings(found: Capacity) -> list[Finding]:
    """The same in words."""
    timer = (
        f"{found.timer_late_p50_ms:.2f} ms late, {found.timer_late_p99_ms:.2f} at p99,"
        f" {found.timer_late_max_ms:.2f} at worst" + ("" if found.real_time else " (not in real time)")
    )
    noisy = found.highest_mbps < KERNEL_MAX_MBPS or found.timer_late_p99_ms >= LATE_ALONE_MS
    if found.steal is None:
        steal = "the kernel does not tell what others take"
    else:
        steal = f"{100 * found.steal:.1f} % of its time goes to others"
        if found.steal_since_boot is not None:
            steal += f" ({100 * found.steal_since_boot:.1f} % since boot)"
        if found.idle is not None:
            steal += f", {100 * found.idle:.0f} % is idle"
    way_out = WAY_OUT_OF_NOISE if noisy else ""
    return [
        Finding("machine", "timer", NOTE, timer, way_out),
        Finding("machine", "steal", NOTE, steal),
        Finding("machine", "links", NOTE, _links(found)),
        Finding("machine", "lanes", NOTE, f"about {found.lanes} side by side, a player on each"),
    ]


def _links(found: Capacity) -> str:
    if not found.highest_mbps:
        return "no link stays within 1 % of every second's bytes while the machine is away that long"
    rate = found.highest_mbps
    shown = f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
    return f"up to about {shown} Mbit/s they stay within 1 % of every second's bytes"


# ---- the command -----------------------------------------------------------------------------------

COLOURS = {OK: "32", MISSING: "31", UNKNOWN: "33", NOTE: "2"}


def examine() -> tuple[Report, Capacity]:
    """All that the command tells: what is there, and what the machine holds now, which takes `LOOK_S`."""
    report = probe()
    found = capacity_of(look(LOOK_S), read_machine())
    return Report((*report.findings, *capacity_findings(found))), found


def render(report: Report, colour: bool) -> str:
    """The report as a person reads it."""
    system = _os_release().get("PRETTY_NAME", platform.system())
    lines = [f"{system}, Linux {platform.release()}, {platform.machine()}"]
    wide = max(len(finding.name) for finding in report.findings)
    group = ""
    for finding in report.findings:
        if finding.group != group:
            group = finding.group
            lines += ["", group]
        status = f"{finding.status:11}"
        if colour:
            shade = UNKNOWN if finding.status == MISSING and not finding.needed else finding.status
            status = f"\033[{COLOURS[shade]}m{status}\033[0m"
        lines.append(f"  {status}  {finding.name:{wide}}  {finding.detail}")
        if finding.way_out:
            lines.append(f"  {'':11}  {'':{wide}}  -> {finding.way_out}")
    return "\n".join([*lines, "", report.summary()])


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when a session can run here, 1 when it can't."""
    parser = Parser(
        prog="testbed/doctor.py",
        description="What this machine can emulate, what is missing, how to get it. Exit status 1 if no "
        "session can run. Asked by root, it can try everything.",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one object on stdout, nothing else")
    options = parser.parse_args(arguments)
    report, found = examine()
    if options.json:
        print(json.dumps({**report.as_json(), "capacity": dataclasses.asdict(found)}, indent=2))
    else:
        print(render(report, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return 0 if report.can_emulate else 1


if __name__ == "__main__":
    exit_with(main)
