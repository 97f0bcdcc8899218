"""The picture of `clients.py`: QoE of both clients, download times of the same bytes, levels apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from testbed.checks.clients.figures import ALL, MEASURES, ClientRow
from testbed.checks.clients.pairs import ClientPair
from traces.files import aside

TIMES_PERCENT = (-50, -10, -1, 1, 10, 50)
"""Marks of the axis, which is logarithmic beyond 1 % to either side."""
MOST_APART = 3
"""Levels; more are counted with these."""


def draw(pairs: Sequence[ClientPair], rows: Sequence[ClientRow], client: str, path: Path) -> None:
    """Write the picture.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from analysis.style import RC, TEXT_IN, policy_colour

    of_policies = [row for row in rows if row.policy != ALL]
    colours = {row.policy: policy_colour(row.policy) for row in of_policies}
    with mpl.rc_context(RC):
        figure, (scores, times, levels) = plt.subplots(1, 3, figsize=(TEXT_IN, 2.5), layout="constrained")
        _draw_scores(scores, pairs, colours, client)
        _draw_times(times, of_policies, colours, client)
        _draw_levels(levels, of_policies, colours, client)
        with aside(path, keep_suffix=True) as partial:
            figure.savefig(partial, dpi=200)
        plt.close(figure)


def _draw_scores(axes: Any, pairs: Sequence[ClientPair], colours: dict[str, str], client: str) -> None:
    """A dot a pair."""
    qoe = MEASURES["qoe"]
    for policy, colour in colours.items():
        mine = [pair for pair in pairs if pair.policy == policy]
        axes.plot(
            [qoe(pair.ours) for pair in mine],
            [qoe(pair.theirs) for pair in mine],
            linestyle="none", marker="o", markersize=3.5, color=colour, label=policy,
        )  # fmt: skip
    ends = [*axes.get_xlim(), *axes.get_ylim()]
    span = (min(ends), max(ends))
    axes.plot(span, span, color="0.6", linewidth=0.6, linestyle=":", zorder=0)
    axes.set_xlim(span)
    axes.set_ylim(span)
    axes.set_xlabel("QoE of a session, our player")
    axes.set_ylabel(f"QoE of the session, {client}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)


def _draw_times(axes: Any, rows: Sequence[ClientRow], colours: dict[str, str], client: str) -> None:
    """Share of chunks within each difference."""
    for row in rows:
        if row.slower:
            percent = 100 * np.sort([min(row.slower), *row.slower])  # it begins at 0
            heights = np.arange(len(percent)) / len(row.slower)
            axes.step(percent, heights, where="post", color=colours[row.policy])
    axes.axvline(0, color="0.6", linewidth=0.6, linestyle=":", zorder=0)
    axes.set_xscale("symlog", linthresh=1.0, linscale=0.3)
    axes.set_xticks(TIMES_PERCENT, [f"{percent:g}" for percent in TIMES_PERCENT], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, 1)
    axes.set_xlabel(f"download time against ours (%)\nin {client}, same bytes and moment")
    axes.set_ylabel("share of chunks")


def _draw_levels(axes: Any, rows: Sequence[ClientRow], colours: dict[str, str], client: str) -> None:
    """Share of chunks by how far the levels are apart."""
    width = 0.8 / max(len(rows), 1)
    places = np.arange(-MOST_APART, MOST_APART + 1)
    for number, row in enumerate(rows):
        shares = np.zeros(len(places))
        for apart, count in row.apart.items():
            shares[int(np.clip(apart, -MOST_APART, MOST_APART)) + MOST_APART] += count / row.chunks
        offset = (number - (len(rows) - 1) / 2) * width
        axes.bar(places + offset, 100 * shares, width, color=colours[row.policy])
    axes.set_xticks(places, [str(place) for place in places])
    axes.set_xlabel(f"levels above ours\nin {client}")
    axes.set_ylabel("share of chunks (%)")
