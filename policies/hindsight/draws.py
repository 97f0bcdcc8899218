"""Sessions to learn from: mostly as they are measured, the others on any ladder, link and weights.

`PUBLISHED` of the sessions stream the mix's videos as published tests do. `VARIED` of them stream those
videos too, but round trip, cap, QoE and weights are drawn. The rest are on drawn ladders of 2 to MAX_LEVELS
levels, with chunks of 1 to 10 s and traces brought to the ladder. Weights are relative to the ladder's top,
so that a stall costs in every ladder's units what it is drawn to cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from player.defaults import CHUNKS, RTT_MS
from player.qoe import QoE, published_mu
from player.simulated.batch.library import KINDS, Ints, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.video.video import Video
from policies.hindsight.data import TraceSource
from policies.hindsight.shapes import DRAWN, MEASURED, drawn_trace, log_uniform
from policies.view.asked import unit_of

PUBLISHED, VARIED = 0.4, 0.2
BASE_TRACES = 384
"""In a drawn world, for the mix's own videos."""
LADDERS, LADDER_TRACES = 24, 10
"""Drawn videos in a world, and traces for each of them."""

TOP_KBPS = (1_000.0, 60_000.0)
SPAN = (4.0, 40.0)
"""Top over lowest level; 14 in the published ladder."""
SHORT_SPAN = (1.5, 8.0)
"""The same of ladders of two and three levels."""
EVEN_STEPS = 0.4
"""How far steps between levels are from even ones in the logarithm."""
LEVELS = (2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11, 12)
CHUNK_S = (1.0, 2.0, 2.0, 3.0, 4.0, 4.0, 4.0, 5.0, 6.0, 8.0, 10.0)
LENGTH_S = (100.0, 400.0)
FEWEST_CHUNKS, MOST_CHUNKS = 20, 120
ROUND_TRIP_MS = (5.0, 400.0)
USUAL_SHARE = 0.5
"""Of drawn round trips, caps and weights that are near the usual ones."""
USUAL_DEVIATION = 0.15
"""Of the logarithm of a round trip that is near the usual one."""
CAP_S = (10.0, 120.0)
USUAL_CAP_S = 60.0
RELATIVE_MU = (0.3, 60.0)
SMOOTH_SHARE, MOST_SMOOTH = 0.3, 3.0
"""Sessions whose smooth is drawn up to this; in the others it is 1."""
LOG_SHARE, HD_SHARE = 0.2, 0.1
"""Of drawn sessions; `hd` only where its table knows the ladder."""


@dataclass(frozen=True)
class SessionMix:
    """What sessions are drawn from."""

    sources: tuple[TraceSource, ...]
    videos: tuple[Video, ...]
    shares: np.ndarray
    """(videos,) of the sessions that stream them."""


@dataclass(frozen=True)
class World:
    """A library in which every video has its own traces."""

    library: Library
    shares: np.ndarray
    """(videos of the mix,); what follows them in the library are drawn ladders."""

    @property
    def own(self) -> int:
        """Videos that are the mix's."""
        return len(self.shares)


def draw_world(mix: SessionMix, random: np.random.Generator) -> World:
    """Varied traces for the mix's videos, and drawn ladders with traces of theirs."""
    weights = np.array([source.weight for source in mix.sources])

    def sources(count: int) -> list[TraceSource]:
        return [mix.sources[each] for each in random.choice(len(weights), count, p=weights / weights.sum())]

    ladder = mix.videos[0].ladder_kbps
    traces = [drawn_trace(each, MEASURED, ladder, False, random) for each in sources(BASE_TRACES)]
    videos = [drawn_video(mix.videos[random.integers(len(mix.videos))], random) for _ in range(LADDERS)]
    for video in videos:
        found = sources(LADDER_TRACES)
        traces += [drawn_trace(each, DRAWN, video.ladder_kbps, True, random) for each in found]
    return World(Library(traces, [*mix.videos, *videos]), mix.shares)


def drawn_video(like: Video, random: np.random.Generator) -> Video:
    """A video of a random ladder whose chunk sizes vary as those of `like`."""
    levels = int(random.choice(LEVELS))
    span = np.log(log_uniform(SHORT_SPAN if levels <= 3 else SPAN, random))
    steps = 1.0 + EVEN_STEPS * random.uniform(-1.0, 1.0, levels - 1)
    above = np.concatenate(([0.0], np.cumsum(steps / steps.sum() * span)))  # (levels,)
    ladder = np.round(log_uniform(TOP_KBPS, random) * np.exp(above - span)).astype(int)
    ladder += np.arange(levels)  # two levels are never the same
    chunk_s = float(random.choice(CHUNK_S))
    chunks = int(np.clip(log_uniform(LENGTH_S, random) / chunk_s, FEWEST_CHUNKS, MOST_CHUNKS))
    sizes = sizes_like(like, ladder, chunk_s, chunks, int(random.integers(like.chunks)))
    return Video("drawn", chunk_s, tuple(map(int, ladder)), sizes)


def sizes_like(
    like: Video, ladder: np.ndarray, chunk_s: float, chunks: int, first: int
) -> tuple[tuple[int, ...], ...]:
    """Sizes whose ratios to the nominal ones are those of `like`, from its chunk `first` on, over and over.

    Args:
        ladder: (levels,) kbit/s.
    """
    ratios = np.asarray(like.sizes_bytes) / (np.asarray(like.ladder_kbps) * like.chunk_s * 125.0)
    columns = np.round(np.linspace(0, like.levels - 1, len(ladder))).astype(int)
    rows = (first + np.arange(chunks)) % like.chunks
    sizes = ratios[rows][:, columns] * (ladder * chunk_s * 125.0)
    return tuple(tuple(max(int(size), 1) for size in row) for row in sizes)


def draw_sessions(world: World, count: int, random: np.random.Generator, threads: int) -> Sessions:
    """`count` sessions at random places of a world, their first chunk in."""
    setup = draw_setup(world, count, random)
    return Sessions(world.library, setup, chunks=int(setup.chunks.max()), first_level=0, threads=threads)


def strata(count: int) -> Ints:
    """(count,) of drawn sessions: 0 as published, 1 with varied links and weights, 2 on drawn ladders."""
    published, varied = round(PUBLISHED * count), round(VARIED * count)
    return np.repeat(np.arange(3), (published, varied, count - published - varied))


def draw_setup(world: World, count: int, random: np.random.Generator) -> Setup:
    """A setup of `count` sessions; those on drawn ladders come last."""
    published, varied, _ = np.bincount(strata(count), minlength=3).tolist()
    own = random.choice(world.own, published + varied, p=world.shares)
    ladder = random.integers(LADDERS, size=count - len(own))
    video = np.concatenate((own, world.own + ladder))
    trace = np.concatenate((
        random.integers(BASE_TRACES, size=len(own)),
        BASE_TRACES + LADDER_TRACES * ladder + random.integers(LADDER_TRACES, size=len(ladder)),
    ))  # fmt: skip
    library = world.library
    start = 1 + random.integers(1 << 40, size=count) % (library.points()[trace] - 1)
    usual = Setup.of(published, chunks=np.minimum(CHUNKS, library.packed.chunks[video[:published]]))
    drawn = _drawn_weights(library, video[published:], random)
    joined = {each.name: np.concatenate((getattr(usual, each.name), getattr(drawn, each.name)))
              for each in fields(Setup)}  # fmt: skip
    return Setup(**{**joined, "trace": trace, "start_index": start, "video": video})


def _drawn_weights(library: Library, video: Ints, random: np.random.Generator) -> Setup:
    """Round trip, cap, QoE, weights and chunks of sessions that stream these videos."""
    count = len(video)

    def usual() -> np.ndarray:
        return random.random(count) < USUAL_SHARE

    near = RTT_MS * np.exp(USUAL_DEVIATION * random.standard_normal(count))
    rtt_ms = np.where(usual(), near, _log_uniforms(ROUND_TRIP_MS, count, random))
    cap_s = np.where(usual(), USUAL_CAP_S, _log_uniforms(CAP_S, count, random))
    kind = _drawn_kinds(library, video, random)
    relative = _log_uniforms(RELATIVE_MU, count, random)
    pairs = list(zip(kind.tolist(), video.tolist(), strict=True))
    units = np.array([unit_of(_quality(library, *pair)) for pair in pairs])
    tops = np.array([published_mu(KINDS[each], library.videos[at].ladder_kbps) for each, at in pairs])
    mu = np.where(usual(), tops, relative / units)
    smooth = np.where(
        random.random(count) < SMOOTH_SHARE, random.uniform(0.0, MOST_SMOOTH, count), np.ones(count)
    )
    return Setup.of(
        count, rtt_ms=rtt_ms, cap_ms=1000.0 * cap_s, kind=kind, mu=mu, smooth=smooth,
        chunks=np.minimum(library.packed.chunks[video], MOST_CHUNKS),
    )  # fmt: skip


def _drawn_kinds(library: Library, video: Ints, random: np.random.Generator) -> Ints:
    linear, log, hd = (KINDS.index(name) for name in ("linear", "log", "hd"))
    dice = random.random(len(video))
    knows = ~np.isnan(library.packed.quality[hd, video, 0])
    other = np.where((dice < LOG_SHARE + HD_SHARE) & knows, hd, linear)
    return np.where(dice < LOG_SHARE, log, other)


def _quality(library: Library, kind: int, video: int) -> Sequence[float]:
    return QoE(KINDS[kind]).quality(library.videos[video].ladder_kbps)


def _log_uniforms(bounds: tuple[float, float], count: int, random: np.random.Generator) -> np.ndarray:
    low, high = np.log(bounds)
    return np.asarray(np.exp(random.uniform(low, high, count)))
