"""How a fast layer's figures are shown: a log measured, and what the layer makes of its seconds."""

from __future__ import annotations

from traces.families.fast_layer import FastFigures, FastLayer

_COLUMNS = (
    *("seconds", "Mbit/s", "empty bins", "in gaps", "variation", "p50", "p95", "p99"),
    *("ACF 20 ms", "40 ms", "100 ms", "200 ms", "dark run, ms", "p95"),
)
FAST_HEADER = (
    "| layer | log | | " + " | ".join(_COLUMNS) + " |\n| --- | --- | --- |" + " ---: |" * len(_COLUMNS)
)
"""Head of the table: bins of 20 ms as multiples of their second's mean, seconds without anything left out."""


def _cells(figures: FastFigures) -> list[str]:
    plain = (figures.variation, figures.p50, figures.p95, figures.p99)
    memory = (figures.acf_20ms, figures.acf_40ms, figures.acf_100ms, figures.acf_200ms)
    return [
        str(figures.seconds),
        f"{figures.mean_mbps:.2f}",
        f"{figures.dark:.1%}",
        f"{figures.in_gaps:.1%}",
        *(f"{value:.2f}" for value in plain),
        *(f"{value + 0.0:.2f}".replace("-0.00", "0.00") for value in memory),
        f"{figures.dark_run_ms:.0f}",
        f"{figures.dark_run_p95_ms:.0f}",
    ]


def fast_rows(layer: FastLayer) -> list[str]:
    """Two Markdown rows a log under `FAST_HEADER`."""
    rows = []
    for judged in layer.judged:
        which = "fitted" if judged.fitted else "held out"
        for what, figures in ((which, judged.measured), ("generated", judged.generated)):
            cells = [layer.layer, judged.log, what, *_cells(figures)]
            rows.append(f"| {' | '.join(cells)} |")
    return rows
