"""A lane's settings at one moment: what should be the same before and after a session.

The kernel tells of most changes (`testbed/verdict/lane_watch.py`), but not of settings under /proc/sys and of
iptables' tables; and a change that was missed shows here as well, unless it was taken back.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.link.namespace import network_namespace
from testbed.process.errors import TestbedError
from testbed.verdict.lane_watch import HEADER, LinkState, attributes, link_state, messages

_REQUEST_DUMP = 0x1 | 0x300
_GETLINK, _GETROUTE, _GETNEIGH, _GETRULE, _GETQDISC = 18, 26, 30, 34, 38
_DONE, _ERROR = 3, 2
_BODY_BYTES = {_GETLINK: 16, _GETROUTE: 12, _GETNEIGH: 12, _GETRULE: 12, _GETQDISC: 20}
_AF_INET = 2
_NUD_PERMANENT = 0x80
_NDA_DST, _NDA_LLADDR = 1, 2
_TCA_KIND, _TCA_OPTIONS, _TBF_PARMS, _TBF_LIMIT_AT = 1, 2, 1, 24
"""A tbf's parameters are two rates of 12 bytes, then its limit."""
_ANSWER_TIMEOUT_S = 5.0

_SIOCETHTOOL = 0x8946
_OFFLOADS = {"rx": 0x14, "tx": 0x16, "sg": 0x18, "tso": 0x1E, "gso": 0x23, "gro": 0x2B}
"""ETHTOOL_G…: <linux/ethtool.h>"""

_IPV4 = Path("/proc/sys/net/ipv4")
_LONGEST_SETTING_BYTES = 1 << 16
"""No setting is as long."""
_FORWARDING = ("ip_forward", "ip_default_ttl", "ip_no_pmtu_disc", "fwmark_reflect")
_PER_INTERFACE = ("rp_filter", "forwarding", "accept_local", "route_localnet")


@dataclass(frozen=True)
class HostSnapshot:
    """One host's settings."""

    links: Mapping[int, LinkState]
    settings: Mapping[str, str]
    """Everything else, in words: name of the thing to what it is."""


def _ask(opened: socket.socket, kind: int) -> list[bytes]:
    """The bodies of a dump's messages."""
    family = 0 if kind in (_GETLINK, _GETQDISC) else _AF_INET
    body = bytes([family]) + bytes(_BODY_BYTES[kind] - 1)
    opened.send(HEADER.pack(HEADER.size + len(body), kind, _REQUEST_DUMP, kind, 0) + body)
    found: list[bytes] = []
    while True:
        for answer, _, content in messages(opened.recv(1 << 18)):
            if answer in (_DONE, _ERROR):
                return found
            found.append(content)


def _links(opened: socket.socket) -> dict[int, LinkState]:
    return {index: state for index, state, _ in map(link_state, _ask(opened, _GETLINK))}


def _qdiscs(opened: socket.socket, links: Mapping[int, LinkState]) -> dict[str, str]:
    found = {}
    for body in _ask(opened, _GETQDISC):
        index, handle, parent = struct.unpack_from("=iII", body, 4)
        parts = dict(attributes(body, 20))
        kind = parts.get(_TCA_KIND, b"").rstrip(b"\0").decode(errors="replace")
        where = links[index].name if index in links else str(index)
        name = f"qdisc {handle >> 16:x}: of {where} under {parent >> 16:x}:{parent & 0xFFFF:x}"
        found[name] = kind + (f" limit {_limit(parts)}" if kind == "tbf" else "")
    return found


def _limit(parts: Mapping[int, bytes]) -> int | str:
    parms = dict(attributes(parts.get(_TCA_OPTIONS, b""), 0)).get(_TBF_PARMS, b"")
    if len(parms) < _TBF_LIMIT_AT + 4:
        return "unknown"
    return int(struct.unpack_from("=I", parms, _TBF_LIMIT_AT)[0])


def _neighbours(opened: socket.socket) -> dict[str, str]:
    found = {}
    for body in _ask(opened, _GETNEIGH):
        _, state = struct.unpack_from("=iH", body, 4)
        parts = dict(attributes(body, 12))
        if state & _NUD_PERMANENT and _NDA_DST in parts:
            address = socket.inet_ntoa(parts[_NDA_DST][:4])
            found[f"neighbour {address}"] = parts.get(_NDA_LLADDR, b"").hex(":")
    return found


def _sysctls() -> dict[str, str]:
    """Of the namespace that the calling thread is in."""
    names = [*_FORWARDING, *sorted(each.name for each in _IPV4.glob("tcp_*"))]
    for interface in sorted((_IPV4 / "conf").iterdir()):
        names += [f"conf/{interface.name}/{name}" for name in _PER_INTERFACE]
    found = {}
    for name in names:
        with contextlib.suppress(OSError):  # some can only be written
            text = _if_settable(f"{_IPV4}/{name}")
            if text is not None:
                found[name] = " ".join(text.split())
    return found


def _if_settable(path: str) -> str | None:
    """What a setting is; None of one that nobody can change. There are a hundred in each of a lane's hosts:
    read past `pathlib` and its files, they take less than half the time."""
    opened = os.open(path, os.O_RDONLY)
    try:
        if os.fstat(opened).st_mode & 0o200:
            return os.read(opened, _LONGEST_SETTING_BYTES).decode(errors="replace")
        return None
    finally:
        os.close(opened)


def _offloads(opened: socket.socket, interface: str) -> str:
    """Those that are on."""
    on = []
    for name, command in _OFFLOADS.items():
        value = array.array("I", [command, 0])
        address, _ = value.buffer_info()
        request = struct.pack("16sP16x", interface.encode(), address)
        try:
            fcntl.ioctl(opened, _SIOCETHTOOL, request)
        except OSError:
            continue
        if value[1]:
            on.append(name)
    return " ".join(on)


def snapshot_host(pid: int) -> HostSnapshot:
    """The settings of the host that process `pid` is in (2 to 4 ms).

    Raises:
        TestbedError: it cannot be entered, or the kernel does not answer.
    """
    try:
        with network_namespace(pid):
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as opened:
                opened.settimeout(_ANSWER_TIMEOUT_S)
                links = _links(opened)
                settings = {**_qdiscs(opened, links), **_neighbours(opened)}
                settings["routes"] = b"".join(sorted(_ask(opened, _GETROUTE))).hex()
                settings["rules"] = b"".join(sorted(_ask(opened, _GETRULE))).hex()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                for state in links.values():
                    settings[f"offloads of {state.name}"] = _offloads(asking, state.name)
            settings.update(_sysctls())
    except OSError as error:
        raise TestbedError(f"cannot look at the host of process {pid}: {error.strerror or error}") from None
    settings["iptables"] = _iptables(pid)
    return HostSnapshot(links, settings)


def _iptables(pid: int) -> str:
    """The tables of the older iptables that are in use."""
    try:
        return " ".join(Path(f"/proc/{pid}/net/ip_tables_names").read_text().split())
    except OSError:
        return ""


def differences(before: HostSnapshot, after: HostSnapshot) -> list[str]:
    """What is not as it was, in words."""
    said = []
    for index in sorted({*before.links, *after.links}):
        old, new = before.links.get(index), after.links.get(index)
        if old is None or new is None:
            there = old or new
            assert there is not None
            said.append(f"link {there.name} {'added' if old is None else 'deleted'}")
        else:
            said += [f"link {new.name} {change}" for change in old.changes(new)]
    for name in sorted({*before.settings, *after.settings}):
        was, became = before.settings.get(name, "absent"), after.settings.get(name, "absent")
        if was != became:
            said.append(_became(name, was, became))
    return said


def _became(name: str, was: str, became: str) -> str:
    if name in ("routes", "rules"):
        return f"the {name} are not what they were"
    return f"{name}: {was or 'none'} became {became or 'none'}"
