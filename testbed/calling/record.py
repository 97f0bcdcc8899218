"""The record of an emulated call as it is written: seconds put together of what two processes say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from player.call.record import CallEnd as RecordedEnd
from player.call.record import CallWriter, DecisionRow, SecondRow
from player.call.settings import CallSettings


@dataclass(frozen=True)
class CallEnd:
    """How a call ended, and what its two ends say that they did; `{}` of one that did not live to say."""

    outcome: str
    reason: str
    elapsed_s: float
    decisions: int
    sender: dict[str, Any]
    receiver: dict[str, Any]
    valid: bool = True
    link: dict[str, Any] = field(default_factory=dict)


class EmulatedCallWriter:
    """Writes the record of an emulated call as its two ends tell of it.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, call: CallSettings, manifest: dict[str, Any]) -> None:
        self._writer = CallWriter(path, call, manifest)

    def decision(self, line: dict[str, Any]) -> None:
        """A decision, as the sender tells of it."""
        self._writer.decision(DecisionRow(**line))

    def second(self, row: dict[str, Any]) -> None:
        """A second, as both tell of it (`Seconds`)."""
        self._writer.second(second_row(row))

    def finish(self, end: CallEnd) -> None:
        """Write the last line, and let the file appear under its final name."""
        self._writer.finish(end_row(end))

    def abandon(self) -> None:
        """Leave nothing: the call came to no record."""
        self._writer.abandon()

    def __enter__(self) -> EmulatedCallWriter:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, where)


def second_row(row: dict[str, Any]) -> SecondRow:
    """A second as the record has it; of an end that did not live to tell there is nothing."""
    sent, came = row["sent"] or {}, row["came"] or {}
    packets = came.get("packets", 0)
    counts = ("resent_packets", "padding_bytes", "frames", "key_frames", "frames_dropped")
    return SecondRow(
        second=row["second"],
        sent_packets=sent.get("packets", 0),
        sent_bytes=sent.get("bytes", 0),
        **{name: sent.get(name, 0) for name in counts},
        **{name: came.get(name, 0) for name in ("packets", "bytes", "media_bytes", "missed")},
        delay_mean_ms=1000 * came["delay_sum_s"] / packets if packets else None,
        delay_least_ms=1000 * came["delay_least_s"] if packets else None,
        delay_most_ms=1000 * came["delay_most_s"] if packets else None,
        shown_s=came.get("at_s", []),
        captured_s=came.get("captured_s", []),
    )


def end_row(end: CallEnd) -> RecordedEnd:
    """The last line as the record has it; what both ends say that they did is in `sender`."""
    told = end.receiver.get("delay_ms", [])
    return RecordedEnd(
        outcome=end.outcome,
        reason=end.reason,
        elapsed_s=end.elapsed_s,
        decisions=end.decisions,
        frames_decoded=end.receiver.get("decoded", 0),
        frames_given_up=end.receiver.get("given_up", 0),
        frames_overtaken=end.receiver.get("overtaken", 0),
        delay_least_ms=float(told[0][0]) if told else None,
        delay_p50_ms=_delay_at(told, 0.50),
        delay_p95_ms=_delay_at(told, 0.95),
        delay_p99_ms=_delay_at(told, 0.99),
        valid=end.valid,
        link=end.link,
        sender={"sender": end.sender, "receiver": end.receiver},
    )


def _delay_at(told: Sequence[Sequence[int]], share: float) -> float | None:
    """The delay, in ms, that so many of the packets had at most; `told` are (ms, packets)."""
    rank = share * sum(count for _, count in told)
    for delay_ms, count in told:
        rank -= count
        if rank <= 0:
            return float(delay_ms)
    return None


class Seconds:
    """Joins what the sender and the receiver say of each second of a call."""

    def __init__(self) -> None:
        self._sent: dict[int, dict[str, Any]] = {}
        self._came: dict[int, dict[str, Any]] = {}
        self.whole: list[dict[str, Any]] = []
        """Those that were given, in order."""

    def add(self, kind: str, line: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Take a line of either (`sent` or `came`); the seconds of which both have spoken now."""
        told = self._sent if kind == "sent" else self._came
        told[line.pop("second")] = line
        while (second := len(self.whole)) in self._sent and second in self._came:
            yield self._give(second)

    def rest(self) -> Iterator[dict[str, Any]]:
        """In the end, those of which only one has spoken."""
        while (second := len(self.whole)) <= max([*self._sent, *self._came], default=-1):
            yield self._give(second)

    def _give(self, second: int) -> dict[str, Any]:
        row = {"second": second, "sent": self._sent.get(second), "came": self._came.get(second)}
        self.whole.append(row)
        return row
