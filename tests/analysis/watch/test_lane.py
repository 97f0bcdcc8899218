"""Whatever stands in a record, a lane comes to no fault, and tells plain numbers and words."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.watch.lane import MOST_ROWS, Lane

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MANIFEST: dict[str, Any] = {
    "line": "manifest",
    "schema": 1,
    "policy": {"spec": "bba"},
    "video": {"name": "v", "ladder_kbps": [300, 700], "chunks": 3, "chunk_s": 4.0},
    "trace": {"name": "t", "time_s": [0.0, 5.0], "rate_mbps": [1.0, 2.0], "start_s": 0.0},
}
CHUNK: dict[str, Any] = {
    "line": "chunk",
    "chunk": 0,
    "level": 1,
    "request_s": 1.0,
    "download_s": 2.0,
    "throughput_mbps": 3.0,
    "buffer_before_s": 0.0,
    "buffer_after_s": 4.0,
    "stall_s": 0.0,
    "decision_s": 0.001,
    "by": "policy",
}
CALL = MANIFEST | {"task": "call", "call": {"duration_s": 10.0}}
DECISION: dict[str, Any] = {"line": "decision", "at_s": 1.0, "kbps": 300.0, "by": "policy"}
SECOND: dict[str, Any] = {"line": "second", "second": 1, "bytes": 1, "missed": 0, "shown_s": [0.5, 0.9]}
END: dict[str, Any] = {"line": "end", "outcome": "finished", "valid": True, "link": {"reasons": ["a"]}}


def taken(*lines: dict[str, Any]) -> Lane:
    lane = Lane(1, "a")
    for line in lines:
        lane.take(json.dumps(line).encode())
    return lane


def test_a_record_s_lines_become_rows() -> None:
    lane = taken(MANIFEST, CHUNK, END)
    assert lane.rows == [[0, 1, 1.0, 3.0, 3.0, 0.0, 4.0, 0.0, 0.001, "policy", "", None]]
    assert (lane.damaged, lane.last_s) == (0, 3.0)
    head, end = lane.whole()
    assert (head["head"]["length_s"], end["end"]["reasons"]) == (12.0, ["a"])
    assert taken(MANIFEST, CHUNK | {"latency_s": 3.25}).rows[0][-1] == 3.25


def test_words_are_cut() -> None:
    lane = taken(MANIFEST, CHUNK | {"reason": "x" * 100_000})
    assert len(lane.rows[0][10]) == 120


def test_of_a_long_record_the_last_part_is_kept() -> None:
    count = 2 * MOST_ROWS + 5
    lane = taken(MANIFEST, *({**CHUNK, "chunk": place} for place in range(count)))
    assert MOST_ROWS <= len(lane.rows) <= 2 * MOST_ROWS
    (message,) = lane.whole()
    assert [row[0] for row in message["rows"]] == list(range(count - MOST_ROWS, count))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), value=VALUES)
def test_any_value_in_any_place_does_no_harm(data: st.DataObject, value: Any) -> None:
    lines = data.draw(st.sampled_from([(MANIFEST, CHUNK, CHUNK, END), (CALL, DECISION, SECOND, SECOND, END)]))
    place = data.draw(st.integers(0, len(lines) - 1))
    name = data.draw(st.sampled_from(sorted(lines[place])))
    if isinstance(lines[place][name], dict) and data.draw(st.booleans()):
        inner = data.draw(st.sampled_from(sorted(lines[place][name])))
        changed = lines[place] | {name: lines[place][name] | {inner: value}}
    else:
        changed = lines[place] | {name: value}
    lane = taken(*lines[:place], changed, *lines[place + 1 :])
    told = [*lane.whole(), *lane.news()]
    json.dumps(told, allow_nan=False).encode()
    for row in lane.rows:
        assert all(isinstance(one, int | float | str | list | None) for one in row)
