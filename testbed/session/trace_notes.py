"""What a person should know of traces and videos before sessions begin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from player.video.video import Video
from traces.trace import Trace

LOOKS_LIKE_SECONDS = 1.0
"""A shorter round trip, in ms, is rather meant in seconds: that of a lane alone is some 0.1 ms."""


def video_notes(videos: Iterable[Video]) -> list[str]:
    """What was assumed or left out in reading videos, a line each."""
    return list(dict.fromkeys(f"video {video.name}: {note}" for video in videos for note in video.notes))


def assumed_notes(traces: Iterable[Trace]) -> list[str]:
    """What readers took for granted of traces, a line each with the first trace of which it holds."""
    names: dict[str, list[str]] = {}
    for trace in traces:
        for assumed in trace.assumed:
            names.setdefault(assumed, []).append(trace.name)
    return [
        f"trace {those[0]}{f' and {len(those) - 1} more' if len(those) > 1 else ''}: {assumed}"
        for assumed, those in names.items()
    ]


def trace_notes(traces: Iterable[Trace], rtts_ms: Sequence[float], option: str) -> list[str]:
    """What was assumed of traces, what they bring, and what round trips look like; `assumed_notes`,
    `delay_loss_notes` and `rtt_notes`."""
    traces = list(traces)
    return [*assumed_notes(traces), *delay_loss_notes(traces, rtts_ms, option), *rtt_notes(rtts_ms, option)]


def rtt_notes(rtts_ms: Sequence[float], option: str) -> list[str]:
    """What round trips look like that may have been written in another unit, a line each."""
    return [
        f"{option} {rtt_ms:g}: is this in seconds? It counts milliseconds; {1000 * rtt_ms:g} would be that"
        for rtt_ms in rtts_ms
        if 0 < rtt_ms < LOOKS_LIKE_SECONDS
    ]


def run_notes(trace: Trace, start_s: float, chunks: int) -> list[str]:
    """What a person should know of where a run begins and how much it streams."""
    found = []
    if start_s >= trace.duration_s:
        found.append(
            f"--start-s {start_s:g} is past the end of trace {trace.name} ({trace.duration_s:g} s), which"
            f" begins anew there: sessions begin at {start_s % trace.duration_s:g} s"
        )
    if chunks == 1:
        found.append("1 chunk: the first does not count, so there is no QoE; give --chunks 2 or more for one")
    return found


def delay_loss_notes(traces: Iterable[Trace], rtts_ms: Sequence[float], option: str) -> list[str]:
    """What a person should know before sessions over traces that bring delays or losses; a line each.

    Args:
        rtts_ms: the round trips asked for, and …
        option: … by what.
    """
    traces, found = list(traces), []
    delayed = {trace.name: (trace.delay_ms or ())[1:] for trace in traces if trace.delay_ms is not None}
    if delayed:
        asked = " or ".join(f"{rtt_ms:g}" for rtt_ms in rtts_ms)
        found.append(
            f"{_bring(delayed)} delays of {_range(delayed)} ms; the round trip is these plus {asked} ms"
            f" ({option})"
        )
    lossy = {trace.name: (trace.loss_pct or ())[1:] for trace in traces if trace.loses_frames}
    if lossy:
        found.append(f"{_bring(lossy)} losses of {_range(lossy)} % of the frames towards the player")
    return found


def _bring(columns: Mapping[str, Sequence[float]]) -> str:
    first = next(iter(columns))
    return f"trace {first} brings" if len(columns) == 1 else f"{len(columns)} traces ({first}, …) bring"


def _range(columns: Mapping[str, Sequence[float]]) -> str:
    least, most = min(map(min, columns.values())), max(map(max, columns.values()))
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"
