"""Records of simulated sessions that are there already: are they of the sessions that are asked for?"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from player.qoe import SessionSummary, summarise
from player.record import OtherVersionError, RecordError, read_record
from testbed.process.errors import TestbedError
from testbed.simulated.record_names import whose
from testbed.simulated.simulation import SessionToSimulate
from traces.commands import said_of
from traces.files import DAMAGED, put_aside

OF_A_RUN = ("run_id", "started_at", "command_line", "directory", "host", "versions", "code")
"""What a manifest says of the run, not of the session."""


def kept_summary(
    session: SessionToSimulate, asked: dict[str, Any], damaged: list[str]
) -> SessionSummary | None:
    """The figures of a session whose complete record is there; None if there is none, or one that is damaged
    or another session's, whose fault is added to `damaged`.

    Raises:
        TestbedError: a record of the session by other options, or of another version of us.
        OSError: a damaged one cannot be put aside.
    """
    if not os.path.lexists(session.record):
        return None
    way_out = "remove it, or name another --out"
    try:
        record = read_record(session.record)
    except OtherVersionError as error:
        raise TestbedError(f"{error}; {way_out}") from None
    except (RecordError, OSError) as error:
        _put_aside(session.record, said_of(error) if isinstance(error, OSError) else str(error), damaged)
        return None
    if stranger := whose(session.record.name, record.manifest):
        _put_aside(session.record, f"{session.record}:1: the record of another session, {stranger}", damaged)
        return None
    there = {key: value for key, value in record.manifest.items() if key not in ("line", "schema", *OF_A_RUN)}
    wanted = as_written({key: value for key, value in asked.items() if key not in OF_A_RUN})
    for both in (there, wanted):
        both["trace"] = {key: value for key, value in both.get("trace", {}).items() if key != "spec"}
    if "sources" not in _object(there.get("policy")):  # older records name the policy's own file alone
        wanted["policy"].pop("sources", None)
    _object(there.get("policy")).pop("arithmetic", None)  # known once a session has begun
    difference = _other_values(there, wanted) or first_difference(there, wanted)
    if difference is not None:
        way_out = _to_go_on(difference, there) or way_out
        raise TestbedError(f"{session.record} is of another session: {difference}; {way_out}")
    return summarise(record.chunks, record.end, record.ladder_kbps, session.qoe)


def _other_values(there: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """That the trace isn't the same, which seeds and all the rest follow from; None where it is."""
    if _object(there.get("trace")).get("sha256") == wanted["trace"]["sha256"]:
        return None
    return (
        f"trace {wanted['trace']['name']} has other values now, by another file or other options of reading"
    )


def _to_go_on(difference: str, there: dict[str, Any]) -> str | None:
    """Where a default was another one when the record was made: the option that goes on with it."""
    option = None
    if difference.startswith("player.fallback "):
        option = f"--fallback {there['player']['fallback']}"
    elif difference.startswith("told_qoe.mu ") and isinstance(mu := there["told_qoe"]["mu"], int | float):
        option = f"--mu {mu!r}"
    return None if option is None else f"add {option} to go on with it, or name another --out"


def _put_aside(record: Path, fault: str, damaged: list[str]) -> None:
    place = put_aside(record, DAMAGED)
    damaged.append(f"{fault}; it is {place.name} now")


def _object(held: Any) -> dict[str, Any]:
    return held if isinstance(held, dict) else {}


def as_written(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a manifest's fields are once they have been written and read again: tuples are lists then."""
    written: dict[str, Any] = json.loads(json.dumps(manifest))
    return written


def first_difference(there: Any, wanted: Any, place: str = "") -> str | None:
    """Where two JSON values differ first, in words; None when they are equal."""
    if isinstance(there, dict) and isinstance(wanted, dict):
        for key in dict.fromkeys((*wanted, *there)):
            here = f"{place}.{key}" if place else key
            if there.get(key) is None and wanted.get(key) is None:
                continue  # not known: said as null, or not at all
            if key not in wanted or key not in there:
                return f"its manifest has {'no ' if key in wanted else ''}{here}"
            found = first_difference(there[key], wanted[key], here)
            if found is not None:
                return found
        return None
    if there == wanted:
        return None
    short = [text if len(text) <= 60 else f"{text[:57]}…" for text in map(json.dumps, (there, wanted))]
    return f"{place} is {short[0]}, asked for {short[1]}"
