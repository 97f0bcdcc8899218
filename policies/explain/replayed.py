"""A recorded session as its decider saw it: every observation, rebuilt from the record's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from player.buffer import CAP_MS
from player.observation import HORIZON, Observation, PastChunk
from player.qoe import QoE
from player.record import ChunkRow, Record, RecordError, read_record
from player.sections import recorded_video
from player.video.video import Video, VideoError
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import SHORTEST_CAP_S, SHORTEST_DOWNLOAD_S, VideoStep
from policies.view.asked import Asked
from traces.escaping import visible


@dataclass(frozen=True)
class PlayedSession:
    """What of a record a decision needs."""

    path: Path
    record: Record
    video: Video
    qoe: QoE
    """What the policy was told."""
    observations: tuple[Observation, ...]
    """One for each chunk that came."""

    @property
    def rows(self) -> tuple[ChunkRow, ...]:
        return self.record.chunks

    @property
    def cap_s(self) -> float:
        """Above this buffer the player waited."""
        return self.observations[0].buffer_cap_s


@dataclass(frozen=True)
class TaskSteps:
    """A session as the model is told it."""

    context: Asked
    steps: tuple[VideoStep, ...]
    pasts: tuple[Any, ...]
    """What was past before each step."""

    @classmethod
    def of(cls, session: PlayedSession) -> TaskSteps:
        """Raises RecordError for a video whose QoE nobody knows."""
        try:
            context = TASK.context_of(session.video, session.qoe)
        except ValueError as error:
            raise RecordError(f"{session.path}: {error}") from None
        steps = tuple(VideoStep.of(TASK.thinned(seen)) for seen in session.observations)
        pasts = tuple(accumulate(steps[:-1], TASK.after, initial=TASK.empty))
        return cls(context, steps, pasts)


def played_session(path: Path) -> PlayedSession:
    """A record's session.

    Raises:
        RecordError: the record can't be read, or doesn't say what was streamed and by what it was scored.
        OSError: the file can't be read.
    """
    record = read_record(path)
    told = record.told
    if told.video is None or not record.chunks:
        raise RecordError(f"{path}: no chunk was streamed, so there is no decision to explain")
    try:
        video = recorded_video(told.video)
    except VideoError as error:
        raise RecordError(f"{path}:1: video: {visible(str(error))}") from None
    if len(record.chunks) > video.chunks:
        raise RecordError(f"{path}: {len(record.chunks)} chunks came of a video of {video.chunks}")
    try:
        qoe = QoE(**(told.told_qoe or {}))
        qoe.quality(video.ladder_kbps)
    except (TypeError, ValueError) as error:
        raise RecordError(f"{path}:1: told_qoe: {visible(str(error))}") from None
    cap_s = told.player.buffer_cap_s if told.player and told.player.buffer_cap_s is not None else None
    cap_s = CAP_MS / 1000.0 if cap_s is None else cap_s
    if not cap_s >= SHORTEST_CAP_S:
        raise RecordError(f"{path}:1: player.buffer_cap_s is {cap_s:g}; expected {SHORTEST_CAP_S:g} or more")
    return PlayedSession(path, record, video, qoe, _observations(record.chunks, video, cap_s, path))


def _observations(
    rows: Sequence[ChunkRow], video: Video, cap_s: float, path: Path
) -> tuple[Observation, ...]:
    """What the client knew at each chunk."""
    past = tuple(past_chunk(row, path) for row in rows)
    return tuple(
        Observation(
            chunk=chunk,
            history=past[:chunk],
            buffer_s=max(row.buffer_before_s, 0.0),
            next_sizes_bytes=video.sizes_bytes[chunk : chunk + HORIZON],
            chunks_left=video.chunks - chunk,
            elapsed_s=max(row.request_s - row.decision_s, 0.0),
            buffer_cap_s=cap_s,
        )
        for chunk, row in enumerate(rows)
    )


def past_chunk(row: ChunkRow, path: Path) -> PastChunk:
    """A chunk as the client remembers it.

    Raises:
        RecordError: a time or size that no chunk has.
    """
    if not (row.download_s >= SHORTEST_DOWNLOAD_S and row.size_bytes >= 1):
        raise RecordError(
            f"{path}:{row.chunk + 2}: {row.size_bytes} bytes in {row.download_s:g} s; no chunk comes so"
        )
    return PastChunk(
        level=row.level,
        size_bytes=row.size_bytes,
        download_s=row.download_s,
        throughput_mbps=max(row.throughput_mbps, 0.0),
        rtt_ms=max(row.rtt_ms if row.rtt_ms is not None else row.ttfb_s * 1000.0, 0.0),
        stall_s=max(row.stall_s, 0.0),
        buffer_s=max(row.buffer_after_s, 0.0),
    )
