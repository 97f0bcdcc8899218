"""What the kernels of a lane's hosts counted: packets and bytes at every place of the path.

Every packet that one place has sent, the next has taken in, but for what the bottleneck dropped and the
delay stage lost as it was asked to. Whatever takes a packet away or adds one, in whatever way (tc,
nftables, iptables, a bpf program, a policer, another sender), leaves two neighbouring places that do
not agree. The counters are read from outside, from `/proc/PID/net`, without a process started.

The way down is server -> wan (delay, loss) -> router (bottleneck) -> player; the way up is the reverse.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.link.delay_stage import StageReport
from testbed.link.lane import BOTTLENECK
from testbed.link.tbf import FRAME_BYTES, Counters
from testbed.process.errors import TestbedError

ROLES = ("server", "wan", "router", "player")
KICK_BYTES = 60
"""A frame with which the shaper wakes a sleeping bucket: no IP packet (`testbed/link/tbf.py`)."""
ETHERNET_BYTES = 14
SMALLEST_FRAME_BYTES = 60
FULL_SEGMENT_BYTES = FRAME_BYTES - 66
"""TCP payload of a full frame: 14 bytes of Ethernet, 20 of IP, 32 of TCP with its time stamps."""


@dataclass(frozen=True, slots=True)
class InterfaceCounters:
    """What of a line of `/proc/net/dev` the path's bounds look at."""

    rx_packets: int
    tx_packets: int


@dataclass(frozen=True)
class HostCounters:
    """One host's kernel counters since its namespace was made."""

    interfaces: Mapping[str, InterfaceCounters]
    protocols: Mapping[str, int]
    """As `Ip.InReceives`, `Tcp.RetransSegs`, `TcpExt.TCPTimeouts`."""


def parse_dev(text: str) -> dict[str, InterfaceCounters]:
    """`/proc/net/dev` by interface.

    Raises:
        TestbedError: a line that is none.
    """
    found = {}
    for line in text.splitlines()[2:]:
        name, colon, rest = line.rpartition(":")
        values = rest.split()
        if not colon or len(values) < 16 or not all(value.isdigit() for value in values):
            raise TestbedError(
                f"/proc/net/dev: {line.strip()[:80]!r} is no line of counters; which kernel is it?"
            )
        counted = [int(value) for value in values]
        found[name.strip()] = InterfaceCounters(rx_packets=counted[1], tx_packets=counted[9])
    return found


def parse_protocols(text: str) -> dict[str, int]:
    """`/proc/net/snmp` or `/proc/net/netstat`: each protocol has a line of names and a line of values.

    Raises:
        TestbedError: a line of values that does not belong to the line before it.
    """
    found: dict[str, int] = {}
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) % 2:
        raise TestbedError("/proc/net/snmp: an odd number of lines; which kernel is it?")
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        protocol, _, listed = names.partition(":")
        again, _, counted = values.partition(":")
        keys = listed.split()
        try:
            numbers = [int(value) for value in counted.split()]
        except ValueError:
            numbers = []
        if protocol != again or len(keys) != len(numbers):
            raise TestbedError(f"/proc/net/snmp: {protocol[:40]!r} has names and values that do not match")
        found.update((f"{protocol}.{key}", number) for key, number in zip(keys, numbers, strict=True))
    return found


def read_host(pid: int) -> HostCounters:
    """The counters of the host that process `pid` is in.

    Raises:
        TestbedError: the process is gone, or its kernel writes something else.
    """
    folder = Path(f"/proc/{pid}/net")
    try:
        dev, snmp, netstat = ((folder / name).read_text() for name in ("dev", "snmp", "netstat"))
    except OSError as error:
        raise TestbedError(f"cannot read the counters of process {pid}: {error.strerror}") from None
    return HostCounters(parse_dev(dev), {**parse_protocols(snmp), **parse_protocols(netstat)})


@dataclass(frozen=True)
class PathCounters:
    """All hosts of a lane at one moment."""

    at_s: float
    """Monotonic."""
    hosts: Mapping[str, HostCounters]
    bottleneck: Counters
    stage: StageReport
    settled: bool = True
    """Nothing was on its way when they were read."""


def read_hosts(pids: Mapping[str, int]) -> dict[str, HostCounters]:
    """The counters of all hosts, one after the other (0.3 ms).

    Raises:
        TestbedError: see `read_host`.
    """
    return {role: read_host(pid) for role, pid in pids.items()}


def on_the_way(hosts: Mapping[str, HostCounters]) -> tuple[int, ...]:
    """What moves while a packet is anywhere in the lane; equal in two readings of a lane at rest."""
    return tuple(
        count
        for host in hosts.values()
        for interface in host.interfaces.values()
        for count in (interface.rx_packets, interface.tx_packets)
    )


@dataclass(frozen=True)
class PathUse:
    """What passed every place of the path between two readings; packets, unless a name says else."""

    seconds: float
    server_ip_out: int
    server_tx: int
    wan_up_rx: int
    lost_as_asked: int
    """By the delay stage, on the way down."""
    wan_down_tx: int
    router_up_rx: int
    queued: int
    """What the bottleneck's queue was handed: sent, dropped; what waited at the end is not in it."""
    dropped: int
    """By the bottleneck's queue, which was full."""
    waiting_bytes: int
    """In the bottleneck's queue at the end."""
    sent: int
    """By the bottleneck's queue."""
    router_down_tx: int
    player_rx: int
    player_ip_in: int
    player_delivered: int
    player_ip_out: int
    player_tx: int
    router_down_rx: int
    router_up_tx: int
    wan_down_rx: int
    delayed: int
    """Through the delay stage, on the way up."""
    wan_up_tx: int
    server_rx: int
    server_ip_in: int
    server_delivered: int
    sent_bytes: int
    """By the bottleneck's queue, frames with their Ethernet headers."""
    player_ip_bytes: int
    """Came to the player's IP layer."""
    retransmits: int
    """Segments that the server sent again."""
    timeouts: int
    """Retransmission timers of the server that ran out."""
    loss_probes: int
    """Segments that the server sent again for want of an answer, before any timer ran out."""
    tcp_segments_out: int
    """First sendings and bare ACKs of the server."""
    strangers: int
    """UDP and ICMP packets that server or player sent or received."""
    connections: int
    """That the player opened."""
    checksum_errors: int
    """Segments that came broken, at either end."""
    server_datagrams: int = 0
    """UDP's, that the server sent."""
    overruns: int = 0
    """Datagrams of which a socket's buffer had no room, at either end."""
    settled: bool = True
    """Nothing was on its way at either reading."""

    @property
    def waiting_packets(self) -> int:
        """At most so many waited in the bottleneck's queue."""
        return self.waiting_bytes // SMALLEST_FRAME_BYTES

    @property
    def kicks(self) -> int:
        """Frames at the player that were no IP packets."""
        return self.player_rx - self.player_ip_in


_INTERFACES = {
    "server_tx": ("server", "server-0", "tx_packets"),
    "wan_up_rx": ("wan", "wan-up", "rx_packets"),
    "wan_down_tx": ("wan", "wan-down", "tx_packets"),
    "router_up_rx": ("router", "router-up", "rx_packets"),
    "router_down_tx": ("router", BOTTLENECK, "tx_packets"),
    "player_rx": ("player", "player-0", "rx_packets"),
    "player_tx": ("player", "player-0", "tx_packets"),
    "router_down_rx": ("router", BOTTLENECK, "rx_packets"),
    "router_up_tx": ("router", "router-up", "tx_packets"),
    "wan_down_rx": ("wan", "wan-down", "rx_packets"),
    "wan_up_tx": ("wan", "wan-up", "tx_packets"),
    "server_rx": ("server", "server-0", "rx_packets"),
}
"""Where a place's packets are counted: host, interface, counter."""

_PROTOCOLS = {
    "server_ip_out": (("server",), ("Ip.OutRequests",)),
    "player_ip_in": (("player",), ("Ip.InReceives",)),
    "player_delivered": (("player",), ("Ip.InDelivers",)),
    "player_ip_out": (("player",), ("Ip.OutRequests",)),
    "server_ip_in": (("server",), ("Ip.InReceives",)),
    "server_delivered": (("server",), ("Ip.InDelivers",)),
    "player_ip_bytes": (("player",), ("IpExt.InOctets",)),
    "retransmits": (("server",), ("Tcp.RetransSegs",)),
    "timeouts": (("server",), ("TcpExt.TCPTimeouts",)),
    "loss_probes": (("server",), ("TcpExt.TCPLossProbes",)),
    "tcp_segments_out": (("server",), ("Tcp.OutSegs",)),
    "strangers": (
        ("server", "player"),
        ("Udp.InDatagrams", "Udp.NoPorts", "Udp.OutDatagrams", "Icmp.InMsgs", "Icmp.OutMsgs"),
    ),
    "connections": (("player",), ("Tcp.ActiveOpens",)),
    "checksum_errors": (("server", "player"), ("Tcp.InErrs",)),
    "server_datagrams": (("server",), ("Udp.OutDatagrams",)),
    "overruns": (("server", "player"), ("Udp.RcvbufErrors", "Udp.SndbufErrors")),
}
"""What a kernel's protocols count: hosts, and counters that are added up."""


def path_use(before: PathCounters, after: PathCounters) -> PathUse:
    """What passed between two readings of a lane.

    Raises:
        TestbedError: an interface is gone.
    """

    def at(read: PathCounters, role: str, interface: str, counter: str) -> int:
        return int(getattr(read.hosts[role].interfaces[interface], counter))

    def counted(read: PathCounters, roles: tuple[str, ...], names: tuple[str, ...]) -> int:
        return sum(read.hosts[role].protocols.get(name, 0) for role in roles for name in names)

    try:
        places = {name: at(after, *where) - at(before, *where) for name, where in _INTERFACES.items()}
    except KeyError as error:
        raise TestbedError(f"the interface {error.args[0]} is gone; somebody changed the lane") from None
    protocols = {name: counted(after, *what) - counted(before, *what) for name, what in _PROTOCOLS.items()}
    new, old = after.bottleneck, before.bottleneck
    sent, dropped = new.sent_packets - old.sent_packets, new.drops - old.drops
    return PathUse(
        seconds=round(after.at_s - before.at_s, 3),
        lost_as_asked=after.stage.lost - before.stage.lost,
        delayed=after.stage.packets - before.stage.packets,
        queued=sent + dropped,
        dropped=dropped,
        waiting_bytes=new.backlog_bytes,
        sent=sent,
        sent_bytes=new.sent_bytes - old.sent_bytes,
        settled=before.settled and after.settled,
        **places,
        **protocols,
    )


async def settle(
    pids: Mapping[str, int], quiet_s: float, until: float, look_s: float = 0.02
) -> tuple[dict[str, HostCounters], bool]:
    """Read the hosts once no packet has moved for `quiet_s`, or at monotonic time `until`.

    The delay stage holds a packet without any counter moving: `quiet_s` has to be longer than that.

    Returns:
        the counters, and whether the lane was at rest.

    Raises:
        TestbedError: see `read_host`.
    """
    hosts = read_hosts(pids)
    still_since = time.monotonic()
    while True:
        now = time.monotonic()
        if now - still_since >= quiet_s:
            return hosts, True
        if now >= until:
            return hosts, False
        await asyncio.sleep(look_s)
        again = read_hosts(pids)
        if on_the_way(again) != on_the_way(hosts):
            still_since = time.monotonic()
        hosts = again
