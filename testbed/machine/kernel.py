"""What the kernel can do for a lane, tried for real.

In a network namespace of no name that goes when its last process ends; nothing is left behind but perhaps a
loaded kernel module. Only the standard library is needed.
"""

from __future__ import annotations

import errno
import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.machine.finding import MISSING, OK, PACKET_SOCKETS, UNKNOWN, Finding
from traces.handover import search_path

SEARCH_PATH = search_path()
PROBE_LIMIT_S = 30.0


@dataclass(frozen=True)
class KernelFeature:
    """Something that the kernel has or has not, and the commands that show it."""

    name: str
    module: str
    purpose: str
    commands: str
    """For sh, in a fresh namespace; succeeds only where the feature is really in force."""
    needed: bool = False


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
DELAY_FEATURES = tuple(f for f in KERNEL_FEATURES if f.name in ("veth", "netem", PACKET_SOCKETS))
"""What tells who can delay packets."""
NOT_PERMITTED = "Operation not permitted"
WAY_TO_CAPABILITIES = "a right is missing, such as CAP_NET_RAW: start the container with --privileged"

CONGESTION_CONTROLS = {"cubic": True, "reno": False, "bbr": False}
"""Name: whether the main job needs it (it pins cubic unless told otherwise)."""


def namespaces() -> Finding:
    """By Mininet's own starter, which also mounts a /sys for the new namespace."""
    group, name = "kernel", "namespaces"
    if not shutil.which("mnexec", path=SEARCH_PATH):
        return Finding(group, name, UNKNOWN, "needs mnexec to try", needed=True)
    if os.geteuid() != 0:
        return Finding(group, name, UNKNOWN, "only root may try", "ask again as root", needed=True)
    complaint = complaint_of("mnexec", "-n", "true")
    if complaint == "":
        return Finding(group, name, OK, "a host of its own for each end of a link", needed=True)
    way_out = "in a container: start it with --privileged, or with CAP_SYS_ADMIN and CAP_NET_ADMIN"
    return Finding(group, name, MISSING, complaint, way_out, needed=True)


def kernel_features(features: Sequence[KernelFeature] = KERNEL_FEATURES) -> list[Finding]:
    """Try each feature, in one namespace; a user who is not root tries in a user namespace.

    Args:
        features: the first of them is veth, on whose interfaces the others are tried.
    """
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    script = "".join(
        f"if said=$( {{ {feature.commands}; }} 2>&1 ); then echo ok; else echo failed $said; fi\n"
        for feature in features
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
        return kernel_unknown(str(error), features)
    answers = done.stdout.splitlines()
    if len(answers) != len(features):
        why = done.stderr.strip() or f"the probe ended with status {done.returncode}"
        return kernel_unknown(why, features)
    findings = [_feature(*pair) for pair in zip(features, answers, strict=True)]
    if findings[0].status != OK:  # without cables, the others were tried on nothing
        return [findings[0], *kernel_unknown("needs veth to try", features)[1:]]
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


def kernel_unknown(why: str, features: Sequence[KernelFeature] = KERNEL_FEATURES) -> list[Finding]:
    """Nobody could try them, and why."""
    why = why.splitlines()[-1]
    way_out = "" if os.geteuid() == 0 else "ask again as root"
    return [Finding("kernel", f.name, UNKNOWN, why, way_out, f.needed) for f in features]


def delay_stage(kernel: list[Finding]) -> Finding:
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
    if modules_folder().is_dir() and "ubuntu" in os_release().get("ID", "").lower():
        return f"apt-get install linux-modules-extra-{platform.release()}"
    return f"this kernel was built without {module}; Debian's and Ubuntu's own kernels have it"


def congestion_control(name: str, needed: bool) -> Finding:
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


def os_release() -> dict[str, str]:
    """What /etc/os-release says."""
    path = Path("/etc/os-release")
    lines = path.read_text().splitlines() if path.is_file() else []
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key: value.strip('"') for key, value in pairs}


def complaint_of(*command: str) -> str:
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
