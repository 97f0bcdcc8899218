"""A session, or a call, as the page shows it: made line by line of the record that is being written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from analysis.watch.call_rows import CallRows
from analysis.watch.figures import NoFigure, figure, figure_or_none, whole, word
from analysis.watch.trace_steps import steps_of
from player.manifest import Manifest, ManifestError
from traces.safe_reading import BadFileError, decoded, json_object

Message = dict[str, Any]
"""What a page is told: `lane` with `head`, `rows`, `end` or `state`; `run`; `gone`. See `page.js`."""

MOST_ROWS = 4000
"""A video of four hours; of what is longer, the last part is shown."""
VIDEO, CALL, OTHER = "video", "call", "other"
SLACK = 1.3
"""A session with stalls is longer than its video; so much of the trace is sent."""
MOST_LEVELS = 64


class Lane:
    """What is known of one record; `news` are messages that no page has heard."""

    def __init__(self, key: int, name: str) -> None:
        self.key, self.name = key, word(name)
        self.head: Message | None = None
        self.rows: list[list[Any]] = []
        self.end: Message | None = None
        self.damaged = 0
        """Lines that say nothing which can be shown."""
        self.last_s: float | None = None
        """Session time of the last line."""
        self._row_of: Callable[[Mapping[str, Any]], tuple[list[Any] | None, float]] | None = None
        self._told_head, self._told_rows, self._told_end = False, 0, False

    def take(self, line: bytes) -> None:
        """The record's next line."""
        try:
            held = json_object(decoded(line, self.name), self.name)
            self._take(held)
        except (BadFileError, NoFigure, ManifestError):
            self.damaged += bool(line.strip())

    def _take(self, line: Mapping[str, Any]) -> None:
        kind = line.get("line")
        if self.head is None:
            self._begin(line)
        elif kind == "end":
            self.end = _end_of(line)
        elif self._row_of is not None:
            row, self.last_s = self._row_of(line)
            if row is not None:
                self.rows.append(row)
                self._drop_old()

    def _begin(self, line: Mapping[str, Any]) -> None:
        told = Manifest.of_line(line)
        self.head = _head_of(told, line.get("task")) | {"name": self.name}
        kind = self.head["kind"]
        self._row_of = _chunk_row if kind == VIDEO else CallRows() if kind == CALL else None

    def _drop_old(self) -> None:
        if len(self.rows) > 2 * MOST_ROWS:
            dropped = len(self.rows) - MOST_ROWS
            del self.rows[:dropped]
            self._told_rows = max(self._told_rows - dropped, 0)

    def whole(self) -> list[Message]:
        """All of it, for a page that knows nothing."""
        if self.head is None:
            return []
        messages = [{"lane": self.key, "head": self.head, "rows": self.rows[-MOST_ROWS:]}]
        return messages + ([{"lane": self.key, "end": self.end}] if self.end else [])

    def news(self) -> list[Message]:
        """What has come since the last call."""
        if self.head is None:
            return []
        message: Message = {"lane": self.key}
        if not self._told_head:
            message["head"] = self.head
        if self._told_rows < len(self.rows):
            message["rows"] = self.rows[self._told_rows :]
        if self.end is not None and not self._told_end:
            message["end"] = self.end
        self._told_head, self._told_rows, self._told_end = True, len(self.rows), self.end is not None
        return [message] if len(message) > 1 else []


def _head_of(told: Manifest, task: object) -> Message:
    """What stands at the top of a session's card."""
    policy, trace, video, link = told.policy, told.trace, told.video, told.link
    head: Message = {
        "kind": CALL if task == CALL else VIDEO if task is None and video else OTHER,
        "policy": word(policy.spec if policy and policy.spec else policy.name if policy else ""),
        "trace": word(trace.name if trace else ""),
        "simulated": bool(told.simulated),
        "rtt_ms": link.rtt_ms if link else None,
        "setting": word(told.sweep.setting if told.sweep else ""),
        "started_at": word(told.started_at),
    }
    length_s = _length_s(told, head)
    if length_s is not None:
        head["length_s"] = length_s
    if trace and trace.time_s and trace.rate_mbps and length_s:
        start_s = trace.start_s or 0.0
        head["link"] = steps_of(trace.time_s, trace.rate_mbps, start_s, SLACK * length_s)
    return head


def _length_s(told: Manifest, head: Message) -> float | None:
    """How long what is played or said is; what a video is goes into the head."""
    if head["kind"] == CALL:
        call = told.more.get("call")
        return figure_or_none(call, "duration_s") if isinstance(call, Mapping) else None
    video = told.video
    if head["kind"] != VIDEO or video is None:
        return None
    ladder = video.ladder_kbps or ()
    if not 0 < len(ladder) <= MOST_LEVELS:
        raise NoFigure("ladder_kbps")
    facts = {"ladder_kbps": ladder, "chunks": video.chunks, "chunk_s": video.chunk_s}
    head |= facts | {"video": word(video.name)}
    cap_s = told.player.buffer_cap_s if told.player else None
    head["buffer_cap_s"] = cap_s
    return figure_or_none({"s": (video.chunks or 0) * (video.chunk_s or 0.0)}, "s") or None


def _chunk_row(line: Mapping[str, Any]) -> tuple[list[Any] | None, float]:
    """A chunk: [chunk, level, request_s, in_s, Mbit/s, buffer before, after, stall_s, decision_s, by, reason,
    latency_s of a live stream], and when it was in."""
    if line.get("line") != "chunk":
        raise NoFigure("chunk")
    request_s = figure(line, "request_s")
    in_s = round(request_s + figure(line, "download_s"), 3)
    row: list[Any] = [
        whole(line, "chunk"),
        whole(line, "level"),
        request_s,
        in_s,
        figure(line, "throughput_mbps"),
    ]
    row += [figure(line, name) for name in ("buffer_before_s", "buffer_after_s", "stall_s", "decision_s")]
    row += [word(line.get("by")), word(line.get("reason")), figure_or_none(line, "latency_s")]
    return row, in_s


def _end_of(line: Mapping[str, Any]) -> Message:
    """How it ended."""
    link = line.get("link")
    reasons = link.get("reasons") if isinstance(link, Mapping) else None
    return {
        "outcome": word(line.get("outcome")) or "ended",
        "reason": word(line.get("reason")),
        "valid": line.get("valid") is not False,
        "reasons": [word(reason) for reason in reasons[:5]] if isinstance(reasons, list) else [],
        "elapsed_s": figure_or_none(line, "elapsed_s"),
        "startup_s": figure_or_none(line, "startup_s"),
        "stall_s": figure_or_none(line, "stall_s"),
    }
