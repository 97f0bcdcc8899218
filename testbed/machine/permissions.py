"""What this process may do: root's rights, which a container may have taken away, and system settings.

Only the standard library is needed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from testbed.machine.finding import MISSING, OK, Finding

CAPABILITIES = {
    "CAP_SYS_ADMIN": (21, "makes and enters network namespaces"),
    "CAP_NET_ADMIN": (12, "makes and shapes interfaces"),
    "CAP_NET_RAW": (13, "opens packet sockets, for probes and the relay"),
}
"""Name: (bit, what for), as in capabilities(7)."""

SYSTEM_SETTINGS = "/proc/sys"
STATUS = Path("/proc/self/status")

_GROUP = "process"


def permissions() -> list[Finding]:
    """Whether this is root, and, if it is, what of root's rights is missing."""
    if os.geteuid() != 0:
        way_out = "run as root, for example by sudo" if shutil.which("sudo") else "run as root"
        return [Finding(_GROUP, "root", MISSING, f"uid {os.geteuid()}", way_out, needed=True)]
    root = Finding(_GROUP, "root", OK, "uid 0", needed=True)
    return [root, *_capabilities(), _system_settings()]


def refusals(findings: Sequence[Finding]) -> list[str]:
    """What is needed and missing, a sentence each, as every command says it."""
    return [
        f"{finding.name} is missing ({finding.detail}); {finding.way_out}"
        for finding in findings
        if finding.needed and finding.status == MISSING
    ]


def _capabilities() -> list[Finding]:
    held = _held()
    return [
        Finding(_GROUP, name, OK, purpose, needed=True)
        if held >> bit & 1
        else Finding(_GROUP, name, MISSING, purpose, _way_to(name), needed=True)
        for name, (bit, purpose) in CAPABILITIES.items()
    ]


def _held() -> int:
    """The effective capabilities, a bit each; all of them where nobody says."""
    text = STATUS.read_text() if STATUS.is_file() else ""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", text, re.MULTILINE)
    return int(match[1], 16) if match else ~0


def _way_to(name: str) -> str:
    word = name.removeprefix("CAP_")
    return (
        f"start the container with --privileged, or with --cap-add {word} and a writable {SYSTEM_SETTINGS};"
        " outside of one, run as root with all rights"
    )


def _system_settings() -> Finding:
    """Whether each lane's network settings can be written (`docker run` mounts them read-only)."""
    purpose = "each lane's network settings"
    if os.access(f"{SYSTEM_SETTINGS}/net/ipv4/ip_forward", os.W_OK):
        return Finding(_GROUP, f"writable {SYSTEM_SETTINGS}", OK, purpose, needed=True)
    return Finding(
        _GROUP,
        f"writable {SYSTEM_SETTINGS}",
        MISSING,
        f"{purpose}; it is read-only",
        f"start the container with --privileged, or try: mount -o remount,rw {SYSTEM_SETTINGS}",
        needed=True,
    )
