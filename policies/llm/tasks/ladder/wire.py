"""A bitrate session on the wire: what it is asked for, and what a client newly knew at each chunk."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from player.buffer import CAP_MS
from player.observation import HORIZON, Observation, PastChunk
from policies.llm.serving.fields import MOST, FieldError, Fields, is_whole, length, number, shown, wholes
from policies.view.asked import Asked
from policies.view.layout import MAX_LEVELS

MOST_QUALITY = 1e6
MOST_WEIGHT = 1e6
USUAL_CAP_S = CAP_MS / 1000.0
"""A step that doesn't say its buffer's cap has this one."""
SHORTEST_CAP_S = 1e-3
SHORTEST_DOWNLOAD_S = 1e-6
"""No chunk arrives within a microsecond; a time of 0 would make what is worked out of it no number."""


@dataclass(frozen=True, slots=True)
class VideoStep:
    """What a client newly knew when it asked for one chunk."""

    past: PastChunk | None
    """The chunk before; None at the first."""
    buffer_s: float
    next_sizes_bytes: tuple[tuple[int, ...], ...]
    """As in `Observation`."""
    chunks_left: int
    elapsed_s: float
    buffer_cap_s: float = USUAL_CAP_S

    @classmethod
    def of(cls, observation: Observation) -> VideoStep:
        return cls(
            observation.history[-1] if observation.history else None,
            observation.buffer_s,
            observation.next_sizes_bytes,
            observation.chunks_left,
            observation.elapsed_s,
            observation.buffer_cap_s,
        )

    def observation(self, history: tuple[PastChunk, ...]) -> Observation:
        """The observation that the client had, given all past chunks, `past` the last of them."""
        return Observation(
            chunk=len(history),
            history=history,
            buffer_s=self.buffer_s,
            next_sizes_bytes=self.next_sizes_bytes,
            chunks_left=self.chunks_left,
            elapsed_s=self.elapsed_s,
            buffer_cap_s=self.buffer_cap_s,
        )


NOT_SENT = ("given_up_level", "given_up_bytes")
"""Of a past chunk: no model has been taught what a player that gives requests up does."""
_PAST = tuple(field.name for field in fields(PastChunk) if field.name not in NOT_SENT)


def dump_step(step: VideoStep) -> dict[str, Any]:
    """A step as JSON holds it."""
    said: dict[str, Any] = {
        "past": None if step.past is None else {name: getattr(step.past, name) for name in _PAST},
        "buffer_s": step.buffer_s,
        "next_sizes_bytes": step.next_sizes_bytes,
        "chunks_left": step.chunks_left,
        "elapsed_s": step.elapsed_s,
    }
    if step.buffer_cap_s != USUAL_CAP_S:
        said["buffer_cap_s"] = step.buffer_cap_s
    return said


def dump_asked(asked: Asked) -> dict[str, Any]:
    """A session's context as JSON holds it."""
    return {
        "ladder_kbps": list(asked.ladder_kbps),
        "chunk_s": asked.chunk_s,
        "quality": list(asked.quality),
        "mu": asked.mu,
        "smooth": asked.smooth,
    }


def load_asked(given: object) -> Asked:
    """A session's context.

    Raises:
        FieldError: what of it is not as it must be.
    """
    asked = Fields.of(given, "context")
    ladder = wholes(asked.take("ladder_kbps"), "context.ladder_kbps", MAX_LEVELS)
    if any(low >= high for low, high in itertools.pairwise(ladder)):
        raise FieldError("context.ladder_kbps", f"{list(ladder)}; must increase")
    made = Asked(
        ladder,
        asked.number("chunk_s", 1e-3, 3600.0),
        _quality(asked.take("quality"), len(ladder)),
        asked.number("mu", 0.0, MOST_WEIGHT),
        asked.number("smooth", 0.0, MOST_WEIGHT),
    )
    asked.nothing_else()
    return made


def _quality(given: object, levels: int) -> tuple[float, ...]:
    where = "context.quality"
    if not (isinstance(given, list) and len(given) == levels):
        raise FieldError(where, f"{length(given)}; expected a list of {levels}, one for each level")
    quality = tuple(
        number(value, f"{where}[{place}]", -MOST_QUALITY, MOST_QUALITY) for place, value in enumerate(given)
    )
    if any(low > high for low, high in itertools.pairwise(quality)):
        raise FieldError(where, f"{list(quality)}; must not fall")
    return quality


def load_step(given: object, where: str, index: int) -> VideoStep:
    """The session's step of that index.

    Raises:
        FieldError: what of it is not as it must be.
    """
    step = Fields.of(given, where)
    past = _past(step.take("past"), f"{where}.past", index)
    sizes = step.take("next_sizes_bytes")
    place = f"{where}.next_sizes_bytes"
    if not (isinstance(sizes, list) and 1 <= len(sizes) <= HORIZON):
        raise FieldError(place, f"{length(sizes)}; expected a list of 1 to {HORIZON} rows")
    rows = tuple(wholes(row, f"{place}[{number}]", MAX_LEVELS) for number, row in enumerate(sizes))
    made = VideoStep(
        past,
        step.number("buffer_s", 0.0),
        rows,
        step.whole("chunks_left", len(rows)),
        step.number("elapsed_s", 0.0),
        number(step.take("buffer_cap_s", USUAL_CAP_S), f"{where}.buffer_cap_s", SHORTEST_CAP_S, MOST),
    )
    step.nothing_else()
    return made


def _past(given: object, where: str, index: int) -> PastChunk | None:
    if (given is None) != (index == 0):
        raise FieldError(where, "must be null at a session's first step, and only there")
    if given is None:
        return None
    past = Fields.of(given, where)
    made = PastChunk(
        level=past.whole("level", 0, MAX_LEVELS - 1),
        size_bytes=past.whole("size_bytes", 1),
        download_s=past.number("download_s", SHORTEST_DOWNLOAD_S),
        throughput_mbps=past.number("throughput_mbps", 0.0),
        rtt_ms=past.number("rtt_ms", 0.0),
        stall_s=past.number("stall_s", 0.0),
        buffer_s=past.number("buffer_s", 0.0),
    )
    past.nothing_else()
    return made


def check_sizes(steps: Sequence[VideoStep], levels: int) -> None:
    """What can only be judged with the ladder at hand.

    Args:
        levels: of the ladder.

    Raises:
        FieldError: a level or a row of sizes that is not of this ladder.
    """
    for place, step in enumerate(steps):
        if step.past is not None and step.past.level >= levels:
            raise FieldError(f"steps[{place}].past.level", f"{step.past.level}; the ladder has {levels}")
        for ahead, row in enumerate(step.next_sizes_bytes):
            if len(row) != levels:
                where = f"steps[{place}].next_sizes_bytes[{ahead}]"
                raise FieldError(where, f"{len(row)} sizes; the ladder has {levels} levels")


def load_level(given: object, where: str) -> int:
    """An answer's level.

    Raises:
        FieldError: it is none.
    """
    if not is_whole(given) or not 0 <= given < MAX_LEVELS:  # type: ignore[operator]
        raise FieldError(where, f"{shown(given)}; expected a whole number from 0 to {MAX_LEVELS - 1}")
    return int(given)  # type: ignore[call-overload]
