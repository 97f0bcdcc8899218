"""x"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from player.simulated import Download
from traces.trace import Trace, TraceError

RTT_MS = 80.0
QUEUE_MS = 200.0
HEAD_BYTES = 450
HANDLING_MS = 2.0


@dataclass(frozen=True)
class TcpLink:
    rtt_ms: float = RTT_MS
    queue_ms: float | None = QUEUE_MS
    queue_bytes: int | None = None
    congestion_control: str = "cubic"
    slow_start_after_idle: bool = True

    def limit_bytes(self, trace):
        if self.queue_bytes is not None:
            return self.queue_bytes
        return max(round(trace.mean_mbps * 1e6 / 8 * self.queue_ms / 1000), 4 * 1514)

    def open(self, trace: Trace, start_index: int, seed: int):
        return TcpSession(self, trace, start_index)


class TcpSession:
    def __init__(self, settings, trace, start_index, start_s=None):
        from player.tcp.events import download
        from player.tcp.state import new_connection

        self._download = download
        self._settings, self._trace = settings, trace
        self._time_s = np.array(trace.time_s)
        self._bytes_per_s = np.array(trace.rate_mbps) * 1e6 / 8
        start_s = trace.time_s[start_index - 1]
        self._state = new_connection(start_index, -start_s, settings.rtt_ms / 1000, settings.limit_bytes(trace))
        self.now_s = 0.0

    def download(self, size_bytes):
        asked = self.now_s
        rtt_s = self._settings.rtt_ms / 1000
        first, last = self._download(
            *self._state, self._time_s, self._bytes_per_s, asked, asked + rtt_s + HANDLING_MS / 1000,
            size_bytes + HEAD_BYTES, self._settings.slow_start_after_idle,
        )
        self.now_s = last
        return Download((last - asked) * 1000, (first - asked) * 1000, self._settings.rtt_ms)

    def idle(self, wait_ms):
        self.now_s += wait_ms / 1000

    @property
    def c(self):
        return self._state[0].view(np.recarray)[0]
