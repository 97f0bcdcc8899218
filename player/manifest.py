"""A record's first line, typed: what was streamed, by whom, over what, and where.

Three write it: the real player its own part, which the testbed adds to, and the simulator. Whoever reads a
record has it as `Record.told`. A field that a record does not have, or that holds something else, is None:
older versions lack some, and what needs one says so. What this version does not know is kept in `more`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from player.section import JsonSection

SCHEMA = 1


class ManifestError(ValueError):
    """No manifest that this version reads; the message names the fault."""


@dataclass(frozen=True)
class VideoSection(JsonSection):
    """What was streamed."""

    name: str | None = None
    spec: str | None = None
    """As typed."""
    chunk_s: float | None = None
    ladder_kbps: tuple[int, ...] | None = None
    chunks: int | None = None
    """Streamed; of `told_chunks` that the policy knew of."""
    told_chunks: int | None = None
    sizes_bytes: tuple[tuple[int, ...], ...] | None = None
    """[chunk][level]."""
    pictures: tuple[str, ...] | None = None
    """[level], as `player/video/pictures.py` writes them; None: nobody says."""
    sizes_exact: bool | None = None
    sha256: str | None = None
    served_sha256: str | None = None
    """Of a live stream, of whose sizes its player knew nothing: that of what was served."""
    notes: tuple[str, ...] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PolicySection(JsonSection):
    """Who decided."""

    spec: str | None = None
    """As typed, options included."""
    name: str | None = None
    parameters: Mapping[str, Any] | None = None
    weights_sha256: str | None = None
    arithmetic: str | None = None
    """What its model was computed in, `int8` or `float32` say, where it has one that tells."""
    source_sha256: str | None = None
    """Of the file that its class stands in."""
    sources: Mapping[str, str] | None = None
    """Of a user's policy that imports modules of its own folder: each file's, by its path in there."""
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CodeSection(JsonSection):
    """Streambed's own tree, where it is a checkout."""

    commit: str | None = None
    dirty: bool | None = None
    """Whether files that git keeps differed from the commit."""
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlayerSection(JsonSection):
    """How it played."""

    buffer_cap_s: float | None = None
    startup_s: float | None = None
    """Buffered before playback begins; None: with the first chunk."""
    resume_s: float | None = None
    """Buffered before it goes on after a stall; None: with the next chunk."""
    abandon: bool | None = None
    """Whether it gave requests up for a lower level; None: it did not."""
    decision_deadline_s: float | None = None
    reset_deadline_s: float | None = None
    timeouts: Mapping[str, Any] | None = None
    fallback: str | None = None
    fallback_sha256: str | None = None
    """Of a user's file."""
    congestion_control: str | None = None
    first_level: int | None = None
    live: Mapping[str, Any] | None = None
    """Of a live stream: the wanted `latency_s`, `most_faster`, and `ahead_s` of chunks that come as they are
    made."""
    client: str | None = None
    """Who played: `dashjs`; None: our own player."""
    transport: Mapping[str, Any] | None = None
    """By which protocol it fetched: what was `asked`, what was `negotiated` (its name in ALPN), over which
    TLS or QUIC; None: HTTP/1.1 without a word about it."""
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TraceSection(JsonSection):
    """What the link was to carry."""

    name: str | None = None
    spec: str | None = None
    family: str | None = None
    sha256: str | None = None
    start_s: float | None = None
    start_index: int | None = None
    cap_mbps: float | None = None
    mean_mbps: float | None = None
    time_s: tuple[float, ...] | None = None
    rate_mbps: tuple[float, ...] | None = None
    delay_ms: tuple[float, ...] | None = None
    loss_pct: tuple[float, ...] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LinkSection(JsonSection):
    """What the link was asked to be, and, in `more`, what was in force."""

    model: str | None = None
    """Of computed sessions."""
    rtt_ms: float | None = None
    jitter_ms: float | None = None
    loss: Mapping[str, Any] | None = None
    queue_ms: float | None = None
    queue_bytes: int | None = None
    congestion_control: str | None = None
    slow_start_after_idle: bool | None = None
    delay_backend: str | None = None
    media_delay_ms: float | None = None
    """What of the round trip is spent on the way to the player."""
    media_jitter_ms: float | None = None
    grant_ms: float | None = None
    aqm: str | None = None
    """At the bottleneck; None: its queue drops its tail."""
    queue_limit_bytes: float | None = None
    """In force."""
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SharedSection(JsonSection):
    """Players that shared a bottleneck."""

    group: str | None = None
    players: int | None = None
    index: int | None = None
    stagger_s: float | None = None
    offset_s: float | None = None
    """Began so much after the group's first."""
    beside: tuple[str, ...] | None = None
    """Who else was on the bottleneck, as `call:gcc` or `cubic from 10 s`."""
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SweepSection(JsonSection):
    """Which session of which sweep it is."""

    name: str | None = None
    setting: str | None = None
    """Its label, with the values of its lists."""
    group: str | None = None
    """The label of the `[[setting]]` that it is a point of."""
    axis: Mapping[str, Any] | None = None
    """Where on the axes of that `[[setting]]` it is, by key."""
    seen: bool | None = None
    stress: bool | None = None
    policy: str | None = None
    """The sweep's name for it."""
    repetition: int | None = None
    block: int | None = None
    attempt: int | None = None
    session: str | None = None
    identity: str | None = None
    """Hash of all that makes it this session, as in `sweep.json`; older records lack it."""
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest(JsonSection):
    """A record's first line."""

    run_id: str | None = None
    started_at: str | None = None
    simulated: bool | None = None
    lane: str | None = None
    url: str | None = None
    video: VideoSection | None = None
    policy: PolicySection | None = None
    told_qoe: Mapping[str, Any] | None = None
    seed: int | None = None
    run_seed: int | None = None
    player: PlayerSection | None = None
    trace: TraceSection | None = None
    link: LinkSection | None = None
    shared: SharedSection | None = None
    sweep: SweepSection | None = None
    policy_server: Mapping[str, Any] | None = None
    host: str | None = None
    versions: Mapping[str, Any] | None = None
    """Python's, Streambed's, and of what was loaded and may decide."""
    code: CodeSection | None = None
    command_line: tuple[str, ...] | None = None
    directory: str | None = None
    """Where it was typed: seen from Streambed's folder, absolute where that is elsewhere."""
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_line(cls, line: Mapping[str, Any]) -> Manifest:
        """The first line of a record of any schema that there was.

        Raises:
            ManifestError: another one.
        """
        if line.get("line") != "manifest":
            raise ManifestError("no manifest; this is no session record")
        if line.get("schema") != SCHEMA:
            raise ManifestError(f"schema {line.get('schema')!r}; this version reads {SCHEMA}")
        told = {name: value for name, value in upgraded(line).items() if name not in ("line", "schema")}
        return cls.from_json(told) or cls()


def upgraded(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line as this version writes it: loss before there were kinds was a number of per cent."""
    told = dict(line)
    link = told.get("link")
    if isinstance(link, Mapping) and isinstance(link.get("loss"), int | float):
        kind = "uniform" if link["loss"] else "none"
        told["link"] = {**link, "loss": {"kind": kind, "p": link["loss"]}}
    return told
