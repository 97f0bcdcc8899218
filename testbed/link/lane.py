"""A lane: server -- wan (delay, loss) -- router (the shaped link) -- player, as Mininet hosts.

Every lane has network namespaces of its own, so all lanes use the same addresses. Interfaces are made
inside them, never in the machine's own namespace, and vanish with the hosts; the hosts die with us
(`testbed/process/children.py`). So nothing is left behind and nothing of anybody else's is touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from testbed.link.delay_stage import DelayStage, Ends, NetemStage, RelayStage, StageReport
from testbed.link.hosts import in_host, run_checked, run_scripts
from testbed.link.settings import LinkSettings
from testbed.link.tbf import TokenBucket
from testbed.machine.capabilities import probe_delay
from testbed.machine.permissions import permissions, refusals
from testbed.process.children import allow_many_files
from testbed.process.errors import TestbedError
from traces.bound_processes import die_with_parent
from traces.trace import Trace

SERVER_IP, WAN_UP_IP, WAN_DOWN_IP = "10.0.1.2", "10.0.1.1", "10.0.2.1"
ROUTER_UP_IP, ROUTER_DOWN_IP, PLAYER_IP = "10.0.2.2", "10.0.3.1", "10.0.3.2"
ORIGIN_PORT = 8080

BOTTLENECK = "router-down"
"""The shaped interface: the router's, towards the player."""

MAC = {
    "server-0": "02:00:00:00:01:02",
    "wan-up": "02:00:00:00:01:01",
    "wan-down": "02:00:00:00:02:01",
    "router-up": "02:00:00:00:02:02",
    BOTTLENECK: "02:00:00:00:03:01",
    "player-0": "02:00:00:00:03:02",
}
"""Locally administered, the last two bytes as in the addresses."""

_ROUTES = {
    "server": [f"default via {WAN_UP_IP}"],
    "wan": [f"10.0.3.0/24 via {ROUTER_UP_IP}"],
    "router": [f"10.0.1.0/24 via {WAN_DOWN_IP}"],
    "player": [f"default via {ROUTER_DOWN_IP}"],
}

_SYSCTL = "/proc/sys/net"
_NO_IPV6 = f"{_SYSCTL}/ipv6/conf/all/disable_ipv6"
"""Not there on a kernel that has no IPv6 anyway."""
_HOST_END_S = 3.0
_TOOLS = {
    "mnexec": "apt-get install --no-install-recommends mininet",
    "ifconfig": "apt-get install net-tools",
    "ip": "apt-get install iproute2",
    "tc": "apt-get install iproute2",
    "ethtool": "apt-get install ethtool",
}

_HOST_SYSCTLS = {
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/tcp_no_metrics_save": "1",
}


def _header(to: str, sender: str) -> bytes:
    """The Ethernet header of an IP packet between two interfaces."""
    return b"".join(bytes.fromhex(MAC[name].replace(":", "")) for name in (to, sender)) + b"\x08\0"


def require_tools() -> None:
    """Check that we have root's rights and that the commands we need are there; ask for all the files we may
    have.

    Raises:
        TestbedError: what is missing and how to get it.
    """
    allow_many_files()
    if os.geteuid() != 0:
        raise TestbedError("not root: network namespaces need it; run with sudo")
    for refusal in refusals(permissions()):
        raise TestbedError(refusal)
    for tool, way_out in _TOOLS.items():
        if shutil.which(tool) is None:
            raise TestbedError(f"`{tool}` is missing: `{way_out}`, or `make setup`")


def delay_backend(asked: str) -> str:
    """`netem` or `relay`: what was asked for, or netem where the kernel has it.

    Raises:
        TestbedError: this kernel cannot do it.
    """
    report = probe_delay()
    if asked == "netem" and not report.has_netem:
        raise TestbedError(
            "this kernel has no netem: `modprobe sch_netem` (Ubuntu: apt-get install"
            " linux-modules-extra-$(uname -r)), or take --delay-backend relay"
        )
    if asked == "relay" and not report.has_packet_sockets:
        raise TestbedError("no packet sockets here: `modprobe af_packet`, or take --delay-backend netem")
    backend = report.delay_backend if asked == "auto" else asked
    if backend is None:
        raise TestbedError(
            "neither netem nor packet sockets here: `python testbed/doctor.py` says how to get them"
        )
    return backend


@contextlib.contextmanager
def _without_distutils() -> Iterator[None]:
    """Mininet's switches, of which we have none, compare versions with distutils. What stands in for it since
    Python 3.12, and before wherever setuptools is, takes three times as long to import as Mininet."""
    names = ("distutils", "distutils.version")
    if any(name in sys.modules for name in names):
        yield
        return
    sys.modules |= {name: ModuleType(name) for name in names}
    vars(sys.modules[names[-1]])["StrictVersion"] = str
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def _node_class() -> type:
    """Mininet's host, its shell bound to our life. (Importing Mininet takes a while and needs its tools.)"""
    with _without_distutils():
        from mininet.node import Host

    class LaneHost(Host):
        def _popen(self, cmd: Any, **params: Any) -> Any:
            """Start the host's shell. Mininet waits for its prompt without end, deaf to signals, so:
            Ctrl-C may not end it on its way out of our process group, and if it ends all the same,
            our end of its terminal has to say so, which it does once nobody holds the other end."""
            shell = super()._popen(cmd, preexec_fn=_out_of_reach, **params)
            nobody = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(nobody, self.slave, inheritable=False)  # Mininet closes it in the end
            os.close(nobody)
            return shell

    return LaneHost


def _out_of_reach() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()


class Lane:
    """One server-wan-router-player path. A context manager: leaving it takes everything down.

    Args:
        name: short, unique in the run; shows in `ps` as `mininet:NAME-server`.
        settings: what the link is asked to be.
        backend: `netem` or `relay` (`delay_backend`).
        seed: of the relay's loss and jitter.
        trace: that will be played on it: its delay and loss, where it has any, need a stage for them.

    Raises:
        TestbedError: a step of the set-up failed; what it was and what the system said.
    """

    def __init__(
        self,
        name: str,
        settings: LinkSettings,
        backend: str,
        seed: int = 0,
        trace: Trace | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.backend = backend
        self.seed = seed
        self.trace = trace
        self._hosts: dict[str, Any] = {}
        self._stage: DelayStage | None = None

    def __enter__(self) -> Lane:
        try:
            self._make_hosts()
            self._stage = self._make_stage()
            self._stage.prepare()
            self._make_links()
            self._configure()
            self._stage.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def pid(self, role: str) -> int:
        """Process id of `server`, `wan`, `router` or `player`: the key to its namespaces."""
        return int(self._hosts[role].pid)

    def _make_hosts(self) -> None:
        # Mininet waits for ever for the prompt of a host that did not start.
        run_checked(["mnexec", "-n", "true"], f"lane {self.name}: cannot make a network namespace")
        host = _node_class()
        for role in ("server", "wan", "router", "player"):
            try:
                self._hosts[role] = host(f"{self.name}-{role}")
            except (OSError, EOFError, IndexError) as error:
                raise TestbedError(
                    f"lane {self.name}: host {role} did not start ({error}); `mnexec -n true` may tell why"
                ) from None

    def _make_links(self) -> None:
        from mininet.link import Link

        for left, right, left_name, right_name in (
            ("server", "wan", "server-0", "wan-up"),
            ("wan", "router", "wan-down", "router-up"),
            ("router", "player", BOTTLENECK, "player-0"),
        ):
            try:
                Link(
                    self._hosts[left],
                    self._hosts[right],
                    intfName1=left_name,
                    intfName2=right_name,
                    addr1=MAC[left_name],
                    addr2=MAC[right_name],
                )
            except Exception as error:  # Mininet raises bare Exception
                raise TestbedError(f"lane {self.name}: cannot link {left} and {right}: {error}") from error

    def _configure(self) -> None:
        hops = {
            "server": [("server-0", SERVER_IP, WAN_UP_IP, MAC["wan-up"])],
            "wan": [
                ("wan-up", WAN_UP_IP, SERVER_IP, MAC["server-0"]),
                ("wan-down", WAN_DOWN_IP, ROUTER_UP_IP, MAC["router-up"]),
            ],
            "router": [
                ("router-up", ROUTER_UP_IP, WAN_DOWN_IP, MAC["wan-down"]),
                (BOTTLENECK, ROUTER_DOWN_IP, PLAYER_IP, MAC["player-0"]),
            ],
            "player": [("player-0", PLAYER_IP, ROUTER_DOWN_IP, MAC[BOTTLENECK])],
        }
        scripts = {}
        for role, interfaces in hops.items():
            script = [f"echo {value} > {_SYSCTL}/{key}" for key, value in _HOST_SYSCTLS.items()]
            script.append(f"[ ! -e {_NO_IPV6} ] || echo 1 > {_NO_IPV6}")
            if role in ("wan", "router"):
                script.append(f"echo 1 > {_SYSCTL}/ipv4/ip_forward")
            else:
                after_idle = int(self.settings.slow_start_after_idle)
                script.append(f"echo {after_idle} > {_SYSCTL}/ipv4/tcp_slow_start_after_idle")
            script.append("ip link set lo up")
            for interface, address, peer, peer_mac in interfaces:
                # Checksums complete and frames single, so that tc and captures see what a wire would;
                # fixed neighbours, so that no ARP waits behind a dark link.
                script += [
                    f"ip addr add {address}/24 dev {interface}",
                    f"ethtool -K {interface} tx off tso off gso off gro off >/dev/null",
                    f"ip link set {interface} up",
                    f"ip neigh replace {peer} lladdr {peer_mac} dev {interface} nud permanent",
                ]
            script += [f"ip route add {route}" for route in _ROUTES[role]]
            scripts[self.pid(role)] = script
        words = f"lane {self.name}: {{}}: a set-up command failed"
        run_scripts(scripts, {self.pid(role): words.format(role) for role in hops})

    @property
    def delay_stage(self) -> DelayStage:
        """Who delays and loses.

        Raises:
            TestbedError: the lane is not up.
        """
        if self._stage is None:
            raise TestbedError(f"lane {self.name} is not up")
        return self._stage

    def _make_stage(self) -> DelayStage:
        wan = self.pid("wan")
        if self.backend == "netem":
            varying = self.trace is not None and self.trace.varies
            return NetemStage(self.name, wan, self.settings, varying)
        ends = Ends(_header("server-0", "wan-up"), _header("router-up", "wan-down"))
        relayed = self.settings.relays_media(self.trace)
        return RelayStage(self.name, wan, self.settings, ends, relayed, self.seed)

    def bucket(self) -> TokenBucket:
        """The bottleneck's token bucket, not yet on the interface."""
        return TokenBucket(self.pid("router"), BOTTLENECK)

    def qdiscs(self) -> dict[str, list[str]]:
        """`tc qdisc show` of each host, for the manifest."""
        shown = {}
        for role in self._hosts:
            listed = in_host(self.pid(role), "tc", "qdisc", "show").stdout
            lines = [line.strip() for line in listed.splitlines() if " noqueue " not in line]
            if lines:
                shown[role] = lines
        return shown

    def tcp_in_force(self) -> dict[str, str]:
        """The sender's TCP settings as its kernel reports them."""
        names = ("tcp_slow_start_after_idle", "tcp_no_metrics_save", "tcp_rmem", "tcp_wmem")
        listed = in_host(self.pid("server"), "cat", *(f"{_SYSCTL}/ipv4/{name}" for name in names)).stdout
        return dict(zip(names, (" ".join(line.split()) for line in listed.splitlines()), strict=False))

    def stage_report(self) -> StageReport:
        """What the delay stage did so far.

        Raises:
            TestbedError: it does not answer.
        """
        return self.delay_stage.report()

    def close(self) -> None:
        """Take everything down; safe to call twice."""
        if self._stage is not None:
            self._stage.stop()
        hosts, self._hosts = list(self._hosts.values()), {}
        shells = [host.shell for host in hosts if host.shell is not None]
        for host in hosts:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself: that is what we want
                host.terminate()
        for shell in shells:  # the namespace goes with its last process: be sure that it does
            try:
                shell.wait(_HOST_END_S)
            except subprocess.TimeoutExpired:
                shell.kill()
                shell.wait()


def check_congestion_control(name: str) -> None:
    """Refuse a congestion control that this kernel cannot offer.

    Raises:
        TestbedError: with those it can.
    """
    listing = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
    if name not in listing.read_text().split() and shutil.which("modprobe"):
        subprocess.run(["modprobe", f"tcp_{name}"], capture_output=True, check=False)
    available = listing.read_text().split()
    if name not in available:
        raise TestbedError(
            f"congestion control {name!r}: this kernel has {', '.join(available)};"
            f" `modprobe tcp_{name}` may add it"
        )
