"""The player's part of a record's manifest: what was streamed, by whom, with what."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from typing import Any

from player.defaults import FALLBACK
from player.manifest import Manifest, PlayerSection
from player.provenance import code_section, decided_by, user_file_sha256
from player.real.settings import PlayerSettings
from player.registry import LoadedPolicy
from player.sections import policy_section, video_section
from player.transport.names import ASKED, H2, H3
from player.video.mpd import Presentation
from traces.versions import CodeVersion, package_version, typed_in


def _live(presentation: Presentation, settings: PlayerSettings, chunk_s: float) -> dict[str, float] | None:
    """How a live stream is played."""
    if presentation.live is None:
        return None
    return {
        "latency_s": settings.live.wanted_s(chunk_s, presentation.live.suggested_s),
        "most_faster": settings.live.most_faster,
        "ahead_s": presentation.live.ahead_s,
    }


def _versions(transport: Mapping[str, Any] | None) -> dict[str, str]:
    """The kernel's, and of the packages that speak the transport."""
    speak = {H2: ("aiohttp", "h2"), H3: ("aiohttp", "aioquic")}
    packages = ("aiohttp",) if transport is None else speak[transport[ASKED]]
    return {"kernel": platform.release(), **{name: package_version(name) for name in packages}}


def player_manifest(
    presentation: Presentation,
    policy: LoadedPolicy,
    settings: PlayerSettings,
    *,
    url: str,
    argv: list[str],
    congestion_control: str | None = None,
    fallback: str = FALLBACK,
    code: CodeVersion | None = None,
    transport: Mapping[str, Any] | None = None,
) -> Manifest:
    """The manifest of a session over a real network; the testbed adds trace, link and so on.

    Args:
        url: of the MPD.
        argv: the command line.
        congestion_control: of the player's socket (a receiver's hardly matters, but it is cheap to know).
        fallback: the spec of who decides where the policy can't.
        transport: what was asked for and negotiated; None of HTTP/1.1.
        code: of Streambed's tree; whoever runs a player as a part of something greater knows it.
    """
    whole = presentation.video
    decided = decided_by(policy.spec, policy.policy)
    video = whole if settings.chunks is None else whole.first(settings.chunks)
    return Manifest(
        url=url,
        video=video_section(video),
        policy=policy_section(policy, decided),
        told_qoe=dataclasses.asdict(settings.qoe),
        seed=settings.seed,
        player=PlayerSection(
            **settings.thresholds.recorded,
            decision_deadline_s=settings.decision_deadline_s,
            reset_deadline_s=settings.reset_deadline_s,
            timeouts=dataclasses.asdict(settings.timeouts),
            fallback=fallback,
            fallback_sha256=user_file_sha256(fallback),
            congestion_control=congestion_control,
            live=_live(presentation, settings, video.chunk_s),
            transport=transport,
        ),
        versions={**decided.versions, **_versions(transport)},
        code=code_section(code or CodeVersion()),
        host=platform.platform(),
        command_line=tuple(argv),
        directory=typed_in(),
    )
