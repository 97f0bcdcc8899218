"""The picture of `link_models.py compare`: how far off download times are, and what that does to QoE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from testbed.simulated.record_replay import MODELS, Replayed
from traces.files import aside

_LEAST_PERCENT = 0.01
_LEAST_QOE = 0.001
"""Smaller errors are drawn here (the axes are logarithmic)."""


def draw(sessions: Sequence[Replayed], path: Path) -> None:
    """Write the picture.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter, NullFormatter

    from analysis.style import BLUE, RC, TEXT_IN, VERMILLION

    colours = dict(zip(MODELS, (VERMILLION, BLUE), strict=True))
    with mpl.rc_context(RC):
        figure, (share, score) = plt.subplots(1, 2, figsize=(TEXT_IN, 2.7), layout="constrained")
        _draw_times(share, sessions, colours)
        share.set_xlabel("error of a chunk's download time (%)")
        share.set_ylabel("share of chunks")
        share.set_xlim(_LEAST_PERCENT, 300)
        _draw_scores(score, sessions, colours)
        score.set_xlabel("|simulated QoE - emulated QoE| of a session")
        score.set_ylabel("share of sessions")
        for axes in (share, score):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_ylim(0, 1)
            for level in (0.5, 0.95):
                axes.axhline(level, color="0.6", linewidth=0.6, linestyle=":", zorder=0)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        with aside(path, keep_suffix=True) as partial:
            figure.savefig(partial, dpi=200)
        plt.close(figure)


def _draw_times(share: Any, sessions: Sequence[Replayed], colours: Mapping[str, str]) -> None:
    """Share of chunks within each error of their download time, by model and clock."""
    for model in MODELS:
        for clock, line in (("at_recorded_times", "-"), ("by_own_clock", (0, (3, 1.5)))):
            errors = np.concatenate([getattr(one, clock)[model] for one in sessions])
            percent = np.sort(np.maximum(100 * np.abs(errors), _LEAST_PERCENT))
            label = f"{model}, {'recorded' if clock == 'at_recorded_times' else 'own'} clock"
            heights = np.arange(1, len(percent) + 1) / len(percent)
            share.step(percent, heights, where="post", color=colours[model], linestyle=line, label=label)


def _draw_scores(score: Any, sessions: Sequence[Replayed], colours: Mapping[str, str]) -> None:
    """Share of sessions within each error of their QoE, by model."""
    for model in MODELS:
        off = np.sort([abs(one.qoe[model] - one.session.emulated_qoe) for one in sessions])
        heights = np.arange(1, len(off) + 1) / len(off)
        score.step(np.maximum(off, _LEAST_QOE), heights, where="post", color=colours[model], label=model)
