"""What somebody can do to a lane by hand while a session streams over it: one small function a kind.

Each is told to act when two chunks are in (or at the start), inside the lane's own namespaces and by
the system's own tools; what has to be undone for the session to go on, it undoes itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from testbed.link.hosts import in_host
from testbed.link.lane import (
    BOTTLENECK,
    MAC,
    PLAYER_IP,
    ROUTER_DOWN_IP,
    ROUTER_UP_IP,
    SERVER_IP,
    WAN_DOWN_IP,
    Lane,
)
from testbed.process.children import environment, python_in
from traces.bound_processes import die_with_parent

CONSTANT_MBPS = 4.0
"""The rate of the constant trace, in which the shaper has no reason to change anything."""
FLOOD_S = 8.0
FLOOD_MBPS = 0.3 * CONSTANT_MBPS


STARTED_S = 0.5
"""A program that was to stay and has ended by then could not do what it was to do."""


class NotHere(Exception):
    """This kernel, or this machine's tools, cannot do that."""


@dataclass
class Hands:
    """A lane in somebody's hands."""

    lane: Lane
    shaper_pid: int
    queue_bytes: int
    """The bottleneck's limit."""

    def run(self, role: str, *commands: str) -> None:
        """Shell commands in a host, one after the other.

        Raises:
            NotHere: one failed; what it said.
        """
        done = in_host(self.lane.pid(role), "sh", "-ec", "\n".join(commands))
        if done.returncode:
            raise NotHere((done.stderr.strip() or done.stdout.strip() or "failed").splitlines()[-1])

    def python(self, role: str, program: str) -> subprocess.Popen[bytes]:
        """Start a Python program in a host; it dies with us."""
        return subprocess.Popen(
            python_in(self.lane.pid(role), "-c", program),
            preexec_fn=die_with_parent,
            start_new_session=True,
            env=environment(),
        )

    def relay_pid(self) -> int:
        """The process of the delay stage.

        Raises:
            NotHere: netem delays here.
        """
        pid = self.lane.delay_stage.pid
        if self.lane.backend == "netem" or pid is None:
            raise NotHere("the delay stage is no process here: it is netem's")
        return pid


@dataclass(frozen=True)
class Kind:
    """One way to make a link wrong."""

    name: str
    sentence: str
    act: Callable[[Hands], None]
    constant: bool = False
    """Over the constant trace."""
    at_start: bool = False
    """From the start of streaming, and not only after two chunks."""
    counted: bool = True
    """Whether counters and clocks show it; otherwise only who listens can know."""


def _drops(hook: str, match: str, percent: float, family: str = "ip") -> tuple[str, ...]:
    """nftables rules that lose a share of the packets that match."""
    return (
        f"nft add table {family} tamper",
        f"nft add chain {family} tamper lose '{{ type filter hook {hook} priority -300; }}'",
        f"nft add rule {family} tamper lose {match} numgen random mod 1000 '<' {percent * 10:g} drop",
    )


def loss_3_before(hands: Hands) -> None:
    hands.run("router", *_drops("prerouting", "iifname router-up", 3))


def loss_10_before(hands: Hands) -> None:
    hands.run("wan", *_drops("forward", "iifname wan-up", 10))


def loss_3_after(hands: Hands) -> None:
    hands.run("player", *_drops("prerouting", "iifname player-0", 3))


def loss_10_after(hands: Hands) -> None:
    hands.run("player", *_drops("input", "iifname player-0", 10))


def loss_at_the_server(hands: Hands) -> None:
    hands.run("server", *_drops("postrouting", "oifname server-0", 3))


def loss_of_acks(hands: Hands) -> None:
    hands.run("router", *_drops("prerouting", f"iifname {BOTTLENECK}", 30))


def loss_by_iptables(hands: Hands) -> None:
    hands.run(
        "player", "iptables-legacy -A INPUT -i player-0 -m statistic --mode random --probability 0.03 -j DROP"
    )


_ONE_IN_32 = "'5,32 0 0 4294963256,84 0 0 31,21 0 1 7,6 0 0 4294967295,6 0 0 0'"
"""Classic BPF: a random number (SKF_AD_RANDOM), its lowest five bits, one value of them."""


def loss_by_bpf(hands: Hands) -> None:
    """A classifier's program that leads packets astray: a drop without any rule that says so."""
    hands.run(
        "player",
        "ip link set lo up",
        "tc qdisc add dev player-0 clsact",
        f"tc filter add dev player-0 ingress bpf bytecode {_ONE_IN_32} action mirred egress redirect dev lo",
    )


def policer(hands: Hands) -> None:
    hands.run(
        "player",
        "nft add table netdev tamper",
        "nft add chain netdev tamper police '{ type filter hook ingress device player-0 priority 0; }'",
        "nft add rule netdev tamper police limit rate over 300 kbytes/second burst 20 kbytes drop",
    )


def duplicates(hands: Hands) -> None:
    hands.run(
        "router",
        "nft add table ip tamper",
        "nft add chain ip tamper double '{ type filter hook prerouting priority -300; }'",
        "nft add rule ip tamper double iifname router-up numgen random mod 100 '<' 5"
        f" dup to {PLAYER_IP} device {BOTTLENECK}",
    )


def five_percent_slower(hands: Hands) -> None:
    rate = round(0.95 * CONSTANT_MBPS * 1000)
    hands.run(
        "wan", f"tc qdisc add dev wan-down root tbf rate {rate}kbit burst 1600 limit {hands.queue_bytes}"
    )


def two_mbit(hands: Hands) -> None:
    hands.run("wan", f"tc qdisc add dev wan-down root tbf rate 2mbit burst 1600 limit {hands.queue_bytes}")


def two_mbit_at_the_server(hands: Hands) -> None:
    hands.run("server", f"tc qdisc add dev server-0 root tbf rate 2mbit burst 1600 limit {hands.queue_bytes}")


def slow_uplink(hands: Hands) -> None:
    hands.run("player", "tc qdisc add dev player-0 root tbf rate 64kbit burst 1600 limit 100000")


def rule_removed(hands: Hands) -> None:
    hands.run("wan", "ip rule del iif wan-down type blackhole")


def player_down(hands: Hands) -> None:
    hands.run(
        "player",
        "ip link set player-0 down",
        "sleep 2",
        "ip link set player-0 up",
        f"ip route replace default via {ROUTER_DOWN_IP}",
        f"ip neigh replace {ROUTER_DOWN_IP} lladdr {MAC[BOTTLENECK]} dev player-0 nud permanent",
    )


def _bucket(hands: Hands, rate_mbps: float, burst: int, limit: int, verb: str = "change") -> str:
    return (
        f"tc qdisc {verb} dev {BOTTLENECK} root handle 1: tbf rate {round(rate_mbps * 1000)}kbit"
        f" burst {burst} limit {limit}"
    )


def queue_cut(hands: Hands) -> None:
    hands.run("router", _bucket(hands, CONSTANT_MBPS, 1600, max(hands.queue_bytes // 12, 3200)))


def burst_of_100_kb(hands: Hands) -> None:
    hands.run("router", _bucket(hands, CONSTANT_MBPS, 100_000, hands.queue_bytes))


def queue_replaced(hands: Hands) -> None:
    hands.run(
        "router",
        f"tc qdisc del dev {BOTTLENECK} root",
        _bucket(hands, CONSTANT_MBPS, 1600, hands.queue_bytes, "add"),
    )


def rate_once(hands: Hands) -> None:
    hands.run("router", _bucket(hands, 0.6 * CONSTANT_MBPS, 1600, hands.queue_bytes))


def _stopped(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


def relay_stopped(hands: Hands) -> None:
    _stopped(hands.relay_pid(), 2.0)


def shaper_stopped(hands: Hands) -> None:
    _stopped(hands.shaper_pid, 1.4)


def mtu_600(hands: Hands) -> None:
    hands.run("server", "ip link set server-0 mtu 600")


def another_route(hands: Hands) -> None:
    player = hands.lane.pid("player")
    hands.run("server", f"ip link add by-0 type veth peer name by-1 netns {player}")
    hands.run("player", "ip addr add 10.0.9.2/24 dev by-1", "ip link set by-1 up")
    hands.run(
        "server",
        "ip addr add 10.0.9.1/24 dev by-0",
        "ip link set by-0 up",
        f"ip route replace {PLAYER_IP}/32 via 10.0.9.2 dev by-0",
    )


_FLOOD = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    s.sendto(bytes(1400), ({address!r}, 9999))
    time.sleep(1400 * 8 / ({mbps} * 1e6))
"""


def flood_from_the_server(hands: Hands) -> None:
    hands.python("server", _FLOOD.format(seconds=FLOOD_S, address=PLAYER_IP, mbps=FLOOD_MBPS)).wait()


def flood_from_the_wan(hands: Hands) -> None:
    hands.python("wan", _FLOOD.format(seconds=FLOOD_S, address=PLAYER_IP, mbps=FLOOD_MBPS)).wait()


_SEND = """
import socket, time
l = socket.create_server(({server!r}, 7070)); c, _ = l.accept()
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    c.send(bytes(2000)); time.sleep(2000 * 8 / ({mbps} * 1e6))
"""
_RECEIVE = """
import socket, time
time.sleep(0.5)
c = socket.create_connection(({server!r}, 7070))
while c.recv(65536): pass
"""


def another_download(hands: Hands) -> None:
    words = {"server": SERVER_IP, "seconds": FLOOD_S, "mbps": FLOOD_MBPS}
    sending = hands.python("server", _SEND.format(**words))
    receiving = hands.python("player", _RECEIVE.format(**words))
    sending.wait()
    receiving.wait()


def offloads_on(hands: Hands) -> None:
    hands.run("server", "ethtool -K server-0 tx on tso on gso on >/dev/null")


def forwarding_off(hands: Hands) -> None:
    hands.run(
        "router",
        "echo 0 > /proc/sys/net/ipv4/ip_forward",
        "sleep 1",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
    )


_DELAY = """
import collections, fcntl, os, select, struct, time
tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"second", 0x1001))  # TUNSETIFF: a TUN without headers
os.system("ip link set second up; ip route add default dev second table 77")
os.system("ip rule add iif router-down table 77")
waiting = collections.deque()
while True:
    rest = max(waiting[0][0] - time.monotonic(), 0) if waiting else None
    if select.select([tun], [], [], rest)[0]:
        waiting.append((time.monotonic() + 0.02, os.read(tun, 65536)))
    while waiting and waiting[0][0] <= time.monotonic():
        os.write(tun, waiting.popleft()[1])
"""


def second_delay(hands: Hands) -> None:
    """20 ms more on the way up; the kernel ends it with the thread that began it.

    Raises:
        NotHere: its tunnel did not open.
    """
    started = hands.python("router", _DELAY)
    try:
        started.wait(STARTED_S)
    except subprocess.TimeoutExpired:
        return
    raise NotHere("the second delay's tunnel did not open: `modprobe tun`")


def no_selective_acks(hands: Hands) -> None:
    hands.run(
        "player", "echo 0 > /proc/sys/net/ipv4/tcp_moderate_rcvbuf", "echo 0 > /proc/sys/net/ipv4/tcp_sack"
    )


def other_idle_restart(hands: Hands) -> None:
    hands.run("server", "echo 0 > /proc/sys/net/ipv4/tcp_slow_start_after_idle")


def neighbour_broken(hands: Hands) -> None:
    hands.run(
        "wan",
        f"ip neigh replace {ROUTER_UP_IP} lladdr 02:00:00:00:99:99 dev wan-down nud permanent",
        "sleep 1",
        f"ip neigh replace {ROUTER_UP_IP} lladdr {MAC['router-up']} dev wan-down nud permanent",
    )


def router_link_blinks(hands: Hands) -> None:
    hands.run(
        "router",
        "ip link set router-up down",
        "sleep 0.3",
        "ip link set router-up up",
        f"ip route replace 10.0.1.0/24 via {WAN_DOWN_IP}",
        f"ip neigh replace {WAN_DOWN_IP} lladdr {MAC['wan-down']} dev router-up nud permanent",
    )


def shorter_transmit_queue(hands: Hands) -> None:
    hands.run("wan", "ip link set wan-down txqueuelen 5")


def untouched(hands: Hands) -> None:
    """Look on."""


UNTOUCHED = (
    Kind("untouched", "nobody touches it", untouched),
    Kind("untouched-constant", "nobody touches it, constant trace", untouched, constant=True),
)
KINDS = (
    Kind("loss-3-before", "3 % of the packets lost before the bottleneck", loss_3_before),
    Kind("loss-10-before", "10 % lost before the bottleneck", loss_10_before),
    Kind("loss-3-after", "3 % lost behind the bottleneck", loss_3_after),
    Kind("loss-10-after", "10 % lost behind the bottleneck", loss_10_after),
    Kind("loss-server", "3 % lost in the server itself", loss_at_the_server),
    Kind("loss-acks", "30 % of the ACKs lost", loss_of_acks),
    Kind("loss-iptables", "3 % lost by the older iptables", loss_by_iptables),
    Kind("loss-bpf", "one packet of 32 led astray by a bpf classifier", loss_by_bpf),
    Kind("policer", "a policer of 2.4 Mbit/s at the player", policer),
    Kind("duplicates", "5 % of the packets doubled before the bottleneck", duplicates),
    Kind("slower-5", "another tbf 5 % below the trace", five_percent_slower, constant=True),
    Kind("two-mbit", "2 Mbit/s between delay stage and router", two_mbit),
    Kind("two-mbit-server", "2 Mbit/s at the server", two_mbit_at_the_server),
    Kind("slow-uplink", "an uplink of 64 kbit/s", slow_uplink),
    Kind("no-delay", "the rule into the delay stage removed", rule_removed),
    Kind("player-down", "the player's interface down for 2 s", player_down),
    Kind("queue-cut", "the queue cut to a twelfth", queue_cut, constant=True),
    Kind("burst", "a burst of 100 kB", burst_of_100_kb, constant=True),
    Kind("queue-replaced", "the bottleneck's qdisc deleted and added", queue_replaced, constant=True),
    Kind("rate-once", "the rate changed by hand once", rate_once, constant=True),
    Kind("relay-stopped", "the delay stage stopped for 2 s", relay_stopped),
    Kind("shaper-stopped", "the shaper stopped for 1.4 s", shaper_stopped),
    Kind("mtu", "the server's MTU cut to 600", mtu_600),
    Kind("another-route", "data by another way, past the bottleneck", another_route),
    Kind("flood-server", "UDP at 30 % of the rate from the server", flood_from_the_server, constant=True),
    Kind("flood-wan", "UDP at 30 % of the rate from the wan host", flood_from_the_wan, constant=True),
    Kind("another-download", "another TCP download at 30 % of the rate", another_download, constant=True),
    Kind("offloads", "segmentation left to the server's interface", offloads_on),
    Kind("no-forwarding", "the router forwards nothing for 1 s", forwarding_off),
    Kind("second-delay", "20 ms more on the way up, from the start", second_delay, at_start=True),
    Kind("no-sack", "the player's TCP without SACK, its buffer fixed", no_selective_acks, counted=False),
    Kind("idle-restart", "the server's TCP keeps its window when idle", other_idle_restart, counted=False),
    Kind("neighbour", "the router's address wrong for 1 s", neighbour_broken),
    Kind("link-blinks", "the router's uplink down for 0.3 s", router_link_blinks),
    Kind("short-queue", "a transmit queue of 5 packets", shorter_transmit_queue, counted=False),
)
