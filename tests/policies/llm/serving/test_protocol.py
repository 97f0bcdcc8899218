"""What goes over the wire: exactly what was meant, or a refusal that names the field."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.observation import HORIZON, PastChunk
from policies.llm.serving import protocol
from policies.llm.serving.fields import FieldError
from policies.llm.serving.protocol import Request
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import SHORTEST_DOWNLOAD_S, VideoStep
from tests.support.llm_server_fakes import FACTS, observations


def dump_request(request: Request) -> bytes:
    return protocol.dump_request(request, TASK)


def load_request(body: bytes) -> Request:
    return protocol.load_request(body, {TASK.name: TASK})


STEPS = tuple(VideoStep.of(observation) for observation in observations(1))
WHOLE = Request("ladder", "a-session", 0, STEPS, FACTS, 250.0)


def test_a_steps_way_over_the_wire_gives_the_observation_back() -> None:
    seen = observations(2)
    sent = load_request(dump_request(Request("ladder", "x", 0, tuple(map(VideoStep.of, seen)), FACTS, 1.0)))
    history: tuple[PastChunk, ...] = ()
    for step, observation in zip(sent.steps, seen, strict=True):
        history = history if step.past is None else (*history, step.past)
        assert step.observation(history) == observation


amount = st.floats(0.0, 1e15)
duration = st.floats(SHORTEST_DOWNLOAD_S, 1e15)
rows = st.lists(st.tuples(*[st.integers(1, 10**15)] * 6), min_size=1, max_size=HORIZON).map(tuple)


@settings(max_examples=60)
@given(
    past=st.builds(PastChunk, st.integers(0, 5), st.integers(1, 10**15), duration, *[amount] * 4),
    step=st.tuples(amount, rows, st.integers(HORIZON, 4096), amount),
    start=st.integers(1, 4000),
    deadline_ms=st.floats(0.0, 60_000.0),
)
def test_whatever_a_client_knows_passes_to_the_last_bit(
    past: PastChunk, step: tuple[Any, ...], start: int, deadline_ms: float
) -> None:
    request = Request("ladder", "s", start, (VideoStep(past, *step),), None, deadline_ms)
    assert load_request(dump_request(request)) == request


def set_at(message: Any, path: tuple[str | int, ...], value: object) -> None:
    for key in path[:-1]:
        message = message[key]
    message[path[-1]] = value


FIELDS: list[tuple[tuple[str | int, ...], object, str]] = [
    (("session",), "", "session"),
    (("session",), "../etc", "session"),
    (("session",), 7, "session"),
    (("from",), -1, "from"),
    (("from",), True, "from"),
    (("from",), 1, "steps[0].past"),
    (("deadline_ms",), "soon", "deadline_ms"),
    (("deadline_ms",), 1e9, "deadline_ms"),
    (("context",), None, "context"),
    (("context", "chunk_s"), 0, "context.chunk_s"),
    (("context", "ladder_kbps"), [300, 200, 1200, 1850, 2850, 4300], "context.ladder_kbps"),
    (("context", "ladder_kbps"), [300, 750, 1200], "context.quality"),
    (("context", "ladder_kbps", 2), 1200.5, "context.ladder_kbps[2]"),
    (("context", "codec"), "av1", "context.codec"),
    (("steps",), [], "steps"),
    (("steps",), {}, "steps"),
    (("steps", 3), None, "steps[3]"),
    (("steps", 0, "past"), {}, "steps[0].past"),
    (("steps", 2, "past"), None, "steps[2].past"),
    (("steps", 2, "past", "level"), 64, "steps[2].past.level"),
    (("steps", 2, "past", "level"), 1.0, "steps[2].past.level"),
    (("steps", 2, "past", "throughput_mbps"), -0.5, "steps[2].past.throughput_mbps"),
    (("steps", 2, "past", "download_s"), 0, "steps[2].past.download_s"),
    (("steps", 2, "past", "size_bytes"), 0, "steps[2].past.size_bytes"),
    (("steps", 2, "past", "rtt_ms"), None, "steps[2].past.rtt_ms"),
    (("steps", 2, "past", "name"), "x", "steps[2].past.name"),
    (("steps", 1, "buffer_s"), [1], "steps[1].buffer_s"),
    (("steps", 1, "elapsed_s"), 1e300, "steps[1].elapsed_s"),
    (("steps", 1, "chunks_left"), 0, "steps[1].chunks_left"),
    (("steps", 1, "next_sizes_bytes"), [], "steps[1].next_sizes_bytes"),
    (("steps", 1, "next_sizes_bytes"), [[1] * 6] * (HORIZON + 1), "steps[1].next_sizes_bytes"),
    (("steps", 1, "next_sizes_bytes", 2), 5, "steps[1].next_sizes_bytes[2]"),
    (("steps", 1, "next_sizes_bytes", 2, 4), 0, "steps[1].next_sizes_bytes[2][4]"),
    (("color",), "red", "color"),
]


@pytest.mark.parametrize(("path", "value", "field"), FIELDS, ids=lambda each: str(each)[:40])
def test_a_wrong_field_is_named(path: tuple[str | int, ...], value: object, field: str) -> None:
    message = json.loads(dump_request(WHOLE))
    set_at(message, path, value)
    with pytest.raises(FieldError) as refused:
        load_request(json.dumps(message).encode())
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ") and "\n" not in str(refused.value)


def test_a_missing_field_is_named() -> None:
    message = json.loads(dump_request(WHOLE))
    del message["steps"][4]["past"]["stall_s"]
    with pytest.raises(FieldError, match=r"steps\[4\]\.past\.stall_s: missing"):
        load_request(json.dumps(message).encode())


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b'"deadline_ms":250.0', b'"deadline_ms":NaN'),
        lambda text: text[: len(text) // 2],
        lambda text: b"\xff" + text,
        lambda text: b"[" * 100_000,
        lambda text: b"",
    ],
)
def test_what_is_no_json_is_refused(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(FieldError) as refused:
        load_request(damage(dump_request(WHOLE)))
    assert refused.value.field == "body"
