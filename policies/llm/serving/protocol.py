"""What a client and the policy server say to each other: JSON over HTTP, checked field by field.

    POST /v1/decide        a request (below); 200 with an answer
                           409 {"steps": n}  the server holds n steps of this session: send all again
                           422 {"field": …}  a field that is not as it must be
                           429               queue or sessions are full; Retry-After says when to come back
                           504 {"steps": n}  it can't be decided by the deadline, said then or, where the
                             server keeps a budget, at once: the client's light policy decides;
                             n steps are held
    DELETE /v1/sessions/ID the session is over
    GET /healthz           what is served; GET /readyz; GET /metrics (Prometheus)

A request's steps are what the client newly knew each time that it asked for a chunk. It sends those since
the last one that the server acknowledged, also of chunks that somebody else decided in between; `from`
counts the ones before. With all of them (`from` 0, and the video's facts) a server that has just been
started builds the same state and decides the same. Numbers pass exactly: JSON writes a float so that it
reads back equal.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NoReturn

from player.observation import HORIZON, Observation, PastChunk
from policies.llm.tasks.abr.features import VideoFacts

DECIDE, SESSIONS, HEALTH, READY, METRICS = "/v1/decide", "/v1/sessions", "/healthz", "/readyz", "/metrics"

MOST_STEPS = 4096
"""Of one session: over four hours of 4-s chunks."""
MOST_LEVELS = 64
MOST_BODY_BYTES = 8 * 1024 * 1024
"""All steps of the longest session of an ordinary ladder."""
LONGEST_DEADLINE_MS = 60_000.0
SHORTEST_DOWNLOAD_S = 1e-6
"""No chunk arrives within a microsecond; a time of 0 would make what is worked out of it no number."""
_MOST = 1e15
"""No size, time or rate of a client is larger; beyond it arithmetic in single precision breaks."""
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")

BY_LLM = "llm"


class FieldError(ValueError):
    """A message that is not as it must be; `field` says where, as `steps[2].past.level`."""

    def __init__(self, field: str, fault: str) -> None:
        super().__init__(f"{field}: {fault}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Step:
    """What a client newly knew when it asked for one chunk."""

    past: PastChunk | None
    """The chunk before; None at the first."""
    buffer_s: float
    next_sizes_bytes: tuple[tuple[int, ...], ...]
    """As in `Observation`."""
    chunks_left: int
    elapsed_s: float

    @classmethod
    def of(cls, observation: Observation) -> Step:
        return cls(
            observation.history[-1] if observation.history else None,
            observation.buffer_s,
            observation.next_sizes_bytes,
            observation.chunks_left,
            observation.elapsed_s,
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
        )


@dataclass(frozen=True, slots=True)
class Request:
    """Decide the chunk of the last step."""

    session: str
    """A name that the client makes up, another one for every session."""
    start: int
    """Steps before the first one here; `from` on the wire."""
    steps: tuple[Step, ...]
    video: VideoFacts | None
    """With `start` 0 always."""
    deadline_ms: float
    """From the request's arrival; after it nobody waits for the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision."""

    level: int
    margin: float | None
    """How far the best level's logit is above the second best's; None where only one may be taken."""
    by: str
    batch: int
    """Sessions that shared the forward."""
    queue_ms: float
    """From the request's arrival to the beginning of its forward."""
    server_ms: float
    """From the request's arrival to the answer."""
    steps: int
    """Steps of the session that the server holds now."""


def dump_request(request: Request) -> bytes:
    """A request as it goes over the wire."""
    message = {
        "session": request.session,
        "from": request.start,
        "deadline_ms": request.deadline_ms,
        "steps": [_plain(step) for step in request.steps],
    }
    if request.video is not None:
        message["video"] = asdict(request.video)
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode()


def _plain(step: Step) -> dict[str, Any]:
    return {
        "past": None if step.past is None else {name: getattr(step.past, name) for name in _PAST},
        "buffer_s": step.buffer_s,
        "next_sizes_bytes": step.next_sizes_bytes,
        "chunks_left": step.chunks_left,
        "elapsed_s": step.elapsed_s,
    }


_PAST = tuple(field.name for field in fields(PastChunk))


def load_request(body: bytes) -> Request:
    """A request that a client sent.

    Raises:
        FieldError: what of it is not as it must be.
    """
    top = _Fields.of(load_json(body), "")
    session = top.take("session")
    if not (isinstance(session, str) and _SESSION.fullmatch(session)):
        raise FieldError("session", f"{_shown(session)}; expected 1 to 64 letters, digits, - or _")
    start = top.whole("from", 0, MOST_STEPS)
    deadline_ms = top.number("deadline_ms", 0.0, LONGEST_DEADLINE_MS)
    video = _video(top.take("video", None))
    if start == 0 and video is None:
        raise FieldError("video", "missing; it is needed where `from` is 0")
    listed = top.take("steps")
    if not (isinstance(listed, list) and 1 <= len(listed) <= MOST_STEPS - start):
        raise FieldError("steps", f"{_length(listed)}; expected a list of 1 to {MOST_STEPS - start}")
    steps = tuple(_step(each, f"steps[{place}]", start + place) for place, each in enumerate(listed))
    top.nothing_else()
    return Request(session, start, steps, video, deadline_ms)


def _video(given: object) -> VideoFacts | None:
    if given is None:
        return None
    video = _Fields.of(given, "video")
    chunk_s = video.number("chunk_s", 1e-3, 3600.0)
    ladder = _wholes(video.take("ladder_kbps"), "video.ladder_kbps", MOST_LEVELS)
    if any(low >= high for low, high in itertools.pairwise(ladder)):
        raise FieldError("video.ladder_kbps", f"{list(ladder)}; must increase")
    video.nothing_else()
    try:
        return VideoFacts(ladder, chunk_s)
    except ValueError as error:
        raise FieldError("video.ladder_kbps", str(error)) from None


def _step(given: object, where: str, index: int) -> Step:
    step = _Fields.of(given, where)
    past = _past(step.take("past"), f"{where}.past", index)
    sizes = step.take("next_sizes_bytes")
    place = f"{where}.next_sizes_bytes"
    if not (isinstance(sizes, list) and 1 <= len(sizes) <= HORIZON):
        raise FieldError(place, f"{_length(sizes)}; expected a list of 1 to {HORIZON} rows")
    rows = tuple(_wholes(row, f"{place}[{number}]", MOST_LEVELS) for number, row in enumerate(sizes))
    made = Step(
        past,
        step.number("buffer_s", 0.0),
        rows,
        step.whole("chunks_left", len(rows)),
        step.number("elapsed_s", 0.0),
    )
    step.nothing_else()
    return made


def _past(given: object, where: str, index: int) -> PastChunk | None:
    if (given is None) != (index == 0):
        raise FieldError(where, "must be null at a session's first step, and only there")
    if given is None:
        return None
    past = _Fields.of(given, where)
    made = PastChunk(
        level=past.whole("level", 0, MOST_LEVELS - 1),
        size_bytes=past.whole("size_bytes", 1),
        download_s=past.number("download_s", SHORTEST_DOWNLOAD_S),
        throughput_mbps=past.number("throughput_mbps", 0.0),
        rtt_ms=past.number("rtt_ms", 0.0),
        stall_s=past.number("stall_s", 0.0),
        buffer_s=past.number("buffer_s", 0.0),
    )
    past.nothing_else()
    return made


def check_levels(steps: Sequence[Step], video: VideoFacts) -> None:
    """What can only be judged with the ladder at hand.

    Raises:
        FieldError: a level or a row of sizes that is not of this ladder.
    """
    levels = len(video.ladder_kbps)
    for place, step in enumerate(steps):
        if step.past is not None and step.past.level >= levels:
            raise FieldError(f"steps[{place}].past.level", f"{step.past.level}; the ladder has {levels}")
        for number, row in enumerate(step.next_sizes_bytes):
            if len(row) != levels:
                where = f"steps[{place}].next_sizes_bytes[{number}]"
                raise FieldError(where, f"{len(row)} sizes; the ladder has {levels} levels")


def load_answer(body: bytes) -> Answer:
    """A server's answer.

    Raises:
        FieldError: what of it is not as it must be.
    """
    top = _Fields.of(load_json(body), "")
    by, margin = top.take("by"), top.take("margin")
    if not isinstance(by, str):
        raise FieldError("by", f"{_shown(by)}; expected text")
    return Answer(
        level=top.whole("level", 0, MOST_LEVELS - 1),
        margin=None if margin is None else _number(margin, "margin", 0.0, _MOST),
        by=by,
        batch=top.whole("batch", 1),
        queue_ms=top.number("queue_ms", 0.0),
        server_ms=top.number("server_ms", 0.0),
        steps=top.whole("steps", 1),
    )


def load_json(body: bytes) -> Any:
    """A body as JSON, without the numbers that JSON has not.

    Raises:
        FieldError: it is none.
    """
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise FieldError("body", "nested too deeply") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError too
        raise FieldError("body", f"no JSON ({error})") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


_NEEDED = object()


class _Fields:
    """The fields of one JSON object, each taken once."""

    def __init__(self, given: Mapping[str, Any], where: str) -> None:
        self._left = dict(given)
        self._prefix = f"{where}." if where else ""

    @classmethod
    def of(cls, given: object, where: str) -> _Fields:
        if not isinstance(given, dict):
            raise FieldError(where or "body", f"{_shown(given)}; expected an object")
        return cls(given, where)

    def take(self, name: str, default: object = _NEEDED) -> Any:
        if name not in self._left and default is _NEEDED:
            raise FieldError(f"{self._prefix}{name}", "missing")
        return self._left.pop(name, default)

    def number(self, name: str, low: float, high: float = _MOST) -> float:
        return _number(self.take(name), f"{self._prefix}{name}", low, high)

    def whole(self, name: str, low: int, high: int = int(_MOST)) -> int:
        value = self.take(name)
        if not _is_whole(value) or not low <= value <= high:
            expected = f"a whole number from {low} to {high}"
            raise FieldError(f"{self._prefix}{name}", f"{_shown(value)}; expected {expected}")
        return int(value)

    def nothing_else(self) -> None:
        if self._left:
            name = next(iter(self._left))
            raise FieldError(f"{self._prefix}{name[:64]}", "no such field")


def _number(value: object, where: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise FieldError(where, f"{_shown(value)}; expected a number from {low:g} to {high:g}")
    return float(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wholes(given: object, where: str, most: int) -> tuple[int, ...]:
    """A list of 1 to `most` positive whole numbers."""
    if not (isinstance(given, list) and 1 <= len(given) <= most):
        raise FieldError(where, f"{_length(given)}; expected a list of 1 to {most}")
    for place, value in enumerate(given):
        if not _is_whole(value) or not 1 <= value <= _MOST:
            expected = f"a whole number from 1 to {_MOST:g}"
            raise FieldError(f"{where}[{place}]", f"{_shown(value)}; expected {expected}")
    return tuple(given)


def _length(given: object) -> str:
    return f"a list of {len(given)}" if isinstance(given, list) else _shown(given)


def _shown(value: object) -> str:
    """A value on one line of bounded length."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    text = json.dumps(value, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."
