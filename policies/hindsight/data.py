"""Traces to learn from and traces to choose by: who is held out, and how the mix is drawn.

A *source* is a word that the catalogue resolves, with its weight in the mix. Lines are held out
whole: a trace belongs to the validation set when the SHA-1 of its line, as a number, is divisible by
`HOLD_OUT`. Its line is the measuring unit of FCC cuts, the session of Puffer cuts, the place and day of
WiFi logs, and else the trace itself. Members of the generator's families are never held out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from player.defaults import CHUNKS
from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Sessions, Setup
from player.video.built_in import load_video
from player.video.video import Video
from traces.families.catalogue import FAMILIES, resolve_many
from traces.trace import Trace

HOLD_OUT = 5
LINES = (
    re.compile(r"(?:test_fcc_)?trace_(\d+)_https?\b.*"),
    re.compile(r"trace([A-Za-z0-9+_-]{43}=)_\d+"),
    re.compile(r"(wifi_[a-z]+_\d{6})-\d{6}.*"),
)

JITTER = 0.25
"""Standard deviation of the logarithm of the factor on a trace's rates."""
REVERSED_SHARE = 0.3
"""Of the drawn traces that run backwards: outages and swings remain, and there are twice as many."""
RESCALED_MBPS = (0.5, 8.0)
"""Range, in the logarithm, of a rescaled trace's mean."""
DRAWN_TRACES = 512
"""In a library; a new one is drawn now and then."""
FLOOR_MBPS = 0.01
"""A drawn trace's rates are no lower: a link that is dark for an hour teaches nothing."""


class DataError(ValueError):
    """Sources that cannot be learned from; the message names the source and the way out."""


@dataclass(frozen=True)
class TraceSource:
    """Some traces and their weight in the mix."""

    spec: str
    weight: float
    rescaled: bool
    """Bring each trace to a mean within `RESCALED_MBPS`."""
    training: tuple[Trace, ...]
    validation: tuple[Trace, ...]

    @property
    def name(self) -> str:
        return "/".join(self.spec.rstrip("/").split("/")[-2:])


def weighted(word: str) -> tuple[str, float]:
    """`SPEC@WEIGHT` taken apart; the weight is 1 where none is said.

    Raises:
        DataError: a weight that is not positive.
    """
    spec, mark, text = word.rpartition("@")
    if not mark:
        return word, 1.0
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0.0 < weight < np.inf:
        raise DataError(f"{word}: weight {text!r}; write SPEC@WEIGHT with a weight above 0")
    return spec, weight


def line_of(trace: str) -> str:
    """The line that a trace was measured on, by its name."""
    for pattern in LINES:
        if match := pattern.fullmatch(trace):
            return match[1]
    return trace


def held_out(trace: Trace) -> bool:
    """Whether a measured trace is for validation only."""
    return int(hashlib.sha1(line_of(trace.name).encode()).hexdigest(), 16) % HOLD_OUT == 0


def generated(spec: str) -> bool:
    """Whether a word names members of the generator's families."""
    return re.split(r"[/\[]", spec)[0] in FAMILIES


def read_source(word: str, rescaled: bool) -> TraceSource:
    """A source from the command line.

    Raises:
        DataError: a bad weight, or nothing is left to learn from.
        TraceError: no such traces.
    """
    spec, weight = weighted(word)
    found = resolve_many(spec)
    members = generated(spec)
    training = tuple(trace for trace in found if members or not held_out(trace))
    if not training:
        raise DataError(f"{spec}: all of its {len(found)} traces are held out; name more")
    validation = () if members else tuple(trace for trace in found if held_out(trace))
    return TraceSource(spec, weight, rescaled, training, validation)


def with_members_held_out(source: TraceSource) -> TraceSource:
    """A generated source, some of its members for validation; any other as it is.

    Raises:
        DataError: none would be left to learn from.
    """
    if not generated(source.spec):
        return source
    training = tuple(trace for trace in source.training if not held_out(trace))
    if not training:
        raise DataError(f"{source.spec}: all of its {len(source.training)} traces are held out; name more")
    return replace(source, training=training, validation=tuple(filter(held_out, source.training)))


def read_videos(words: Sequence[str]) -> tuple[tuple[Video, ...], np.ndarray]:
    """Videos and their shares of the sessions.

    Raises:
        DataError, VideoError: a bad weight, no such video.
    """
    pairs = [weighted(word) for word in words]
    weights = np.array([weight for _, weight in pairs])
    return tuple(load_video(spec) for spec, _ in pairs), weights / weights.sum()


def draw_library(
    sources: Sequence[TraceSource], videos: Sequence[Video], random: np.random.Generator
) -> Library:
    """`DRAWN_TRACES` varied training traces, each source with its share."""
    weights = np.array([source.weight for source in sources])
    chosen = random.choice(len(sources), DRAWN_TRACES, p=weights / weights.sum())
    return Library([_varied(sources[each], random) for each in chosen], videos)


def _varied(source: TraceSource, random: np.random.Generator) -> Trace:
    trace = source.training[random.integers(len(source.training))]
    delays, losses = trace.delay_ms, trace.loss_pct
    times, rates = np.array(trace.time_s), np.array(trace.rate_mbps)
    factor = np.exp(JITTER * random.standard_normal())
    if source.rescaled:
        factor *= np.exp(random.uniform(*np.log(RESCALED_MBPS))) / trace.mean_mbps
    if random.random() < REVERSED_SHARE:
        times = times[-1] - times[::-1]
        rates = np.concatenate((rates[:1], rates[:0:-1]))
        delays, losses = (values and (values[0], *values[:0:-1]) for values in (delays, losses))
    rates = np.maximum(rates * factor, FLOOR_MBPS)
    return replace(
        trace,
        time_s=tuple(times.tolist()),
        rate_mbps=tuple(rates.tolist()),
        delay_ms=delays,
        loss_pct=losses,
    )


def draw_sessions(
    library: Library, shares: np.ndarray, count: int, random: np.random.Generator, threads: int
) -> Sessions:
    """`count` sessions at random places of a library, their first chunk in."""
    trace = random.integers(len(library.traces), size=count)
    start = 1 + random.integers(1 << 40, size=count) % (library.points()[trace] - 1)
    video = random.choice(len(library.videos), count, p=shares)
    setup = Setup.of(count, trace=trace, start_index=start, video=video)
    return Sessions(library, setup, chunks=CHUNKS, first_level=0, threads=threads)
