"""Calls over time, side by side: the rate that was set and what came of it, queue and frames, freezes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis import curves
from analysis.calls.outcomes import CallSession
from analysis.sessions import AnalysisError
from analysis.style import (
    BLACK,
    BLUE,
    COLUMN_IN,
    FAINT_COLOUR,
    GREY,
    LINK_COLOUR,
    PURPLE,
    STALL_COLOUR,
    TEXT_IN,
    VERMILLION,
    short_name,
)
from player.call.media.freezes import STALL_S, freezes
from player.call.packets import OVERHEAD_BYTES
from player.call.record import CallRecord
from player.call.scored.outcomes import of_record
from player.record import FINISHED

MOST_CALLS = 6
"""More small pictures than this are no figure."""
MOST_COLUMNS = 3
BAND_IN = 3.6
HEADROOM = 1.08
CHARACTERS_PER_IN = 17
MOST_LINK = 1.5
"""An axis of rates reaches no further above what was set or came: a fast link would hide both."""
DELAY_CLIP_MS = 2000.0
"""An axis of delays reaches no further: what is later is a stall, which is drawn."""

SHORTEST_FREEZE_S = 0.14
"""A freeze is 150 ms longer than the mean gap, in whole milliseconds."""
FREEZE_AT = 0.04
"""How high in their panel freezes stand."""
FREEZE_BAR: dict[str, Any] = {"color": PURPLE, "linewidth": 3.5, "solid_capstyle": "butt", "zorder": 4}

RATE_LINE: dict[str, Any] = {"color": VERMILLION, "linewidth": 0.9, "zorder": 4}
CAME_LINE: dict[str, Any] = {"color": BLUE, "linewidth": 1.2, "zorder": 3}
QUEUE_LINE: dict[str, Any] = {"color": BLACK, "linewidth": 0.7, "zorder": 3}
FRAME_MARK: dict[str, Any] = {
    "color": GREY,
    "marker": ".",
    "markersize": 1.5,
    "linestyle": "none",
    "zorder": 2,
}
INSTEAD_MARK: dict[str, Any] = {
    "marker": "v",
    "markersize": 4,
    "markerfacecolor": "white",
    "markeredgecolor": BLACK,
    "markeredgewidth": 0.7,
    "linestyle": "none",
    "zorder": 5,
}
UNSCORED_LINE: dict[str, Any] = {
    "color": FAINT_COLOUR,
    "linewidth": 0.8,
    "linestyle": (0, (1, 2)),
    "zorder": 1,
}

PANELS = ("rate (Mbit/s)", "delay (ms)", "frames/s seen")


def draw_calls(calls: Sequence[CallSession]) -> Figure:
    """Draw calls side by side on the same axes.

    What came is drawn with all headers, as the link's rate counts them; the rate set is of payload.

    To be called within `matplotlib.rc_context(style.RC)`.

    Raises:
        AnalysisError: more calls than one figure can show.
        RecordError: a manifest without the facts that are drawn.
    """
    if len(calls) > MOST_CALLS:
        raise AnalysisError(
            f"{len(calls)} calls; a timeline shows {MOST_CALLS} at most. Name some of the records, or choose"
            " with --policy"
        )
    columns = min(len(calls), MOST_COLUMNS)
    bands = -(-len(calls) // columns)
    width_in = COLUMN_IN if columns == 1 else TEXT_IN
    figure = Figure(figsize=(width_in, bands * BAND_IN + 0.4), layout="constrained")
    axes = figure.subplots(bands * len(PANELS), columns, squeeze=False)
    highest = _highest(calls)
    last_s = max(one.record.end.elapsed_s for one in calls)
    for place in range(bands * columns):
        band, column = divmod(place, columns)
        panels = [axes[band * len(PANELS) + row, column] for row in range(len(PANELS))]
        if place >= len(calls):
            for panel in panels:
                panel.set_axis_off()
            continue
        _draw_call(panels, calls[place])
        width = round((width_in / columns - 0.2) * CHARACTERS_PER_IN)
        panels[0].set_title(_title(calls[place], width), loc="left", fontsize=7)
        for panel, name, top in zip(panels, PANELS, highest, strict=True):
            _label(panel, name if column == 0 else "", last_s, top, lowest=panel is panels[-1])
    figure.legend(handles=_legend(calls), loc="outside lower center", ncols=2 if columns == 1 else 4)
    return figure


def _label(panel: Axes, name: str, last_s: float, top: float, *, lowest: bool) -> None:
    panel.set_xlim(0, last_s)
    panel.set_ylim(0, top)
    panel.yaxis.set_major_locator(MaxNLocator(4))
    panel.tick_params(labelbottom=lowest)
    panel.set_ylabel(name)
    if lowest:
        panel.set_xlabel("time (s)")


def _title(session: CallSession, characters: int) -> str:
    """Who it was, over what, and how it went."""
    outcomes, record = of_record(session.record), session.record
    lines = [short_name(session.policy)]
    if session.trace is not None:
        made = "simulated" if record.told.simulated else "emulated"
        lines.append(f"{session.trace.name} from {session.trace.start_s:g} s, {made}")
    lines.append(
        f"{outcomes.bitrate_mbps:.2f} Mbit/s, stall {100 * outcomes.stall_ratio:.1f} %,"
        f" {outcomes.freezes_per_min:.1f} freezes/min"
    )
    if record.end.outcome != FINISHED:
        lines.append(f"cut short: {record.end.outcome}")
    if not record.end.valid:
        lines.append("LINK INVALID")
    return "\n".join(textwrap.fill(line, max(characters, 10)) for line in lines)


def wire_mbps(record: CallRecord) -> list[float]:
    """(seconds,) what came in each second, all headers in it."""
    return [(row.bytes + OVERHEAD_BYTES * row.packets) * 8 / 1e6 for row in record.seconds]


def stall_spans(record: CallRecord) -> list[tuple[float, float]]:
    """Gaps of over `STALL_S` between frames that were seen, the call's beginning and end among them."""
    shown_s = [0.0, *(at_s for row in record.seconds for at_s in row.shown_s), record.end.elapsed_s]
    return [(before, after) for before, after in pairwise(shown_s) if after - before > STALL_S]


def freeze_spans(record: CallRecord) -> list[tuple[float, float]]:
    """WebRTC's freezes: gaps that are long against those before them, wherever in the call."""
    shown_s = np.array([at_s for row in record.seconds for at_s in row.shown_s])
    long = np.flatnonzero(np.diff(shown_s) > SHORTEST_FREEZE_S) + 1
    return [
        (float(shown_s[place - 1]), float(shown_s[place]))
        for place in long
        if freezes(shown_s, shown_s[place], np.nextafter(shown_s[place], np.inf))[0]
    ]


def _highest(calls: Sequence[CallSession]) -> tuple[float, float, float]:
    """Where the value axis of each panel ends."""
    rates, links, delays_ms, frames = [0.1], [0.1], [100.0], [1.0]
    for one in calls:
        rates += [row.kbps / 1000 for row in one.record.decisions] + wire_mbps(one.record)
        if one.trace is not None:
            links += curves.link_rate(one.trace, one.record.end.elapsed_s).value
        delays_ms += _delays_ms(one.record)[1].tolist() + [row.queue_ms for row in one.record.decisions]
        frames += [float(len(row.shown_s)) for row in one.record.seconds]
    most_ms = float(np.quantile(delays_ms, 0.995))
    top = max(max(rates), min(max(links), MOST_LINK * max(rates)))
    return HEADROOM * top, HEADROOM * min(max(most_ms, 100.0), DELAY_CLIP_MS), HEADROOM * max(frames)


def _delays_ms(record: CallRecord) -> tuple[Any, Any]:
    """(frames,) when each was seen, and from its capture until then in ms."""
    shown_s = np.array([at_s for row in record.seconds for at_s in row.shown_s])
    captured_s = np.array([at_s for row in record.seconds for at_s in row.captured_s])
    return shown_s, 1000.0 * (shown_s - captured_s)


def _draw_call(panels: Sequence[Axes], session: CallSession) -> None:
    rate, delay, frames = panels
    record = session.record
    for panel in panels:
        for begin_s, end_s in stall_spans(record):
            panel.axvspan(begin_s, end_s, color=STALL_COLOUR, linewidth=0, zorder=0)
        panel.axvline(record.call.scored_from_s, **UNSCORED_LINE)
    if session.trace is not None:
        link = curves.link_rate(session.trace, record.end.elapsed_s)
        rate.fill_between(link.time_s, link.value, color=LINK_COLOUR, linewidth=0, zorder=0.5)
    at_s = [0.0, *(row.at_s for row in record.decisions), record.end.elapsed_s]
    mbps = [record.call.start_kbps / 1000, *(row.kbps / 1000 for row in record.decisions)]
    rate.stairs(mbps, at_s, baseline=None, **RATE_LINE)
    seconds = [float(row.second) for row in record.seconds]
    edges = [*seconds, (seconds[-1] + 1.0) if seconds else 0.0]
    rate.stairs(wire_mbps(record), edges, baseline=None, **CAME_LINE)
    instead = [row for row in record.decisions if row.by in ("fallback", "guard")]
    rate.plot([row.at_s for row in instead], [row.kbps / 1000 for row in instead], **INSTEAD_MARK)
    heard = [row for row in record.decisions if row.heard]
    delay.plot(*_delays_ms(record), **FRAME_MARK)
    delay.plot([row.at_s for row in heard], [row.queue_ms for row in heard], **QUEUE_LINE)
    for begin_s, end_s in freeze_spans(record):
        frames.plot(
            [begin_s, end_s], [FREEZE_AT, FREEZE_AT], transform=frames.get_xaxis_transform(), **FREEZE_BAR
        )
    frames.stairs([float(len(row.shown_s)) for row in record.seconds], edges, baseline=None, **CAME_LINE)


def _legend(calls: Sequence[CallSession]) -> list[Any]:
    """What the marks mean; only those that are in the figure."""
    handles: list[Any] = []
    if any(one.trace is not None for one in calls):
        handles.append(Patch(color=LINK_COLOUR, label="link rate (trace)"))
    handles += [
        Line2D([], [], **RATE_LINE, label="rate set"),
        Line2D([], [], **CAME_LINE, label="came, with headers"),
        Line2D([], [], **QUEUE_LINE, label="queue delay seen"),
        Line2D([], [], **{**FRAME_MARK, "markersize": 5}, label="a frame's delay"),
    ]
    if any(stall_spans(one.record) for one in calls):
        handles.append(Patch(color=STALL_COLOUR, label="gap over 200 ms"))
    if any(freeze_spans(one.record) for one in calls):
        handles.append(Line2D([], [], **FREEZE_BAR, label="freeze (WebRTC's rule)"))
    if any(row.by in ("fallback", "guard") for one in calls for row in one.record.decisions):
        handles.append(Line2D([], [], **INSTEAD_MARK, label="decided by GCC in its place"))
    handles.append(Line2D([], [], **UNSCORED_LINE, label="scored from here"))
    return handles
