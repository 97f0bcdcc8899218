"""Pictures of the commands here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from traces.files import aside

COLOURS = {
    "llm": "#000000", "light": "#009E73", "random": "#606060", "rule": "#D55E00", "learned": "#0072B2"
}  # fmt: skip
"""Okabe and Ito's."""


def front(report: Mapping[str, Any], path: Path) -> None:
    """QoE against the model's share, and against the mean delay of a decision.

    Args:
        report: what `sweep` says.

    Raises:
        OSError: it can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, key, scale, label in (
        (left, "llm_share", 100.0, "decided by the model (%)"),
        (right, "delay_ms", 1.0, "mean decision delay (ms)"),
    ):
        for kind in COLOURS:
            _draw_kind(axes, report, kind, key, scale)
        _circle_picked(axes, report, key, scale)
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    left.set_ylabel("QoE a chunk")
    left.legend(fontsize="small")
    said = f"{report['sessions']} validation sessions, {report['weights']}; circles: picked"
    figure.suptitle(said, fontsize="medium")
    with aside(path, keep_suffix=True) as partial:
        figure.savefig(partial, dpi=150)


def _draw_kind(axes: Any, report: Mapping[str, Any], kind: str, key: str, scale: float) -> None:
    """QoE of all arms of a kind over `key`, in its order."""
    arms = sorted((arm for arm in report["arms"] if arm["kind"] == kind), key=lambda arm: arm[key])
    if not arms:
        return
    alone = kind in ("llm", "light")
    axes.plot(
        [scale * arm[key] for arm in arms],
        [arm["qoe"] for arm in arms],
        color=COLOURS[kind],
        marker="s" if alone else "o",
        markersize=4,
        linestyle="none" if alone else "-",
        linewidth=1,
        label={"llm": "model alone", "light": f"{report['light']} alone"}.get(kind, kind),
    )


def _circle_picked(axes: Any, report: Mapping[str, Any], key: str, scale: float) -> None:
    picked = set(report["picked"].values())
    for arm in report["arms"]:
        if arm["name"] in picked:
            look = {"markersize": 9, "color": COLOURS[arm["kind"]], "fillstyle": "none"}
            axes.plot([scale * arm[key]], [arm["qoe"]], "o", **look)
