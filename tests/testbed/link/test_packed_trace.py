"""A trace that is handed over packed is the same one."""

from __future__ import annotations

import json
from itertools import islice

import pytest

from testbed.link.packed_trace import packed, unpacked
from traces.trace import Trace

RATES = Trace("a/0", (0.0, 0.02, 1.0 / 3), (0.0, 0.1, 1e9 / 7), "a")
WHOLE = Trace("b", (0.0, 1.0, 2.0), (1.0, 0.0, 2.0), delay_ms=(0.0, 1.5, 20.0), loss_pct=(0.0, 0.0, 12.5))


@pytest.mark.parametrize("trace", [RATES, WHOLE])
def test_it_is_the_same_to_the_last_bit(trace: Trace) -> None:
    again = unpacked(json.loads(json.dumps(packed(trace))))
    assert again == trace and again.sha256 == trace.sha256 and again.family == trace.family
    assert list(islice(again.steps(0.01), 5)) == list(islice(trace.steps(0.01), 5))
    assert again.mean_mbps == trace.mean_mbps
