"""The picture of `fidelity.py`: how far off the bytes were, and one lane over time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.process.errors import TestbedError
from traces.files import aside

if TYPE_CHECKING:
    from testbed.checks.fidelity.figures import Fidelity

_LOWEST_PERCENT = 1e-3
"""Errors below it are drawn here (the axis is logarithmic)."""


ENDINGS = (".png", ".pdf", ".svg")


def check_plot(path: Path) -> None:
    """Refuse a place for the picture before anything is measured.

    Raises:
        TestbedError: an ending that is no picture's, or a folder that cannot be written.
    """
    if path.suffix not in ENDINGS:
        raise TestbedError(f"--plot {path}: expected a name that ends in {', '.join(ENDINGS)}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise TestbedError(f"--plot {path}: {path.parent} is no folder that can be written")


def draw(found: Sequence[Fidelity], path: Path) -> None:
    """Write the picture, a kind of `ENDINGS`.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (share, course) = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=(2, 3), layout="constrained")
    _draw_errors(share, found)
    _draw_course(course, found[0].results[0])
    with aside(path, keep_suffix=True) as partial:
        figure.savefig(partial, dpi=150)
    plt.close(figure)


def _draw_errors(axes: Any, found: Sequence[Fidelity]) -> None:
    """Share of windows within each error, by number of lanes."""
    for fidelity in found:
        errors = sorted(max(100 * window.error, _LOWEST_PERCENT) for window in fidelity.judged)
        heights = [(rank + 1) / len(errors) for rank in range(len(errors))]
        label = f"{fidelity.lanes} lane{'s' if fidelity.lanes > 1 else ''}"
        axes.step(errors, heights, where="post", label=label)
    axes.set_xscale("log")
    axes.set_xlabel(f"error of the bytes of a {found[0].window_s:g}-s window (%)")
    axes.set_ylabel("share of windows")
    axes.axhline(0.95, color="0.6", linewidth=0.8, zorder=0, linestyle=":", label="95 %")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize="small")


def _draw_course(axes: Any, lane: Any) -> None:
    """One lane's bytes over its trace."""
    edges = [window.start_s for window in lane.windows]
    edges += [window.start_s + window.duration_s for window in lane.windows[-1:]]
    scale = [8 / 1e6 / window.duration_s for window in lane.windows]
    carried = [window.expected_bytes * factor for window, factor in zip(lane.windows, scale, strict=True)]
    passed = [window.sent_bytes * factor for window, factor in zip(lane.windows, scale, strict=True)]
    if lane.windows:
        axes.stairs(carried, edges, baseline=None, color="0.6", linewidth=4, label="trace")
        look = {"color": "#0072B2", "linewidth": 1.2, "label": "passed (kernel's count)"}
        axes.stairs(passed, edges, baseline=None, **look)
    axes.set_xlabel("time (s)")
    axes.set_ylabel("Mbit/s")
    axes.set_ylim(bottom=0)
    axes.set_title(lane.trace, fontsize="medium", loc="left")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")
