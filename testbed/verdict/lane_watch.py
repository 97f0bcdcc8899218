"""Who changed something in a lane while it was in use? The kernel says so, to those who listen.

In each of a lane's hosts one rtnetlink socket hears of every change of links, queues, filters, routes,
rules, addresses and neighbours, and one more of nftables. What the shaper does carries the shaper's
port (as our own readings carry ours) and is dropped by a filter in the kernel; whatever else is heard is
somebody's hand. What the kernel does not tell (settings under /proc/sys, offloads, tables of iptables),
and what was missed, shows in the comparison of two snapshots (`testbed/verdict/lane_snapshot.py`).

Layouts and numbers: <linux/rtnetlink.h>, <linux/if_link.h>, <linux/neighbour.h>,
<linux/netfilter/nfnetlink.h>, <linux/filter.h>.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from testbed.link.namespace import network_namespace
from testbed.process.errors import TestbedError

_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_NETLINK_NETFILTER, _NFNLGRP_NFTABLES = 12, 7
_GROUPS = {"link": 1, "neighbour": 3, "tc": 4, "address": 5, "route": 7, "rule": 8, "netconf": 24}
"""RTNLGRP_*"""
_BUFFER_BYTES = 1 << 20
"""Some thousand notifications until somebody listens."""
MOST_EVENTS = 50
"""As many are kept in words; the verdict needs one."""

HEADER = struct.Struct("=IHHII")
_NEWLINK, _DELLINK = 16, 17
_NEWQDISC = 36
_NEIGHBOURS = (28, 29)
_TC = {36: "qdisc", 40: "class", 44: "filter", 100: "chain"}
"""RTM_NEW…; the deletion of each is one more."""
_OTHERS = {
    20: "address added",
    21: "address deleted",
    24: "route added",
    25: "route deleted",
    32: "rule added",
    33: "rule deleted",
    48: "tc action added",
    49: "tc action deleted",
    80: "network settings changed",
    81: "network settings deleted",
}
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, _IFLA_MASTER, IFLA_TXQLEN = 1, 3, 4, 10, 13
_IFLA_GSO_SEGS, _IFLA_GSO_SIZE, _IFLA_XDP, _IFLA_EVENT = 40, 41, 43, 44
_EVENT_FEATURES = 2
_NUD_NOARP = 0x40
_TCA_KIND = 1


@dataclass(frozen=True)
class LinkState:
    """What of an interface matters to packets; that somebody listens on it (a capture) does not."""

    name: str
    up: bool
    carrier: bool
    mtu: int
    queue_packets: int
    address: str
    rest: bytes = b""
    """Its master, its bpf program, its largest segments, as the kernel writes them."""

    def changes(self, now: LinkState) -> list[str]:
        """From this state to `now`, in words."""
        said = []
        if self.up != now.up:
            said.append("up" if now.up else "down")
        elif self.carrier != now.carrier:
            said.append("carrier back" if now.carrier else "without carrier")
        for what, old, new in (
            ("MTU", self.mtu, now.mtu),
            ("transmit queue", self.queue_packets, now.queue_packets),
            ("address", self.address, now.address),
            ("name", self.name, now.name),
        ):
            if old != new:
                said.append(f"{what} {old} became {new}")
        if self.rest != now.rest:
            said.append("another master, bpf program or segment size")
        return said


def attributes(data: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """(kind, value) of the attributes from `start` on; what is cut off is left out."""
    while start + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, start)
        if length < 4:
            return
        yield kind & 0x3FFF, data[start + 4 : start + length]
        start += (length + 3) & ~3


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, port, body) of each message of a datagram; what is cut off is left out."""
    start = 0
    while start + HEADER.size <= len(data):
        length, kind, _, _, port = HEADER.unpack_from(data, start)
        if length < HEADER.size or start + length > len(data):
            return
        yield kind, port, data[start + HEADER.size : start + length]
        start += (length + 3) & ~3


def link_state(body: bytes) -> tuple[int, LinkState, bool]:
    """Index and state from the body of a link message, and whether it tells of other offloads.

    Raises:
        TestbedError: it is cut off.
    """
    if len(body) < 16:
        raise TestbedError("the kernel's message about an interface is cut off")
    index, flags = struct.unpack_from("=iI", body, 4)
    found = dict(attributes(body, 16))

    def number(kind: int) -> int:
        value = found.get(kind, b"")
        return int(struct.unpack_from("=I", value)[0]) if len(value) >= 4 else 0

    others = (_IFLA_MASTER, _IFLA_XDP, _IFLA_GSO_SEGS, _IFLA_GSO_SIZE)
    state = LinkState(
        name=found.get(IFLA_IFNAME, b"?").rstrip(b"\0").decode(errors="replace"),
        up=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_LOWER_UP),
        mtu=number(IFLA_MTU),
        queue_packets=number(IFLA_TXQLEN),
        address=found.get(IFLA_ADDRESS, b"").hex(":"),
        rest=b"|".join(found.get(kind, b"") for kind in others),
    )
    return index, state, number(_IFLA_EVENT) == _EVENT_FEATURES


@dataclass(frozen=True)
class LaneChange:
    """Something that somebody changed."""

    at_s: float
    """Since the watch's `t0`."""
    host: str
    what: str

    def words(self) -> str:
        return f"{self.what} ({self.host}, at {self.at_s:.2f} s)"


@dataclass
class HostWatch:
    """Turns one host's notifications into words; it knows the interfaces' last states."""

    host: str
    own_ports: Sequence[int]
    """Of our sockets."""
    links: dict[int, LinkState] = field(default_factory=dict)

    def hear(self, data: bytes) -> list[str]:
        """What a datagram of rtnetlink tells of others' doings."""
        said: list[str] = []
        for kind, port, body in messages(data):
            if kind & ~1 in _TC and not (kind == _NEWQDISC and port in self.own_ports):
                said.append(self._traffic_control(kind, body))
            elif kind in (_NEWLINK, _DELLINK):
                said += self._link(kind, body)
            elif kind in _NEIGHBOURS:
                said += self._neighbour(kind, body)
            elif kind in _OTHERS:
                said.append(_OTHERS[kind])
        return said

    def _name(self, index: int) -> str:
        return self.links[index].name if index in self.links else f"interface {index}"

    def _traffic_control(self, kind: int, body: bytes) -> str:
        index = struct.unpack_from("=i", body, 4)[0] if len(body) >= 20 else 0
        what = dict(attributes(body, 20)).get(_TCA_KIND, b"").rstrip(b"\0").decode(errors="replace")
        done = "deleted" if kind % 2 else "added or changed"
        return f"{_TC[kind & ~1]} {what} {done} on {self._name(index)}".replace("  ", " ")

    def _link(self, kind: int, body: bytes) -> list[str]:
        try:
            index, now, features = link_state(body)
        except TestbedError as error:
            return [str(error)]
        before = self.links.get(index)
        if kind == _DELLINK:
            self.links.pop(index, None)
            return [f"link {now.name} deleted"]
        self.links[index] = now
        if before is None:
            return [f"link {now.name} added"]
        said = [f"link {now.name} {change}" for change in before.changes(now)]
        return said + ([f"link {now.name} has other offloads"] if features else [])

    def _neighbour(self, kind: int, body: bytes) -> list[str]:
        """A lane's neighbours are permanent; the kernel tidies up only those that need no address."""
        if len(body) < 12:
            return []
        index, state = struct.unpack_from("=iH", body, 4)
        if state & _NUD_NOARP or index not in self.links:
            return []
        return [f"neighbour {'deleted' if kind % 2 else 'changed'} on {self._name(index)}"]


def own_filter(ports: Sequence[int]) -> bytes:
    """A classic BPF program that drops qdisc messages of these ports: instructions of 8 bytes.

    (Also to *read* a qdisc makes the kernel tell everybody.) Words are loaded as the network has them,
    netlink writes them as the machine has them.
    """
    load_word, load_half, equal, give_back = 0x20, 0x28, 0x15, 0x06
    count = len(ports)
    program = [(load_half, 0, 0, 4), (equal, 0, count + 1, socket.htons(_NEWQDISC)), (load_word, 0, 0, 12)]
    program += [(equal, count - place, 0, socket.htonl(port)) for place, port in enumerate(ports)]
    program += [(give_back, 0, 0, 0xFFFFFFFF), (give_back, 0, 0, 0)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _attach(opened: socket.socket, program: bytes) -> None:
    kept = ctypes.create_string_buffer(program)
    opened.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))
    )


def _route_socket(ports: Sequence[int]) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        opened.bind((0, 0))
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        _attach(opened, own_filter(ports))
        for group in _GROUPS.values():
            opened.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    except OSError:
        opened.close()
        raise
    return opened


def _nftables_socket() -> socket.socket | None:
    """None where the kernel has no nftables: then nobody can use it."""
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    except OSError:
        return None
    try:
        opened.bind((0, 0))
        opened.setblocking(False)
        opened.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NFNLGRP_NFTABLES)
    except OSError:
        opened.close()
        return None
    return opened


class LaneWatch:
    """Listens in all hosts of a lane from its making to `close`.

    Args:
        pids: a process in each host, by role.
        own_ports: of whose qdisc messages nothing is to be heard: the first netlink socket of a process
            in a namespace has the process's id.
        t0: monotonic; times are given since then.

    Raises:
        TestbedError: a host cannot be entered, or listened in.
    """

    def __init__(self, pids: Mapping[str, int], own_ports: Sequence[int], t0: float) -> None:
        self.t0 = t0
        self._routes: dict[str, socket.socket] = {}
        self._tables: dict[str, socket.socket] = {}
        self._hosts = {host: HostWatch(host, own_ports) for host in pids}
        self.changes: list[LaneChange] = []
        self.heard = 0
        """All changes, also those beyond the first `MOST_EVENTS`."""
        try:
            for host, pid in pids.items():
                self._open(host, pid, own_ports)
        except OSError as error:
            self.close()
            raise TestbedError(
                f"cannot listen in host {host}: {error.strerror or error}; run as root"
            ) from None
        except TestbedError:
            self.close()
            raise

    def _open(self, host: str, pid: int, own_ports: Sequence[int]) -> None:
        with network_namespace(pid):
            self._routes[host] = _route_socket(own_ports)
            tables = _nftables_socket()
        if tables is not None:
            self._tables[host] = tables

    def know(self, host: str, links: Mapping[int, LinkState]) -> None:
        """The interfaces of a host as they were found just now (`testbed/verdict/lane_snapshot.py`)."""
        self._hosts[host].links = dict(links)

    def sockets(self) -> list[socket.socket]:
        """On which to wait; then `drain`."""
        return [*self._routes.values(), *self._tables.values()]

    def drain(self) -> None:
        """Take in what has been told since."""
        for host, opened in self._routes.items():
            for data in self._received(host, opened):
                for what in self._hosts[host].hear(data):
                    self._note(host, what)
        for host, opened in self._tables.items():
            if any(True for _ in self._received(host, opened)):
                self._note(host, "nftables changed")

    def _received(self, host: str, opened: socket.socket) -> Iterator[bytes]:
        while True:
            try:
                yield opened.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._note(host, "more changes than could be heard")

    def _note(self, host: str, what: str) -> None:
        self.heard += 1
        if len(self.changes) < MOST_EVENTS:
            self.changes.append(LaneChange(round(time.monotonic() - self.t0, 3), host, what))

    def close(self) -> None:
        """Stop listening; safe to call twice."""
        for opened in self.sockets():
            opened.close()
        self._routes, self._tables = {}, {}
