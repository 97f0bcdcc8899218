"""A call's lines as the page draws them: its decisions, thinned, and its seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.watch.figures import FAR, NoFigure, figure, figure_or_none, word

STALL_S = 0.2
"""As in `player/call/media/freezes.py`."""
EVERY_S = 0.2
"""Decisions come at 20 a second: of those which one decider makes within this time, the first is drawn."""


class CallRows:
    """Makes rows of lines; it remembers the last that it made."""

    def __init__(self) -> None:
        self._at_s, self._by = -EVERY_S, ""
        self._shown_s = 0.0
        """When the last picture was seen."""

    def __call__(self, line: Mapping[str, Any]) -> tuple[list[Any] | None, float]:
        """A row, None where none is due, and the call's time that the line tells of.

        A decision is ["d", at_s, Mbit/s, by, reason]; a second is ["s", its end, Mbit/s that came, mean and
        greatest one-way delay in ms, packets missed, stalls as [begin, end]].

        Raises:
            NoFigure: a line of another kind, or one that lacks a number.
        """
        if line.get("line") == "decision":
            return self._decision(line)
        if line.get("line") == "second":
            return self._second(line)
        raise NoFigure("line")

    def _decision(self, line: Mapping[str, Any]) -> tuple[list[Any] | None, float]:
        at_s, mbps, by = figure(line, "at_s"), figure(line, "kbps") / 1000.0, word(line.get("by"))
        if by == self._by and at_s < self._at_s + EVERY_S:
            return None, at_s
        self._at_s, self._by = at_s, by
        return ["d", at_s, round(mbps, 3), by, word(line.get("reason"))], at_s

    def _second(self, line: Mapping[str, Any]) -> tuple[list[Any], float]:
        end_s = figure(line, "second") + 1.0
        mbps = round(8.0 * figure(line, "bytes") / 1e6, 3)
        delays = [figure_or_none(line, name) for name in ("delay_mean_ms", "delay_most_ms")]
        return ["s", end_s, mbps, *delays, figure(line, "missed"), self._stalls(line)], end_s

    def _stalls(self, line: Mapping[str, Any]) -> list[list[float]]:
        """The times without a new picture that the pictures of a line have ended."""
        told = line.get("shown_s")
        stalls: list[list[float]] = []
        for at_s in told if isinstance(told, list) else []:
            if type(at_s) not in (int, float) or not self._shown_s < at_s < FAR:
                continue
            if self._shown_s and at_s - self._shown_s > STALL_S:
                stalls.append([round(self._shown_s, 3), round(at_s, 3)])
            self._shown_s = at_s
        return stalls
