"""The delay and loss stage of a lane: the kernel's netem, or our relay process, behind one interface."""

from __future__ import annotations

import json
import select
import subprocess
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from testbed.children import die_with_parent, environment, python_in
from testbed.errors import TestbedError
from testbed.hosts import in_host, run_script
from testbed.netem import netem_commands
from testbed.settings import LinkSettings

START_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 5.0

LATE_SHARE = 0.01
"""At most this share of the delayed packets may leave more than 2 ms after they were due."""

_TABLE = 100
"""Routing table of packets that are to be treated."""


@dataclass(frozen=True)
class StageReport:
    """What the stage did since the lane was made."""

    backend: str
    packets: int
    """Towards the server, where the delay is."""
    lost: int
    """Towards the player, as asked."""
    dropped: int
    """Anywhere, not as asked: queues that were full."""
    late_over_2ms: int = 0
    """Packets that left more than 2 ms after they were due (netem does not tell)."""
    late_max_ms: float = 0.0
    real_time: bool = True
    """Whether the stage runs before ordinary processes."""

    def faults(self) -> list[str]:
        """What was not as asked, in words."""
        found = []
        if self.dropped:
            found.append(f"the delay stage dropped {self.dropped} packets for want of room")
        if self.late_over_2ms > LATE_SHARE * self.packets and self.late_over_2ms > 1:
            found.append(
                f"{self.late_over_2ms} of {self.packets} delayed packets left more than 2 ms late"
                f" (worst {self.late_max_ms:.0f} ms)"
            )
        return found


class DelayStage(Protocol):
    """What a lane needs of it."""

    @property
    def pid(self) -> int | None:
        """Of its process; None where the kernel does it."""

    def start(self) -> None:
        """Put it into the path."""

    def died(self) -> bool:
        """Whether it has gone though nobody stopped it."""

    def report(self) -> StageReport:
        """What it has done so far."""

    def stop(self) -> None:
        """Take it away; safe to call twice."""


class NetemStage:
    """netem on both interfaces of the wan host `pid`."""

    def __init__(self, lane: str, pid: int, settings: LinkSettings) -> None:
        self._lane = lane
        self._pid = pid
        self._settings = settings

    @property
    def pid(self) -> int | None:
        return None

    def start(self) -> None:
        commands = netem_commands(self._settings, "wan-up", "wan-down")
        run_script(self._pid, commands, f"lane {self._lane}: netem")

    def died(self) -> bool:
        return False

    def report(self) -> StageReport:
        up, down = self._counters("wan-up"), self._counters("wan-down")
        # netem counts what it loses on purpose and what finds its queue full as the same drops; on the
        # uplink nothing is to be lost.
        return StageReport("netem", up.get("packets", 0), down.get("drops", 0), up.get("drops", 0))

    def _counters(self, interface: str) -> dict[str, Any]:
        shown = in_host(self._pid, "tc", "-s", "-j", "qdisc", "show", "dev", interface)
        try:
            qdiscs = json.loads(shown.stdout or "[]")
        except ValueError:
            return {}
        return next((qdisc for qdisc in qdiscs if qdisc.get("kind") == "netem"), {})

    def stop(self) -> None:
        """It goes with its interfaces."""


class RelayStage:
    """The relay process in the wan host `pid`, and the rules that route packets through it."""

    def __init__(self, lane: str, pid: int, settings: LinkSettings, server: str, seed: int) -> None:
        self._lane = lane
        self._pid = pid
        self._settings = settings
        self._server = server
        self._seed = seed
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """See `DelayStage`.

        Raises:
            TestbedError: it did not start; its last word is in the message.
        """
        spec = {
            "interface": "relay",
            "server": self._server,
            "delay_ms": self._settings.rtt_ms,
            "jitter_ms": self._settings.jitter_ms,
            "loss": asdict(self._settings.loss),
            "seed": self._seed,
        }
        self._process = subprocess.Popen(
            python_in(self._pid, "-m", "testbed.relay"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            preexec_fn=die_with_parent,
            start_new_session=True,
        )
        if self._ask(json.dumps(spec), START_TIMEOUT_S) is None:
            raise TestbedError(f"lane {self._lane}: the relay did not start: {self._last_word()}")
        rules = [
            "ip link set relay up txqueuelen 10000",
            "echo 0 > /proc/sys/net/ipv4/conf/relay/rp_filter",
            f"ip route add default dev relay table {_TABLE}",
            f"ip rule add iif wan-down table {_TABLE}",
        ]
        if self._settings.loss.kind != "none":
            rules.append(f"ip rule add iif wan-up table {_TABLE}")
        run_script(self._pid, rules, f"lane {self._lane}: the way through the relay")

    def _ask(self, line: str, timeout_s: float) -> dict[str, Any] | None:
        """Send a line and read one; None when there is no answer."""
        process = self._process
        assert process is not None and process.stdin and process.stdout
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return None
        waiting = select.poll()  # select() stops at descriptor 1023, and a hundred lanes go beyond
        waiting.register(process.stdout, select.POLLIN)
        text = process.stdout.readline() if waiting.poll(timeout_s * 1000) else ""
        answer: dict[str, Any] | None = json.loads(text) if text else None
        return answer

    def _last_word(self) -> str:
        process = self._process
        assert process is not None and process.stderr is not None
        if process.poll() is None:
            try:
                process.wait(0.5)
            except subprocess.TimeoutExpired:
                return "no word"
        said = process.stderr.read().strip().splitlines()
        return said[-1] if said else f"exit status {process.returncode}"

    def died(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def report(self) -> StageReport:
        """See `DelayStage`.

        Raises:
            TestbedError: the relay does not answer.
        """
        counted = self._ask("report", ANSWER_TIMEOUT_S) if self._process is not None else None
        if counted is None:
            raise TestbedError(f"lane {self._lane}: the delay stage's relay does not answer")
        return StageReport(
            backend="relay",
            packets=counted["up_packets"],
            lost=counted["lost"],
            dropped=counted["overflowed"] + self._dropped_before(),
            late_over_2ms=counted["late_over_2ms"],
            late_max_ms=counted["late_max_ms"],
            real_time=counted["real_time"],
        )

    def _dropped_before(self) -> int:
        """Packets that found the TUN interface's queue full."""
        shown = in_host(self._pid, "ip", "-s", "-j", "link", "show", "dev", "relay")
        try:
            return int(json.loads(shown.stdout)[0]["stats64"]["tx"]["dropped"])
        except (ValueError, LookupError):
            return 0

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate("", timeout=ANSWER_TIMEOUT_S)
        except (subprocess.TimeoutExpired, ValueError):
            process.kill()
            process.wait()
