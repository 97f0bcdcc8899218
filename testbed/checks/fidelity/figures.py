"""The figures of `fidelity.py`: link logs joined to windows, whose errors are held against bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.checks.fidelity.options import WINDOW_S
from testbed.link.delay_stage import StageReport
from testbed.link.log import LinkRow
from testbed.link.probe import RTT_TOLERANCE_MS
from testbed.link.settings import LinkSettings
from testbed.link.step_bytes import carried_bytes, waited_throughout
from testbed.link.tbf import FRAME_BYTES
from testbed.machine.readings import MachineChange
from traces.trace import Trace

ABOUT = 0.95

MANY_LANES = 16
"""Beyond it the processors are shared by more than two small cores serve at once, and …"""
SHORT_WINDOW_S = 0.5
"""… in windows shorter than this a frame or two are a percent: their bounds are wider."""


def bounds(lanes: int, window_s: float) -> tuple[float, float]:
    """(median, p95) that the error of a window's bytes may have, as a share; an error of at most one frame
    is always within bounds. Nothing a player or its policy sees is as fine as this."""
    if window_s < SHORT_WINDOW_S:
        return 0.02, 0.06
    return (0.003, 0.01) if lanes <= MANY_LANES else (0.003, 0.02)


DELAY_P95_BOUND_MS = 1.0
"""A varying delay may be this far off in 95 of 100 packets."""
RTT_BOUND_MS = RTT_TOLERANCE_MS

SKIPPED_S = 1.0
"""Windows that end by then are left out: the flow only fills the queue."""

FULL_SHARE = 0.8
"""A lane whose queue was empty at some look in more than a fifth of the windows proves nothing."""


@dataclass(frozen=True)
class Window:
    """About a second of one lane's replay."""

    start_s: float
    duration_s: float
    expected_bytes: float
    sent_bytes: int
    saturated: bool
    """Frames were waiting at every look."""

    @property
    def error_bytes(self) -> float:
        return abs(self.sent_bytes - self.expected_bytes)

    @property
    def error(self) -> float:
        """As a share of what was expected (of one frame in the dark)."""
        return self.error_bytes / max(self.expected_bytes, FRAME_BYTES)


@dataclass(frozen=True)
class LaneFidelity:
    """One lane's replay of one trace."""

    trace: str
    mean_mbps: float
    lowest_mbps: float
    highest_mbps: float
    windows: tuple[Window, ...]
    late_ms: tuple[float, ...]
    rtt_ms: float
    """Idle, at 10 Mbit/s."""
    stage: StageReport
    delay_errors_ms: tuple[float, ...] = ()
    """Of a trace whose delay varies: how far off each packet's was."""

    @property
    def judged(self) -> list[Window]:
        return [window for window in self.windows if window.saturated]

    @property
    def enough(self) -> bool:
        """Whether the flow kept the link full most of the time, so that the windows tell something."""
        return len(self.judged) >= max(FULL_SHARE * len(self.windows), 1)


def windows(rows: Sequence[LinkRow], window_s: float = WINDOW_S) -> Iterator[Window]:
    """Join the steps of a link log; what lies in the first second, in which the flow fills the queue, is
    left out.

    What passed is held against what the trace carries between the very moments at which the counters
    were read: a reading that comes late is no fault of the link, a rate that comes late is.
    """
    begin, expected, sent, saturated = rows[0].start_s if rows else 0.0, 0.0, 0, True
    first = True
    for index, row in enumerate(rows):
        carried = carried_bytes(rows, index)
        expected += carried
        sent += row.sent_bytes
        saturated = saturated and waited_throughout(row, carried)
        end = row.start_s + row.duration_s
        if end - begin >= ABOUT * window_s:
            if not first and end > SKIPPED_S:
                yield Window(begin, end - begin, expected, sent, saturated)
            begin, expected, sent, saturated, first = end, 0.0, 0, True, False


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value below which `share` of the values lie (nearest rank); None for none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


@dataclass(frozen=True)
class Fidelity:
    """What was found with one number of lanes."""

    lanes: int
    results: tuple[LaneFidelity, ...]
    machine: tuple[MachineChange, ...] = ()
    """What it did meanwhile, for each replay of the lanes."""
    window_s: float = WINDOW_S
    filler_late: int = 0
    """How often the process that fills the links was away for longer than a queue bridges: where links were
    not full, it is the limit."""

    @property
    def judged(self) -> list[Window]:
        return [window for lane in self.results for window in lane.judged]

    @property
    def unsaturated(self) -> int:
        return sum(len(lane.windows) for lane in self.results) - len(self.judged)

    def beyond_a_frame(self) -> list[float]:
        """Errors, 0 where they are within one frame."""
        return [0.0 if window.error_bytes <= FRAME_BYTES else window.error for window in self.judged]

    def row(self, settings: LinkSettings) -> dict[str, Any]:
        """Figures and whether they are within bounds."""
        median_bound, p95_bound = bounds(self.lanes, self.window_s)
        errors = [window.error for window in self.judged]
        beyond = self.beyond_a_frame()
        late = [ms for lane in self.results for ms in lane.late_ms]
        rtt = max((abs(lane.rtt_ms - settings.idle_rtt_ms) for lane in self.results), default=None)
        figures = {
            "lanes": self.lanes,
            "window_s": self.window_s,
            "traces": len({lane.trace for lane in self.results}),
            "windows": len(errors),
            "unsaturated_windows": self.unsaturated,
            "filler_late": self.filler_late,
            "error_median": quantile(errors, 0.5),
            "error_p95": quantile(errors, 0.95),
            "error_max": max(errors, default=None),
            "beyond_a_frame_median": quantile(beyond, 0.5),
            "beyond_a_frame_p95": quantile(beyond, 0.95),
            "bound_median": median_bound,
            "bound_p95": p95_bound,
            "late_p99_ms": quantile(late, 0.99),
            "late_max_ms": max(late, default=None),
            "rtt_off_max_ms": rtt,
            **self._delays(),
            "mbps": sum(lane.mean_mbps for lane in self.results) * self.lanes / len(self.results),
            **self._machine(),
        }
        return {**figures, "within_bounds": self._within(figures, settings)}

    def _within(self, figures: dict[str, Any], settings: LinkSettings) -> bool:
        """Whether all links were full, all delay stages true, and all figures within their bounds."""
        bounded = (
            (figures["beyond_a_frame_median"], figures["bound_median"]),
            (figures["beyond_a_frame_p95"], figures["bound_p95"]),
            (figures["rtt_off_max_ms"], RTT_BOUND_MS + settings.varies_ms),
        )
        delay_p95_ms = figures["delay_off_p95_ms"]
        return (
            all(lane.enough and not lane.stage.faults() for lane in self.results)
            and all(figure is not None and figure <= bound for figure, bound in bounded)
            and (delay_p95_ms is None or delay_p95_ms <= DELAY_P95_BOUND_MS + settings.jitter_ms)
        )

    def _delays(self) -> dict[str, Any]:
        """How far off varying delays were."""
        delays = [ms for lane in self.results for ms in lane.delay_errors_ms]
        return {
            "delay_packets": len(delays),
            "delay_off_median_ms": quantile(delays, 0.5),
            "delay_off_p95_ms": quantile(delays, 0.95),
            "delay_off_max_ms": max(delays, default=None),
        }

    def _machine(self) -> dict[str, Any]:
        """What the machine did meanwhile, at worst."""
        told = {
            "steal": [one.steal for one in self.machine],
            "pressure": [one.pressure for one in self.machine],
            "wait_max_ms_per_s": [one.worst_wait_ms_per_s for one in self.machine],
        }
        return {
            name: max((value for value in values if value is not None), default=None)
            for name, values in told.items()
        }


def lane_fidelity(
    trace: Trace, rows: Sequence[LinkRow], rtt_ms: float, stage: StageReport, window_s: float
) -> LaneFidelity:
    """What a lane's link log comes to."""
    rates = [row.rate_mbps for row in rows]
    lasted_s = sum(row.duration_s for row in rows)
    megabits = sum(row.rate_mbps * row.duration_s for row in rows)
    return LaneFidelity(
        trace.name,
        megabits / lasted_s if lasted_s else 0.0,
        min(rates, default=0.0),
        max(rates, default=0.0),
        tuple(windows(rows, window_s)),
        tuple(row.late_ms for row in rows),
        rtt_ms,
        stage,
    )
