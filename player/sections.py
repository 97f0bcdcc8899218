"""Sections of a manifest from what they say: a video, a policy, a trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from player.manifest import LinkSection, PolicySection, TraceSection, VideoSection
from player.provenance import Provenance
from player.registry import LoadedPolicy
from player.video.mpd_segments import MAX_CHUNKS
from player.video.pictures import pictures_of
from player.video.video import Video, VideoError, check_name
from traces.trace import Trace


def video_section(video: Video) -> VideoSection:
    """What a record says of the part of a video that was streamed."""
    return VideoSection(
        name=video.name,
        chunk_s=video.chunk_s,
        ladder_kbps=tuple(video.ladder_kbps),
        chunks=video.chunks,
        sizes_bytes=tuple(video.sizes_bytes),
        pictures=tuple(map(str, video.pictures)) or None,
        sizes_exact=video.sizes_exact,
        sha256=video.sha256,
        notes=tuple(video.notes),
    )


def recorded_video(section: VideoSection) -> Video:
    """The part of a video that a record says was streamed, held to what a video that one brings is held to.

    Raises:
        VideoError: a field is missing or no such thing, a name that is more than one part of a path, more
            chunks than a video has, or what `Video` refuses.
    """
    for name in ("name", "chunk_s", "ladder_kbps", "chunks", "sizes_bytes"):
        if getattr(section, name) is None:
            raise VideoError(f"{name} is missing, or not what a record has there")
    assert section.name is not None and section.chunk_s is not None and section.chunks is not None
    assert section.ladder_kbps is not None and section.sizes_bytes is not None
    check_name(section.name)
    if len(section.sizes_bytes) > MAX_CHUNKS:
        raise VideoError(f"{section.name}: {len(section.sizes_bytes)} chunks; {MAX_CHUNKS} are the limit")
    if section.chunks != len(section.sizes_bytes):
        raise VideoError(f"{section.name}: chunks is {section.chunks}; it has {len(section.sizes_bytes)}")
    try:
        pictures = tuple(map(pictures_of, section.pictures or ()))
    except ValueError as error:
        raise VideoError(f"{section.name}: {error}") from None
    return Video(
        section.name,
        float(section.chunk_s),
        section.ladder_kbps,
        section.sizes_bytes,
        sizes_exact=section.sizes_exact is not False,
        notes=section.notes or (),
        pictures=pictures,
    )


def policy_section(policy: LoadedPolicy, decided: Provenance) -> PolicySection:
    """What a record says of a policy.

    Args:
        decided: where it comes from (`decided_by`).
    """
    arithmetic = getattr(policy.policy, "arithmetic", None)  # of a policy that has been reset
    return PolicySection(
        spec=policy.spec,
        name=policy.name,
        parameters=policy.parameters,
        weights_sha256=policy.weights_sha256,
        arithmetic=arithmetic if isinstance(arithmetic, str) else None,
        source_sha256=decided.source_sha256,
        sources=dict(decided.sources) or None,
    )


def link_section(asked: Mapping[str, Any]) -> LinkSection:
    """What a record says of a link's settings: what was not asked for stands there as null, for sessions are
    paired by it.
    """
    nulls = {name: None for name, value in asked.items() if value is None}
    section = LinkSection.from_json(asked) or LinkSection()
    return replace(section, more={**section.more, **nulls})


def trace_section(
    trace: Trace,
    spec: str,
    start_s: float,
    *,
    start_index: int | None = None,
) -> TraceSection:
    """What a record says of a trace, its values among it.

    Args:
        spec: as typed.
        start_s: where in it the session began.
        start_index: the same as the simulators count.
    """
    columns: dict[str, Any] = {name: tuple(values) for name, values in trace.columns.items()}
    return TraceSection(
        name=trace.name,
        spec=spec,
        family=trace.family,
        sha256=trace.sha256,
        start_s=start_s,
        start_index=start_index,
        mean_mbps=trace.mean_mbps,
        **columns,
    )
