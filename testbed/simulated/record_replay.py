"""Emulated sessions, played again over a link model: the same decisions, or the same policy set free.

What the model is told is what the record's manifest was asked for: trace and start, RTT, queue, slow
start after idle. What the link log saw is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis.sessions import SessionRecord
from player.defaults import CONGESTION_CONTROL
from player.fallback import FALLBACK_ONCE, load_fallback
from player.manifest import VideoSection
from player.qoe import QoE, summarise
from player.record import ChunkRow
from player.registry import load_policy
from player.sections import recorded_video
from player.simulated.link_published import PublishedLink
from player.simulated.session import Link, LinkSession, simulate
from player.simulated.tcp.link import FRAME_BYTES, TcpLink
from player.video.video import Video, VideoError
from testbed.process.errors import TestbedError
from traces.trace import Trace, TraceError
from traces.words import counted

MODELS = ("published", "tcp")

SEGMENT_BYTES = 1448
"""Of the video in a full frame: the rest is Ethernet, IP, and TCP with its time stamps."""


@dataclass(frozen=True)
class Recorded:
    """What is needed of an emulated session to play it again."""

    path: str
    policy: str
    fallback: str
    trace: Trace
    start_index: int
    """Of the trace's interval in which the session began, …"""
    into_s: float
    """… and how far into it."""
    video: Video
    seed: int
    qoe: QoE
    """What the policy was told."""
    cap_ms: float
    startup_ms: float
    resume_ms: float
    rtt_ms: float
    queue_bytes: int
    slow_start_after_idle: bool
    chunks: tuple[ChunkRow, ...]
    emulated_qoe: float

    @property
    def family(self) -> str:
        return self.trace.family or "-"

    def link(self, model: str, handling_ms: float | None = None) -> Link:
        """The session's link as a model has it.

        Args:
            handling_ms: of the tcp model, instead of the fitted one.
        """
        if model == "published":
            return PublishedLink(rtt_ms=self.rtt_ms)
        link = TcpLink(
            rtt_ms=self.rtt_ms,
            queue_bytes=self.queue_bytes,
            slow_start_after_idle=self.slow_start_after_idle,
        )
        if handling_ms is None:
            return link
        return TcpLink(
            rtt_ms=link.rtt_ms,
            queue_bytes=link.queue_bytes,
            slow_start_after_idle=link.slow_start_after_idle,
            handling_ms=handling_ms,
        )


def recorded(session: SessionRecord) -> Recorded:
    """Take from a record what a replay needs.

    Raises:
        TestbedError: a record of no emulated session, or of a link that the models do not know.
        RecordError: values that are none.
    """
    _check_known(session)
    path, series = session.path, session.trace
    assert series is not None  # else it is not known
    link = session.section("link")
    try:
        told = session.section("trace")
        trace = Trace.of(series.name, told, str(told["family"]))
        index, into_s = place_of(trace, series.start_s)
        qoe = session.summary.qoe
        assert qoe is not None  # two chunks or more have one
        return Recorded(
            path=path,
            policy=session.policy,
            fallback=str(session.section("player").get("fallback", FALLBACK_ONCE)),
            trace=trace,
            start_index=index,
            into_s=into_s,
            video=recorded_video(session.told.video or VideoSection()),
            seed=int(session.record.manifest["seed"]),
            qoe=session.weights,
            cap_ms=1000.0 * session.section("player")["buffer_cap_s"],
            startup_ms=1000.0 * (session.section("player").get("startup_s") or 0.0),
            resume_ms=1000.0 * (session.section("player").get("resume_s") or 0.0),
            rtt_ms=float(link["rtt_ms"]),
            queue_bytes=int(link["queue_limit_bytes"]),
            slow_start_after_idle=bool(link["slow_start_after_idle"]),
            chunks=session.chunks,
            emulated_qoe=qoe,
        )
    except KeyError as error:
        raise TestbedError(f"{path}:1: the manifest has no {error.args[0]}; cannot play it again") from None
    except (TypeError, ValueError, VideoError, TraceError) as error:
        raise TestbedError(f"{path}:1: {error}; cannot play it again") from None


def _check_known(session: SessionRecord) -> None:
    """Raises TestbedError for a record of no emulated session, or of a link that the models do not know."""
    path, link, series = session.path, session.section("link"), session.trace
    if session.record.manifest.get("simulated") is not False:
        raise TestbedError(f"{path}: not an emulated session; `testbed/run.py` makes those")
    if series is None:
        raise TestbedError(f"{path}: streamed over a real network, whose rates nobody knows")
    if session.section("player").get("live"):
        raise TestbedError(f"{path}: a live session, whose chunks came as they were made")
    if len(session.chunks) < 2:
        raise TestbedError(f"{path}: {counted(len(session.chunks), 'chunk')}; a comparison needs two or more")
    control = link.get("congestion_control")
    if control != CONGESTION_CONTROL:
        raise TestbedError(f"{path}: congestion control {control}; the models know {CONGESTION_CONTROL} only")
    if (managed := link.get("aqm")) is not None:
        raise TestbedError(f"{path}: --aqm {managed}; the models know a queue that drops its tail only")
    if (spoken := session.section("player").get("transport")) is not None:
        raise TestbedError(f"{path}: --transport {spoken.get('asked')}; the models know HTTP/1.1 only")
    loss = link.get("loss")
    varies = any(link.get(name) for name in ("jitter_ms", "media_jitter_ms", "grant_ms"))
    if varies or not isinstance(loss, dict) or loss.get("kind") != "none":
        raise TestbedError(f"{path}: its link had jitter or loss, which the models have not")
    if any((series.loss_pct or ())[1:]):
        raise TestbedError(f"{path}: its trace loses frames; no model loses the same ones")


def place_of(trace: Trace, start_s: float) -> tuple[int, float]:
    """The interval of a trace that holds `start_s`, and how far into it that is."""
    within_s = start_s % trace.duration_s
    index = next(place for place, time_s in enumerate(trace.time_s) if time_s > within_s)
    return index, within_s - trace.time_s[index - 1]


def carrying_s(trace: Trace, at_s: float, payload_bytes: int) -> float:
    """How long a trace takes from `at_s` on to carry so many bytes in full frames."""
    rest_megabits = payload_bytes * FRAME_BYTES / SEGMENT_BYTES * 8 / 1e6
    for step in trace.steps(at_s):
        if step.rate_mbps * step.duration_s >= rest_megabits > 0:
            return step.start_s + rest_megabits / step.rate_mbps
        rest_megabits -= step.rate_mbps * step.duration_s
    raise AssertionError("a trace has no end")


@dataclass(frozen=True)
class Due:
    """What a chunk's download takes by the `tcp` model."""

    ttfb_s: float
    download_s: float


def downloads_in_turn(chunks: Sequence[ChunkRow], link: TcpLink, trace: Trace, start_s: float) -> list[Due]:
    """Each chunk's download over a model, requested when the emulator's was, or as soon as the model's
    own last download is in: a chunk that the model gets wrong leaves the next ones' times alone.

    Where the model is behind, it meets another part of the trace; what the trace alone makes of that is
    taken off.

    Raises:
        TraceError: a trace so near to dark that a chunk would never arrive.
    """
    index, into_s = place_of(trace, start_s)
    opened = link.open(trace, index)
    found: list[Due] = []
    ended_s = 0.0
    for row in chunks:
        asked_s = into_s + row.request_s
        begun_s = max(asked_s, ended_s)
        opened.set_clock(begun_s)
        download = opened.download(row.size_bytes)
        took_s = download.delay_ms / 1000.0
        ended_s = begun_s + took_s
        if begun_s > asked_s:
            first_s, base_s = link.rtt_ms / 1000.0, trace.time_s[index - 1]
            took_s += carrying_s(trace, base_s + asked_s + first_s, row.size_bytes)
            took_s -= carrying_s(trace, base_s + begun_s + first_s, row.size_bytes)
        found.append(Due(download.ttfb_ms / 1000.0, took_s))
    return found


def errors_at_recorded_times(session: Recorded, link: Link) -> list[float]:
    """Relative error of each chunk's download time where every request leaves when the emulator's did.

    A chunk's error does not shift the trace under the next one; what a model's connection has been
    through is the model's own.
    """
    errors = []
    opened = link.open(session.trace, session.start_index, session.seed)
    set_clock: Callable[[float], None] | None = getattr(opened, "set_clock", None)
    for row in session.chunks:
        at_s = session.into_s + row.request_s
        if set_clock is not None:
            set_clock(at_s)
        else:  # a link without a past: one that has waited until then is the same
            opened = link.open(session.trace, session.start_index, session.seed)
            opened.idle(1000.0 * at_s)
        errors.append(_error(opened, row))
    return errors


def errors_by_own_clock(session: Recorded, link: Link) -> list[float]:
    """The same where the gaps between chunks are the recorded ones, so that errors add up."""
    errors: list[float] = []
    opened = link.open(session.trace, session.start_index, session.seed)
    before_s = 0.0
    for row in session.chunks:
        gap_s = row.request_s - before_s + (0.0 if errors else session.into_s)
        opened.idle(1000.0 * max(gap_s, 0.0))
        errors.append(_error(opened, row))
        before_s = row.request_s + row.download_s
    return errors


def _error(opened: LinkSession, row: ChunkRow) -> float:
    return opened.download(row.size_bytes).delay_ms / 1000.0 / row.download_s - 1.0


@dataclass(frozen=True)
class _From:
    """A link whose sessions begin a little into an interval of the trace."""

    link: Link
    into_s: float

    def open(self, trace: Trace, start_index: int, seed: int) -> LinkSession:
        session = self.link.open(trace, start_index, seed)
        session.idle(1000.0 * self.into_s)
        return session


def simulated_qoe(session: Recorded, link: Link) -> float:
    """QoE of the record's policy, deciding by itself over a link model.

    Raises:
        PolicyError: no such policy here.
    """
    rows, end = simulate(
        session.video,
        session.trace,
        load_policy(session.policy).policy,
        seed=session.seed,
        qoe=session.qoe,
        link=_From(link, session.into_s),
        start_index=session.start_index,
        chunks=len(session.chunks),
        first_level=None,
        fallback=load_fallback(session.fallback).policy,
        cap_ms=session.cap_ms,
        startup_ms=session.startup_ms,
        resume_ms=session.resume_ms,
    )
    qoe = summarise(rows, end, session.video.ladder_kbps, session.qoe).qoe
    assert qoe is not None  # two chunks or more have one
    return qoe


@dataclass(frozen=True)
class Replayed:
    """What came of playing one session again; by model."""

    session: Recorded
    at_recorded_times: dict[str, tuple[float, ...]]
    """(chunks,) relative errors"""
    by_own_clock: dict[str, tuple[float, ...]]
    qoe: dict[str, float]


def replay(session: Recorded, models: Sequence[str] = MODELS) -> Replayed:
    """Play a session again in every way."""
    links = {model: session.link(model) for model in models}
    return Replayed(
        session,
        {model: tuple(errors_at_recorded_times(session, link)) for model, link in links.items()},
        {model: tuple(errors_by_own_clock(session, link)) for model, link in links.items()},
        {model: simulated_qoe(session, link) for model, link in links.items()},
    )
