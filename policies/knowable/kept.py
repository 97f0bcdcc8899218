"""The bound on disk: what each member brought, so that a killed run goes on, and policies are added later.

One JSON object; an entry of `bounds` for each family with its conditions, its members' figures, and, once all
members are there, what they come to. `analysis` reads such a file (`analysis/knowable/bound_file.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from player.buffer import CAP_MS
from player.defaults import RTT_MS
from policies.knowable.share import MemberFigures, shared_out
from policies.knowable.study import BoundStudy
from traces.files import write_aside
from traces.safe_reading import BadFileError, read_json_object

SCHEMA = 3


class BoundFileError(ValueError):
    """A file that holds no bounds; the message names it and the way out."""


def conditions(study: BoundStudy) -> dict[str, Any]:
    """What two entries must have alike for one to go on from the other."""
    return {
        "family": study.model.family,
        "generator_sha256": hashlib.sha256(study.model.to_json().encode()).hexdigest(),
        "members": [study.members[0], study.members[-1] + 1],
        "video": study.video.name,
        "ladder_kbps": list(study.video.ladder_kbps),
        "chunk_s": study.video.chunk_s,
        "chunks": study.chunks,
        "link": "published",
        "rtt_ms": RTT_MS,
        "buffer_cap_s": CAP_MS / 1000.0,
        "qoe": {"kind": study.qoe.kind, "mu": study.qoe.mu, "smooth": study.qoe.smooth},
    }


def rows_of(found: Iterable[MemberFigures]) -> list[dict[str, Any]]:
    """Members' figures as JSON holds them, by number, and what they come to under their shares."""
    rows = sorted(found, key=lambda each: each.member)
    return [asdict(each) | asdict(under) for each, under in zip(rows, shared_out(rows), strict=True)]


class BoundsFile:
    """The entries of a file, written anew with each that is kept.

    Args:
        path: the file, which need not be there; None: nothing is written.

    Raises:
        BoundFileError: it holds something else.
        OSError: it can't be read.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.entries = [] if path is None else _read(path)

    def entry_of(self, study: BoundStudy) -> dict[str, Any] | None:
        """The entry of a study's conditions."""
        asked = conditions(study)
        return next((each for each in self.entries if _same(each, asked)), None)

    def keep(self, study: BoundStudy, entry: dict[str, Any]) -> None:
        """Put an entry in the place of the one of a study's conditions, or after all.

        Raises:
            OSError: it can't be written.
        """
        asked = conditions(study)
        places = [place for place, each in enumerate(self.entries) if _same(each, asked)]
        self.entries[slice(*((places[0], places[0] + 1) if places else (len(self.entries), None)))] = [entry]
        if self._path is not None:
            text = json.dumps({"schema": SCHEMA, "bounds": self.entries}, indent=1, allow_nan=False)
            write_aside(self._path, text + "\n")


def _same(entry: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    return {key: entry.get(key) for key in asked} == asked


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        held = read_json_object(path)
    except FileNotFoundError:
        return []
    except BadFileError as error:
        raise BoundFileError(f"{error}; not bounds: name another --out") from None
    entries: Any = held.get("bounds")
    are_some = isinstance(entries, list) and all(isinstance(each, dict) for each in entries)
    if held.get("schema") != SCHEMA or not are_some:
        raise BoundFileError(f"{path}: no bounds of schema {SCHEMA}; name another --out")
    return list(entries)


def held_of(entry: Mapping[str, Any] | None, weights: Mapping[str, str | None]) -> dict[int, MemberFigures]:
    """Members' figures in an entry, without those of policies that had other weights.

    Args:
        weights: SHA-256 of what decides, by policy.

    Raises:
        BoundFileError: they can't be read.
    """
    if entry is None:
        return {}
    try:
        told = entry.get("decided_by") or {}
        stale = {name for name, sha256 in weights.items() if told.get(name) != sha256}
        rows = [_figures(row) for row in entry["by_member"]]
        return {row.member: _without(row, stale) for row in rows}
    except (AttributeError, KeyError, TypeError) as error:
        raise BoundFileError(
            f"{entry.get('family')}: its members' figures can't be read ({error}); name another --out"
        ) from None


def _figures(row: Mapping[str, Any]) -> MemberFigures:
    """What a row was written of."""
    given = {each.name: row[each.name] for each in fields(MemberFigures)}
    return MemberFigures(**given | {"bounds": tuple(given["bounds"])})


def _without(row: MemberFigures, names: set[str]) -> MemberFigures:
    played, paid = (
        {name: value for name, value in each.items() if name not in names} for each in (row.played, row.paid)
    )
    return replace(row, played=played, paid=paid)


def without_members(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as a person asks for it."""
    return {key: value for key, value in entry.items() if key != "by_member"}
