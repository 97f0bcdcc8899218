"""The record of a video's viewers, predicted: a line a viewer, errors window by window."""

from __future__ import annotations

from dataclasses import dataclass

from player.tasks.record import RecordKind


@dataclass(frozen=True)
class ViewerRow:
    """A viewer; lists have a number a window. Degrees, but for `inside`, a share
    (`player/viewport/errors.py`)."""

    viewer: str
    windows: int
    mae: list[float]
    axis0: list[float]
    axis1: list[float]
    yaw: list[float]
    great_circle: list[float]
    at_1s: list[float]
    at_2s: list[float]
    at_4s: list[float]
    inside: list[float]


VIEWPORT_RECORD = RecordKind("viewport", "viewer", ViewerRow)
