"""How sessions or calls came about, as tables: policies, traces, videos, links, machines, with hashes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from analysis.report.parts.planned import in_words
from analysis.report.parts.session_rows import CodeState, Made, TraceFacts
from analysis.report.parts.table_rendering import LEFT, Cell, Column, RowGroup, Table, number, word
from traces.words import SHORT_HASH, short_hash

Fact = TypeVar("Fact")


def _hash(value: str | None) -> Cell:
    if not value:
        return Cell("–", (None,))
    return Cell(short_hash(value), (value,), kind="code")


def policies_table(made: Sequence[Made]) -> Table:
    """Each policy as it was asked for, with its options, weights and source."""
    rows = []
    for facts, count in _counted(one.policy for one in made):
        rows.append(
            (
                word(facts.label),
                word(facts.spec),
                word(in_words(json.loads(facts.parameters))),
                _hash(facts.weights_sha256),
                _hash(facts.source_sha256),
                number(count, "d"),
            )
        )
    columns = (
        Column("policy", ("policy",), LEFT),
        Column("asked for as", ("spec",), LEFT),
        Column("options", ("parameters",), LEFT),
        Column("weights", ("weights_sha256",), LEFT),
        Column("source", ("source_sha256",), LEFT),
        Column("sessions", ("sessions",)),
    )
    caption = f"Policies. Of SHA-256 hashes the first {SHORT_HASH} digits are shown; the CSV file has all."
    return Table("policies", caption, columns, (RowGroup(None, tuple(rows)),), wide=True)


def traces_table(made: Sequence[Made]) -> Table:
    """Families of traces and what was typed for them, each with one hash over all."""
    families: dict[tuple[str, str], set[TraceFacts]] = {}
    for one in made:
        if (trace := one.trace) is not None:
            families.setdefault((trace.family, trace.spec), set()).add(trace)
    rows = []
    for (family, spec), traces in sorted(families.items()):
        lines = sorted(f"{one.sha256}  {one.name}\n" for one in traces)
        digest = hashlib.sha256("".join(lines).encode()).hexdigest()
        rows.append((word(family or "–"), word(spec), number(len(traces), "d"), _hash(digest)))
    columns = (
        Column("family", ("family",), LEFT),
        Column("asked for as", ("spec",), LEFT),
        Column("traces", ("traces",)),
        Column("hash of all", ("sha256",), LEFT),
    )
    caption = "Traces. The hash is over the sorted lines of each trace's own hash and name."
    return Table("traces", caption, columns, (RowGroup(None, tuple(rows)),))


def videos_table(made: Sequence[Made]) -> Table:
    """Videos as they were streamed."""
    rows = []
    for facts, count in _counted(one.video for one in made):
        rows.append(
            (
                word(facts.name),
                number(facts.chunks, "d"),
                number(facts.chunk_s, "g"),
                word(", ".join(map(str, facts.ladder_kbps))),
                _hash(facts.sha256),
                number(count, "d"),
            )
        )
    columns = (
        Column("video", ("video",), LEFT),
        Column("chunks", ("chunks",)),
        Column("chunk s", ("chunk_s",)),
        Column("ladder kbit/s", ("ladder_kbps",), LEFT),
        Column("hash", ("sha256",), LEFT),
        Column("sessions", ("sessions",)),
    )
    return Table("videos", "Videos.", columns, (RowGroup(None, tuple(rows)),))


def links_table(made: Sequence[Made]) -> Table:
    """Link and player settings in full."""
    rows = []
    for (link, player), count in _counted((one.link, one.player) for one in made):
        text = in_words(json.loads(link))
        rows.append((word(text or "a real network"), word(in_words(json.loads(player))), number(count, "d")))
    columns = (
        Column("link", ("link",), LEFT),
        Column("player", ("player",), LEFT),
        Column("sessions", ("sessions",)),
    )
    return Table(
        "links", "Links and players as they were asked for.", columns, (RowGroup(None, tuple(rows)),)
    )


def machines_table(made: Sequence[Made]) -> Table:
    """On what, and with which versions."""
    rows = []
    for (host, code), versions, count in _machines(made):
        text = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        changed = {True: "changed", False: "as it is", None: "–"}[code.dirty]
        rows.append((word(host), word(text), _hash(code.commit), word(changed), number(count, "d")))
    columns = (
        Column("machine", ("host",), LEFT),
        Column("versions", ("versions",), LEFT),
        Column("commit", ("commit",), LEFT),
        Column("its files", ("files",), LEFT),
        Column("sessions", ("sessions",)),
    )
    return Table(
        "machines", "Machines, versions, and Streambed's commit.", columns, (RowGroup(None, tuple(rows)),)
    )


Machine = tuple[str, CodeState]


def _machines(made: Iterable[Made]) -> list[tuple[Machine, dict[str, str], int]]:
    """Machine and tree, versions, sessions. Records that don't contradict each other share a line: each has
    the versions of what its own process had loaded, which may be more or less."""
    found: list[tuple[Machine, dict[str, str], int]] = []
    facts = ((one.host, one.versions, one.code) for one in made)
    for (host, versions, code), count in _counted(facts):
        mine = dict(versions)
        for place, (where, others, already) in enumerate(found):
            if where == (host, code) and all(others.get(name, mine[name]) == mine[name] for name in mine):
                found[place] = where, others | mine, already + count
                break
        else:
            found.append(((host, code), mine, count))
    return found


def _counted(facts: Iterable[Fact]) -> list[tuple[Fact, int]]:
    """Different ones in order of appearance, with how many sessions have them."""
    return list(Counter(facts).items())
