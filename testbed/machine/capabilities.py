"""Each thing that the doctor looks at, in order: what is there, and how to get what is not.

Only the standard library is needed, so that the doctor can be asked before anything is set up.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from testbed.machine import kernel
from testbed.machine.aqm_features import AQM_FEATURES, VETH
from testbed.machine.finding import MISSING, NOTE, OK, Finding, Report
from testbed.machine.permissions import permissions
from traces.handover import ENVIRONMENT, ROOT, can_stay

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
LEAST_DISK_MB = 200
"""A session's record is some 50 kB; a capture of its headers can be a hundred MB."""


def probe() -> Report:
    """Find out what is there; takes about a third of a second and changes nothing."""
    tools = _tools()
    allowed = permissions()
    found = _kernel_features(allowed)
    return Report(
        (
            *allowed,
            _python(),
            _environment(),
            _real_time(),
            *tools,
            kernel.namespaces(),
            *found,
            kernel.delay_stage(found),
            *_kernel_features(allowed, (VETH, *AQM_FEATURES))[1:],
            *(kernel.congestion_control(name, needed) for name, needed in kernel.CONGESTION_CONTROLS.items()),
            _cores(),
            _load(),
            _clock(),
            _disk(),
            *_sysctls(),
        )
    )


def probe_delay() -> Report:
    """As much of it as tells who can delay packets here, for whoever is waiting: half the time."""
    return Report(tuple(_kernel_features(permissions(), kernel.DELAY_FEATURES)))


def _kernel_features(
    allowed: Sequence[Finding], features: Sequence[kernel.KernelFeature] = kernel.KERNEL_FEATURES
) -> list[Finding]:
    """What the kernel has, where it can be tried: without the right to, nobody knows."""
    if not all(shutil.which(tool, path=kernel.SEARCH_PATH) for tool in ("ip", "tc")):
        return kernel.kernel_unknown("ip and tc are missing", features)
    for finding in allowed:
        if finding.status == MISSING and finding.name in ("CAP_SYS_ADMIN", "CAP_NET_ADMIN"):
            return kernel.kernel_unknown(f"needs {finding.name} to try", features)
    return kernel.kernel_features(features)


# ---- this process ------------------------------------------------------------------------------


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
    done = kernel.complaint_of("chrt", "--fifo", "1", "true")
    if done == "":
        return Finding("process", "real time", OK, "SCHED_FIFO is allowed")
    return Finding(
        "process", "real time", NOTE, f"SCHED_FIFO is refused ({done}): shaping keeps time less well"
    )


# ---- programs ------------------------------------------------------------------------------------


def _tools() -> list[Finding]:
    findings = []
    for tool, (package, purpose) in SETUP_TOOLS.items():
        place = shutil.which(tool, path=kernel.SEARCH_PATH)
        if place:
            findings.append(Finding("programs", tool, OK, f"{place}, {purpose}", needed=True))
        else:
            way_out = f"apt-get install --no-install-recommends {package}"
            findings.append(Finding("programs", tool, MISSING, purpose, way_out, needed=True))
    return findings


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
