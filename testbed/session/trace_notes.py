"""What a person should know of traces and videos before sessions begin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from player.video.video import Video
from traces.trace import Trace


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
    """What was assumed of traces, and what they bring; `assumed_notes` and `delay_loss_notes`."""
    traces = list(traces)
    return [*assumed_notes(traces), *delay_loss_notes(traces, rtts_ms, option)]


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
