"""The picture of `load`: delay, who decides and QoE against the number of sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from traces.files import aside

COLOURS = {"llm": "#000000", "apc": "#D55E00", "light": "#009E73"}
"""Okabe and Ito's."""
STYLES = ("-", "--", ":")


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Write it.

    Raises:
        OSError: it can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    delay, who, quality = figure.subplots(1, 3)
    rows = report["rows"]
    layer_counts = list(dict.fromkeys(row["layers"] for row in rows))
    for style, layers in zip(STYLES, layer_counts, strict=False):
        for way, colour in COLOURS.items():
            chosen = [row for row in rows if row["way"] == way and row["layers"] == layers]
            if chosen:
                look = {"color": colour, "linestyle": style, "marker": "o", "markersize": 3, "linewidth": 1}
                _draw_way((delay, who, quality), chosen, f"{way}, {layers} layers", look)
    delay.set_yscale("log")
    delay.axhline(report["budget_ms"], color="0.6", linewidth=0.8)
    for axes, label in (
        (delay, "decision delay (ms): mean, p50 to p99"),
        (who, "decided by the model (%)"),
        (quality, f"QoE a chunk\n({report['weights']})"),
    ):
        axes.set_xscale("log", base=2)
        axes.set_xlabel("sessions")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    delay.legend(fontsize="x-small")
    with aside(path, keep_suffix=True) as partial:
        figure.savefig(partial, dpi=150)


def _draw_way(
    axes: tuple[Any, Any, Any], rows: Sequence[Mapping[str, Any]], label: str, look: Mapping[str, Any]
) -> None:
    """Delay, who decided and QoE of one way to decide, over its numbers of sessions."""
    delay, who, quality = axes
    sessions = [row["sessions"] for row in rows]
    delay.plot(sessions, [row["mean_ms"] for row in rows], label=label, **look)
    low, high = [row["p50_ms"] for row in rows], [row["p99_ms"] for row in rows]
    delay.fill_between(sessions, low, high, color=look["color"], alpha=0.08)
    who.plot(sessions, [100 * row["llm_share"] for row in rows], **look)
    scored = [(row["sessions"], row["qoe"]) for row in rows if row["qoe"] is not None]
    if scored:
        quality.plot(*zip(*scored, strict=True), **look)
