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
        for kind, colour in COLOURS.items():
            rows = sorted(
                (each for each in report["arms"] if each["kind"] == kind), key=lambda each: each[key]
            )
            if rows:
                xs, ys = [scale * each[key] for each in rows], [each["qoe"] for each in rows]
                alone = kind in ("llm", "light")
                axes.plot(
                    xs, ys, color=colour, marker="s" if alone else "o", markersize=4,
                    linestyle="none" if alone else "-", linewidth=1,
                    label={"llm": "model alone", "light": f"{report['light']} alone"}.get(kind, kind),
                )  # fmt: skip
        for name in report["picked"].values():
            for each in report["arms"]:
                if each["name"] == name:
                    axes.plot(
                        [scale * each[key]],
                        [each["qoe"]],
                        "o",
                        markersize=9,
                        color=COLOURS[each["kind"]],
                        fillstyle="none",
                    )
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    left.set_ylabel("QoE a chunk (linear, mu 4.3)")
    left.legend(fontsize="small")
    figure.suptitle(f"{report['sessions']} validation sessions; circles: picked", fontsize="medium")
    with aside(path, keep_suffix=True) as partial:
        figure.savefig(partial, dpi=150)
