"""A trace as one process of ours hands it to another: quick to read, for who reads it has links to shape.

A trace of ten minutes in steps of 20 ms has 30,000 points. As lists in JSON they took the shaper 50 to 100 ms
to read and check, in which no other lane's rate was changed; packed they take 2.
"""

from __future__ import annotations

import base64
from array import array
from collections.abc import Mapping
from typing import Any

from traces.trace import Trace

_DOUBLES = "d"
"""Of this machine, as both processes are."""


def packed(trace: Trace) -> dict[str, Any]:
    """The trace in plain values; `unpacked` reads them."""
    columns = {
        name: base64.b64encode(array(_DOUBLES, values).tobytes()).decode()
        for name, values in trace.columns.items()
    }
    return {"name": trace.name, "family": trace.family, "packed": columns}


def unpacked(told: Mapping[str, Any]) -> Trace:
    """What `packed` made, from a trace that is one: nothing is checked again.

    Raises:
        KeyError: a field is missing.
    """
    columns: dict[str, tuple[float, ...]] = {}
    for name, text in told["packed"].items():
        values = array(_DOUBLES)
        values.frombytes(base64.b64decode(text))
        columns[name] = tuple(values)
    return Trace.of_checked(told["name"], told["family"], **columns)
