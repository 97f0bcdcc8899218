"""Sizes and names of the net's parts."""

from __future__ import annotations

from player.jobs.features import NODE_FEATURES

WIDTH = 16
GRAPH_HIDDEN, CHOICE_HIDDEN = (32, 16), (64, 64)
JOB_FEATURES = 3
LAYERS = 3
SLOPE = 0.2
"""Of the leaky layers, below 0."""
PARTS: dict[str, tuple[int, ...]] = {
    "prepare": (NODE_FEATURES, *GRAPH_HIDDEN, WIDTH),
    "message": (WIDTH, *GRAPH_HIDDEN, WIDTH),
    "update": (WIDTH, *GRAPH_HIDDEN, WIDTH),
    "job": (NODE_FEATURES + WIDTH, *GRAPH_HIDDEN, WIDTH),
    "all": (WIDTH, *GRAPH_HIDDEN, WIDTH),
    "stage": (NODE_FEATURES + 3 * WIDTH, *CHOICE_HIDDEN, 1),
    "count": (JOB_FEATURES + 2 * WIDTH + 1, *CHOICE_HIDDEN, 1),
}
CHOICES = ("stage", "count")
"""Parts with tanh in place of leaky layers."""
