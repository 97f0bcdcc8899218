"""Sections of a manifest from what they say: a video, a policy, a trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from player.manifest import LinkSection, PolicySection, TraceSection, VideoSection
from player.registry import LoadedPolicy
from player.video.video import Video
from traces.trace import Trace


def video_section(video: Video) -> VideoSection:
    """What a record says of the part of a video that was streamed."""
    return VideoSection(
        name=video.name,
        chunk_s=video.chunk_s,
        ladder_kbps=tuple(video.ladder_kbps),
        chunks=video.chunks,
        sizes_bytes=tuple(video.sizes_bytes),
        sizes_exact=video.sizes_exact,
        sha256=video.sha256,
        notes=tuple(video.notes),
    )


def policy_section(policy: LoadedPolicy) -> PolicySection:
    """What a record says of a policy."""
    return PolicySection(
        spec=policy.spec,
        name=policy.name,
        parameters=policy.parameters,
        weights_sha256=policy.weights_sha256,
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
