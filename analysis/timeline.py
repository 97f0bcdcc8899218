"""The picture of sessions over time: buffer, chosen bitrate, and throughput against the link's rate."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis import curves
from analysis.explained.strip import TITLE, Strip, draw_strip, strip_legend, strip_of
from analysis.sessions import AnalysisError, SessionRecord
from analysis.style import (
    BLACK,
    BLUE,
    COLUMN_IN,
    FAINT_COLOUR,
    LINK_COLOUR,
    STALL_COLOUR,
    TEXT_IN,
    VERMILLION,
    paler,
    policy_colour,
    short_name,
)
from player.record import FINISHED, ChunkRow

MOST_SESSIONS = 12
"""More small pictures than this are no figure."""
MOST_COLUMNS = 4

BAND_IN = 3.1
"""Height of three panels."""
LINE_IN = 0.13
"""Height of a line of their title."""
HEAD_IN = 0.5
"""Height of what stands above and below all."""
CHARACTERS_PER_IN = 19
"""That a line of the figure's text holds."""
MARGIN_IN = 0.25
"""Of a column's width that its panels don't have."""
HEADROOM = 1.08
"""Of an axis over the highest value on it."""

PANELS = ("buffer (s)", "chosen bitrate\n(Mbit/s)", "throughput\n(Mbit/s)")

STRIP_ROW = 2
"""Where the strip of an explained session stands among them: below the chosen bitrate."""
WHY_COLOURS = (BLUE, VERMILLION)
"""Of what spoke for a level, and against it."""

FALLBACK = "fallback"
"""As a row's `by` says it."""
FALLBACK_MARK: dict[str, Any] = {
    "marker": "v",
    "markersize": 4.5,
    "markerfacecolor": "white",
    "markeredgecolor": BLACK,
    "markeredgewidth": 0.8,
    "linestyle": "none",
}
CUT_SHORT_LINE: dict[str, Any] = {"color": BLACK, "linewidth": 0.8, "linestyle": (0, (1, 1))}
LADDER_LINE: dict[str, Any] = {"color": FAINT_COLOUR, "linewidth": 0.4}
THROUGHPUT_LINE: dict[str, Any] = {"linewidth": 1.4, "solid_capstyle": "projecting"}
"""So that also a chunk that came at once leaves a dot."""
BESIDE_LINE: dict[str, Any] = {"linewidth": 0.7}
CAP_LINE: dict[str, Any] = {"color": FAINT_COLOUR, "linewidth": 0.8, "linestyle": (0, (1, 2))}


def draw_timeline(
    sessions: Sequence[SessionRecord],
    *,
    heads: Sequence[str] = (),
    beside: Sequence[SessionRecord | None] = (),
    own_axes: bool = False,
) -> Figure:
    """Draw sessions side by side on the same axes, at most four in a row.

    To be called within `matplotlib.rc_context(style.RC)`.

    Args:
        sessions: whom to draw.
        heads: what each is called, above all else; none if empty.
        beside: for each a session over the same link whose buffer and bitrate are drawn thinly with it.
        own_axes: each has axes of its own, as sessions over networks of different kinds need.

    Raises:
        AnalysisError: more sessions than one figure can show.
        RecordError: a manifest without the facts that are drawn.
    """
    _check_number(sessions)
    columns = min(len(sessions), MOST_COLUMNS)
    bands = -(-len(sessions) // columns)
    width_in = COLUMN_IN if columns == 1 else TEXT_IN
    common, own = shared_facts([_facts(session) for session in sessions])
    characters = round((width_in / columns - MARGIN_IN) * CHARACTERS_PER_IN)
    titles = _titles(sessions, own, heads, characters)
    title_in = LINE_IN * max(title.count("\n") + 1 for title in titles)
    strips = [strip_of(session.path, session.chunks) for session in sessions]
    strip_in = max((strip.height_in for strip in strips if strip), default=0.0)
    figure = Figure(
        figsize=(width_in, bands * (BAND_IN + strip_in + title_in) + HEAD_IN), layout="constrained"
    )
    others = list(beside) or [None] * len(sessions)
    limits = _all_limits(sessions, others, own_axes)
    for place, (panels, strip_panel) in enumerate(_grid(figure, bands, columns, strip_in)):
        column = place % columns
        if place >= len(sessions):
            _hide(panels, strip_panel)
            continue
        _draw_session(panels, sessions[place])
        _draw_why(strip_panel, strips[place], sessions[place], limits[place][0], leftmost=column == 0)
        other = others[place]
        if other is not None:
            _draw_beside(panels, other)
        panels[0].set_title(titles[place], loc="left", fontsize=7.5)
        _set_limits(panels, *limits[place])
        _label(panels, leftmost=column == 0, numbers=column == 0 or own_axes)
    head = _wrapped("; ".join(common), round((width_in - MARGIN_IN) * CHARACTERS_PER_IN))
    figure.suptitle(head, x=0.01, ha="left", fontsize=7.5)
    handles = [*_handles(sessions, others), *(strip_legend(WHY_COLOURS) if strip_in else [])]
    figure.legend(handles=handles, loc="outside lower center", ncols=2 if columns == 1 else 6)
    return figure


def _grid(figure: Figure, bands: int, columns: int, strip_in: float) -> list[tuple[list[Axes], Axes | None]]:
    """Each session's panels, and below the chosen bitrate, where somebody has one, the panel of its strip."""
    heights = [BAND_IN / len(PANELS)] * len(PANELS)
    if strip_in:
        heights.insert(STRIP_ROW, strip_in)
    axes = figure.subplots(bands * len(heights), columns, squeeze=False, height_ratios=heights * bands)
    found: list[tuple[list[Axes], Axes | None]] = []
    for place in range(bands * columns):
        band, column = divmod(place, columns)
        mine = [axes[band * len(heights) + row, column] for row in range(len(heights))]
        strip = mine.pop(STRIP_ROW) if strip_in else None
        found.append((mine, strip))
    return found


def _hide(panels: Sequence[Axes], strip_panel: Axes | None) -> None:
    for panel in (*panels, *([strip_panel] if strip_panel else [])):
        panel.set_axis_off()


def _draw_why(
    panel: Axes | None, strip: Strip | None, session: SessionRecord, last_s: float, *, leftmost: bool
) -> None:
    """A session's strip; an empty place where another of the figure has one."""
    if panel is None:
        return
    if strip is None:
        panel.set_axis_off()
        return
    draw_strip(panel, strip, session.chunks, session.end.elapsed_s, WHY_COLOURS)
    panel.set_xlim(0, last_s)
    panel.xaxis.set_major_locator(MaxNLocator(4))
    panel.tick_params(labelbottom=False)
    if leftmost:
        panel.set_ylabel(TITLE)


def _check_number(sessions: Sequence[SessionRecord]) -> None:
    """Raises AnalysisError for more than one figure can show."""
    if len(sessions) > MOST_SESSIONS:
        raise AnalysisError(
            f"{len(sessions)} sessions; a timeline shows {MOST_SESSIONS} at most."
            " Name some of the records, or choose with --policy"
        )


def _titles(
    sessions: Sequence[SessionRecord],
    own: Sequence[Sequence[str]],
    heads: Sequence[str],
    characters: int,
) -> list[str]:
    """What stands above each session: what it is called, its headline, and the facts that are its own."""
    called = [[head] for head in heads] or [[]] * len(sessions)
    return [
        _wrapped("\n".join([*head, *_headline(session), *facts]), characters)
        for session, facts, head in zip(sessions, own, called, strict=True)
    ]


def _all_limits(
    sessions: Sequence[SessionRecord], others: Sequence[SessionRecord | None], own_axes: bool
) -> list[tuple[float, Sequence[float]]]:
    """Of each session's axes: its last moment, and the top of each panel."""
    drawn = [[one, *([other] if other else [])] for one, other in zip(sessions, others, strict=True)]
    if own_axes:
        return [_limits(together) for together in drawn]
    return [_limits([one for together in drawn for one in together])] * len(sessions)


def _set_limits(panels: Sequence[Any], last_s: float, highest: Sequence[float]) -> None:
    for panel, top in zip(panels, highest, strict=True):
        panel.set_xlim(0, last_s)
        panel.set_ylim(0, top)


def _handles(sessions: Sequence[SessionRecord], others: Sequence[SessionRecord | None]) -> list[Any]:
    """The legend's marks, that of a session drawn beside among them."""
    handles = _legend(sessions)
    if another := next((other for other in others if other is not None), None):
        name = short_name(another.policy)
        handles.append(Line2D([], [], **BESIDE_LINE, color=_beside_colour(another), label=name))
    return handles


def shared_facts(facts: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Facts that hold for every session, and for each session those that are left."""
    common = [fact for fact in facts[0] if all(fact in others for others in facts)]
    return common, [[fact for fact in mine if fact not in common] for mine in facts]


def _facts(session: SessionRecord) -> list[str]:
    """What was streamed over what, and how QoE is reckoned."""
    facts = []
    if session.trace is not None:
        facts.append(f"trace {session.trace.name} from {session.trace.start_s:g} s")
    video, link = session.told.video, session.told.link
    facts.append(f"video {(video.name if video else None) or '?'}")
    if link is not None and link.rtt_ms is not None:
        control = link.congestion_control
        facts.append(f"RTT {link.rtt_ms:g} ms" + (f", {control}" if control else ""))
    if session.told.simulated:
        facts.append("simulated")
    facts.append(f"QoE {session.weights.in_words(session.record.ladder_kbps)}")
    return facts


def _headline(session: SessionRecord) -> list[str]:
    """Who it was and how it went."""
    one = session.summary
    figures = [] if one.qoe is None else [f"QoE {one.qoe:.2f}"]
    lines = [short_name(session.policy), ", ".join([*figures, f"stall {one.stall_s:.1f} s"])]
    if session.end.outcome != FINISHED:
        lines.append(f"cut short: {session.end.outcome}")
    if not session.end.valid:
        lines.append("LINK INVALID")
    return lines


def _wrapped(text: str, characters: int) -> str:
    """Lines of at most so many characters; what is too long may also break after a policy's colons."""
    lines = [
        textwrap.fill(re.sub(r":(?=\S)", ": ", line) if len(line) > characters else line, characters)
        for line in text.split("\n")
    ]
    return "\n".join(lines)


def _limits(sessions: Sequence[SessionRecord]) -> tuple[float, list[float]]:
    """Where the time axes end, and the value axis of each panel."""
    last_s = max(session.end.elapsed_s for session in sessions)
    buffers_s = [row.buffer_after_s for session in sessions for row in session.chunks]
    ladders_mbps = [kbps / 1000 for session in sessions for kbps in session.record.ladder_kbps]
    rates_mbps = [row.throughput_mbps for session in sessions for row in session.chunks]
    for session in sessions:
        if session.trace is not None:
            rates_mbps += curves.link_rate(session.trace, session.end.elapsed_s).value
    highest = [max(values, default=0.0) for values in (buffers_s, ladders_mbps, rates_mbps)]
    return last_s or 1.0, [HEADROOM * (value or 1.0) for value in highest]


def _cap_s(session: SessionRecord) -> float | None:
    """The buffer level above which the player waited."""
    return session.told.player.buffer_cap_s if session.told.player else None


def _buffer(session: SessionRecord) -> curves.Curve:
    """Its level over time, by the thresholds that the player had."""
    told = session.told.player
    if told is not None and (told.live or {}).get("ahead_s"):
        return curves.told_buffer(session.chunks, session.end)
    return curves.buffer_curve(
        session.chunks,
        session.end,
        startup_s=(told.startup_s if told else None) or 0.0,
        resume_s=(told.resume_s if told else None) or 0.0,
    )


def _draw_session(panels: Sequence[Axes], session: SessionRecord) -> None:
    buffer, level, rate = panels
    chunks, end = session.chunks, session.end
    look: dict[str, Any] = {"color": policy_colour(session.policy), "zorder": 3}
    for panel in panels:
        for stall in curves.stalls(chunks, end):
            panel.axvspan(stall.begin_s, stall.end_s, color=STALL_COLOUR, linewidth=0, zorder=0)
        if end.outcome != FINISHED:
            panel.axvline(end.elapsed_s, **CUT_SHORT_LINE, zorder=2)

    filled = _buffer(session)
    buffer.plot(filled.time_s, filled.value, **look)
    cap_s = _cap_s(session)
    if cap_s is not None:
        buffer.axhline(cap_s, **CAP_LINE, zorder=1)

    for kbps in session.record.ladder_kbps:
        level.axhline(kbps / 1000, **LADDER_LINE, zorder=1)
    chosen = curves.chosen_level(chunks)
    level.plot(chosen.time_s, chosen.value, **look)
    if fallen := _by_fallback(chunks):
        times_s, rates_mbps = [row.request_s for row in fallen], [row.bitrate_kbps / 1000 for row in fallen]
        level.plot(times_s, rates_mbps, **FALLBACK_MARK, zorder=4, clip_on=False)

    if session.trace is not None:
        link = curves.link_rate(session.trace, end.elapsed_s)
        rate.fill_between(link.time_s, link.value, color=LINK_COLOUR, linewidth=0, zorder=1)
    measured = curves.throughput(chunks)
    rate.plot(measured.time_s, measured.value, **THROUGHPUT_LINE, **look)


def _draw_beside(panels: Sequence[Axes], session: SessionRecord) -> None:
    """Buffer and bitrate of another session over the same link."""
    for panel, curve in zip(
        panels,
        (_buffer(session), curves.chosen_level(session.chunks)),
        strict=False,
    ):
        panel.plot(curve.time_s, curve.value, color=_beside_colour(session), **BESIDE_LINE, zorder=2.5)


def _beside_colour(session: SessionRecord) -> str:
    return paler(policy_colour(session.policy), 0.7)


def _by_fallback(chunks: Sequence[ChunkRow]) -> list[ChunkRow]:
    return [row for row in chunks if row.by == FALLBACK]


def _label(panels: Sequence[Axes], leftmost: bool, numbers: bool) -> None:
    """Units once a row and once a column, and numbers where axes are not those to the left."""
    for panel, label in zip(panels, PANELS, strict=True):
        panel.yaxis.set_major_locator(MaxNLocator(5))
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.tick_params(labelbottom=panel is panels[-1], labelleft=numbers)
        if leftmost:
            panel.set_ylabel(label)
    panels[-1].set_xlabel("time (s)")


def _legend(sessions: Sequence[SessionRecord]) -> list[Line2D | Patch]:
    """What the marks mean; only those that are in the figure."""
    handles: list[Line2D | Patch] = [Line2D([], [], **LADDER_LINE, label="ladder")]
    if any(session.trace is not None for session in sessions):
        handles.append(Patch(color=LINK_COLOUR, linewidth=0, label="link rate (trace)"))
    if any(curves.stalls(session.chunks, session.end) for session in sessions):
        handles.append(Patch(color=STALL_COLOUR, linewidth=0, label="stall"))
    if any(_by_fallback(session.chunks) for session in sessions):
        handles.append(Line2D([], [], **FALLBACK_MARK, label="decided by the fallback"))
    if any(session.end.outcome != FINISHED for session in sessions):
        handles.append(Line2D([], [], **CUT_SHORT_LINE, label="cut short"))
    tallest_s = max((row.buffer_after_s for session in sessions for row in session.chunks), default=0.0)
    caps_s = [cap_s for session in sessions if (cap_s := _cap_s(session)) is not None]
    if any(cap_s <= HEADROOM * tallest_s for cap_s in caps_s):
        handles.append(Line2D([], [], **CAP_LINE, label="buffer cap"))
    return handles
