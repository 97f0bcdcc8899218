"""The picture of `link_models.py compare`: how far off download times are, and what that does to QoE."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from testbed.files import settle
from testbed.link_replay import MODELS, Replayed

_LEAST_PERCENT = 0.01
"""Smaller errors are drawn here (the axis is logarithmic)."""


def draw(sessions: Sequence[Replayed], path: Path) -> None:
    """Write the picture.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from analysis.style import BLUE, RC, TEXT_IN, VERMILLION

    colours = dict(zip(MODELS, (VERMILLION, BLUE), strict=True))
    with mpl.rc_context(RC):
        figure, (share, score) = plt.subplots(1, 2, figsize=(TEXT_IN, 2.7), layout="constrained")
        for model in MODELS:
            for clock, line in (("at_recorded_times", "-"), ("by_own_clock", (0, (3, 1.5)))):
                errors = np.concatenate([getattr(one, clock)[model] for one in sessions])
                percent = np.sort(np.maximum(100 * np.abs(errors), _LEAST_PERCENT))
                label = f"{model}, {'recorded' if clock == 'at_recorded_times' else 'own'} clock"
                heights = np.arange(1, len(percent) + 1) / len(percent)
                share.step(
                    percent, heights, where="post", color=colours[model], linestyle=line, label=label
                )
        share.set_xscale("log")
        share.set_xlim(_LEAST_PERCENT, 200)
        share.set_ylim(0, 1)
        share.set_xlabel("error of a chunk's download time (%)")
        share.set_ylabel("share of chunks")
        share.axhline(0.95, color="0.6", linewidth=0.6, linestyle=":")
        share.axhline(0.5, color="0.6", linewidth=0.6, linestyle=":")
        share.legend(loc="upper left", fontsize=6.5)
        emulated = [one.session.emulated_qoe for one in sessions]
        for model, mark in zip(MODELS, "o+", strict=True):
            simulated = [one.qoe[model] for one in sessions]
            score.scatter(
                emulated,
                simulated,
                s=14,
                marker=mark,
                linewidth=0.7,
                label=model,
                zorder=3,
                **({"color": colours[model]} if mark == "+" else {"facecolor": "none", "edgecolor": colours[model]}),
            )
        ends = score.get_xlim()
        score.plot(ends, ends, color="0.6", linewidth=0.6, zorder=1)
        score.set_xlabel("QoE emulated")
        score.set_ylabel("QoE simulated")
        score.legend(loc="upper left")
        partial = path.with_name(f"{path.stem}.partial{path.suffix}")
        figure.savefig(partial, dpi=200)
        plt.close(figure)
    settle(partial, path)
