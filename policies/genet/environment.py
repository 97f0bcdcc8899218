"""What the curriculum searches over: environments, described by a few numbers, and sessions made of them.

The parameters are those of Genet's table for adaptive streaming (Xia et al., SIGCOMM 2022): the range
of the bandwidth, how often it changes, the round trip, the buffer's cap, the chunk length, the video.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from player.defaults import CHUNKS
from player.video.built_in import load_video
from player.video.video import Video
from traces.trace import Trace

CHUNK_LENGTHS_S = (1.0, 2.0, 4.0, 6.0)
KINDS = ("envivio", "heavy", "light", "bursty")
"""The test video; chunks 20 % over and 15 % under the ladder's name; sizes that swing twice as far."""

TRACE_S = 320
"""Length of a made trace; a longer session wraps."""
JITTER = 0.1
"""Each second's rate lies so far around its level at most."""


@dataclass(frozen=True)
class Environment:
    """One configuration; sessions drawn from it differ in trace and video start."""

    top_mbps: float
    """Upper end of the bandwidth range."""
    low_share: float
    """Its lower end, as a share of the upper."""
    change_s: float
    """Mean time that the bandwidth keeps a level."""
    rtt_ms: float
    cap_s: float
    chunk_s: float
    kind: str


@dataclass(frozen=True)
class Span:
    """A parameter's range."""

    low: float
    high: float
    log: bool

    def draw(self, random: np.random.Generator) -> float:
        if self.log:
            return float(np.exp(random.uniform(np.log(self.low), np.log(self.high))))
        return float(random.uniform(self.low, self.high))


SPACE: dict[str, Span] = {
    "top_mbps": Span(1.0, 20.0, log=True),
    "low_share": Span(0.1, 0.9, log=True),
    "change_s": Span(1.0, 60.0, log=True),
    "rtt_ms": Span(10.0, 400.0, log=True),
    "cap_s": Span(12.0, 120.0, log=True),
}
"""No environment is so slow that the lowest level of 300 kbit/s cannot be streamed at times: there every
policy stalls alike, and such stalls would drown what can be learnt."""
CHOICES: dict[str, tuple[float, ...] | tuple[str, ...]] = {"chunk_s": CHUNK_LENGTHS_S, "kind": KINDS}


def build(number: Callable[[str, Span], float], choice: Callable[[str, tuple], object]) -> Environment:
    """An environment whose parameters are asked for one by one."""
    values: dict[str, object] = {name: number(name, span) for name, span in SPACE.items()}
    values |= {name: choice(name, options) for name, options in CHOICES.items()}
    return Environment(**values)  # type: ignore[arg-type]


def uniform(random: np.random.Generator) -> Environment:
    """Any environment of the space: UDR's distribution, and what the curriculum begins with."""
    return build(
        lambda _, span: span.draw(random), lambda _, options: options[int(random.integers(len(options)))]
    )


def make_trace(environment: Environment, random: np.random.Generator, name: str) -> Trace:
    """A bandwidth trace of the environment: a level from the range for a random time, then the next."""
    rates: list[float] = []
    while len(rates) < TRACE_S:
        level = environment.top_mbps * random.uniform(environment.low_share, 1.0)
        seconds = max(round(random.exponential(environment.change_s)), 1)
        rates += [level * random.uniform(1 - JITTER, 1 + JITTER) for _ in range(seconds)]
    whole = tuple(rates[:TRACE_S])
    return Trace(name, tuple(float(second) for second in range(TRACE_S + 1)), (whole[0], *whole))


@cache
def videos() -> tuple[Video, ...]:
    """Every kind at every chunk length, kinds together."""
    return tuple(_video(kind, chunk_s) for kind in KINDS for chunk_s in CHUNK_LENGTHS_S)


def video_index(environment: Environment) -> int:
    """Where `videos` has the environment's."""
    place = KINDS.index(environment.kind) * len(CHUNK_LENGTHS_S)
    return place + CHUNK_LENGTHS_S.index(environment.chunk_s)


def _video(kind: str, chunk_s: float) -> Video:
    """`envivio` with other sizes; but for the test video itself the chunks are turned by half a video."""
    whole = load_video("envivio").first(CHUNKS)
    sizes = np.array(whole.sizes_bytes, dtype=np.float64) * (chunk_s / whole.chunk_s)
    nominal = np.array(whole.ladder_kbps) * 1000.0 / 8.0 * chunk_s
    if kind == "bursty":
        sizes = np.maximum(nominal + 2.0 * (sizes - nominal), 0.1 * nominal)
    else:
        sizes *= {"envivio": 1.0, "heavy": 1.2, "light": 0.85}[kind]
    if kind != "envivio":
        sizes = np.roll(sizes, CHUNKS // 2, axis=0)
    rows = tuple(tuple(int(size) for size in row) for row in np.maximum(sizes, 1.0))
    return Video(f"{kind}/{chunk_s:g}s", chunk_s, whole.ladder_kbps, rows)


def described(environment: Environment) -> str:
    """For progress lines."""
    low, top = environment.top_mbps * environment.low_share, environment.top_mbps
    return (
        f"{low:.2f}-{top:.2f} Mbit/s, a change every {environment.change_s:.0f} s, "
        f"RTT {environment.rtt_ms:.0f} ms, cap {environment.cap_s:.0f} s, "
        f"chunks of {environment.chunk_s:g} s, {environment.kind}"
    )


def as_dict(environment: Environment) -> dict[str, object]:
    """For JSON."""
    return {each.name: getattr(environment, each.name) for each in fields(environment)}
