"""What a sweep will take: wall time and disk."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.sweeps.experiment.units import Unit

SETUP_S = 6.0
"""To make a lane, probe it, start its processes, and take it down again (a guess for a busy small
machine; it is the smaller part of a session)."""

CHUNK_BYTES = 620
"""A chunk's line in a record …"""
LEVEL_BYTES = 8
"""… a chunk's size at a level in its manifest …"""
POINT_BYTES = 18
"""… a point of the trace there …"""
RECORD_BYTES = 4_000
"""… and the rest."""
STEP_BYTES = 300
"""A line of a link log, at least one a second …"""
REQUEST_BYTES = 700
"""… and of an origin log."""


def disk_bytes(unit: Unit, simulated: bool) -> int:
    """What a unit's records and logs take."""
    record = (
        RECORD_BYTES
        + unit.chunks * (CHUNK_BYTES + unit.whole.levels * LEVEL_BYTES)
        + len(unit.swept.trace.time_s) * POINT_BYTES
    )
    logs = 0 if simulated else round(unit.length_s * STEP_BYTES) + unit.chunks * unit.players * REQUEST_BYTES
    return unit.players * record + logs


def emulated_s(units: Sequence[Unit], lanes: int) -> float:
    """Wall time of units on so many lanes."""
    return sum(unit.length_s + SETUP_S for unit in units) / max(lanes, 1)
