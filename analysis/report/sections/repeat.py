"""All that is needed to have the same results again: commands, versions, settings, hashes."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from analysis.report.parts.blocks import Block, Code, Paragraph, Section
from analysis.report.parts.planned import in_words
from analysis.report.parts.session_rows import CodeState, SessionRow, TraceFacts
from analysis.report.parts.study import Study
from analysis.report.parts.table_rendering import LEFT, Cell, Column, RowGroup, Table, number, word
from analysis.report.parts.typed import TypedCommand, once, typed
from traces.versions import typed_in
from traces.words import SHORT_HASH, short_hash

MADE, REPORTED, COMPARED = (
    "Commands that made the sessions, typed in Streambed's folder",
    "Command that made this report",
    "The same numbers as text",
)
"""What the lines to type are headed by."""
COMMANDS = 30
"""So many different ones are shown."""

Fact = TypeVar("Fact")


def _hash(value: str | None) -> Cell:
    if not value:
        return Cell("–", (None,))
    return Cell(short_hash(value), (value,), kind="code")


def commands(study: Study) -> list[TypedCommand]:
    """Commands that made the sessions, with how many each made; a sweep's own where there is one."""
    if study.sweep is not None:
        return once(command for command in study.sweep.commands if command.words)
    found = Counter(row.made.command for row in study.rows if row.made.command.words)
    made = Counter[tuple[object, ...]]()
    for command, count in found.items():
        made[command.work] += count
    return [replace(one, note=_sessions(made[one.work])) for one in once(found)][:COMMANDS]


def _sessions(count: int) -> str:
    return f"{count} session{'s' * (count != 1)}"


def policies_table(study: Study) -> Table:
    """Each policy as it was asked for, with its options, weights and source."""
    rows = []
    for facts, count in _counted(row.made.policy for row in study.rows):
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


def traces_table(study: Study) -> Table:
    """Families of traces and what was typed for them, each with one hash over all."""
    families: dict[tuple[str, str], set[TraceFacts]] = {}
    for row in study.rows:
        if (trace := row.made.trace) is not None:
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


def videos_table(study: Study) -> Table:
    """Videos as they were streamed."""
    rows = []
    for facts, count in _counted(row.made.video for row in study.rows):
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


def links_table(study: Study) -> Table:
    """Link and player settings in full."""
    rows = []
    for (link, player), count in _counted((row.made.link, row.made.player) for row in study.rows):
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


def machines_table(study: Study) -> Table:
    """On what, and with which versions."""
    rows = []
    for (host, code), versions, count in _machines(study.rows):
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


def _machines(rows: Iterable[SessionRow]) -> list[tuple[Machine, dict[str, str], int]]:
    """Machine and tree, versions, sessions. Records that don't contradict each other share a line: each has
    the versions of what its own process had loaded, which may be more or less."""
    found: list[tuple[Machine, dict[str, str], int]] = []
    made = ((row.made.host, row.made.versions, row.made.code) for row in rows)
    for (host, versions, code), count in _counted(made):
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


def checksums(rows: Sequence[SessionRow], folder: Path) -> str:
    """What `sha256sum --check` takes: every record's hash and where it is, seen from a folder."""
    lines = []
    for row in rows:
        lines.append(f"{row.sha256}  {os.path.relpath(row.path, folder)}\n")
    return "".join(sorted(lines, key=lambda line: line[66:]))


def repeating(study: Study, command: Sequence[str], checksums_file: str) -> Section:
    """How to have the same again."""
    lines = typed(commands(study))
    blocks: list[Block] = [Code(MADE, lines or "# the records name none")]
    sweep = study.sweep
    if sweep is not None:
        blocks.append(Code(f"{sweep.file_path}, SHA-256 {sweep.file_sha256}", sweep.file_text.rstrip()))
        words = [
            f"plan SHA-256 {sweep.plan_sha256}",
            f"order seed {sweep.order_seed}",
            f"retries {sweep.retries}",
        ]
        words += [f"begun {sweep.begun_at}", f"last updated {sweep.updated_at}"]
        words += [sweep.spent] if sweep.spent else []
        blocks.append(Paragraph(f"Sweep: {'; '.join(words)}."))
        if sweep.host:
            blocks.append(
                Paragraph(f"Machine: {', '.join(f'{name} {value}' for name, value in sweep.host)}.")
            )
    blocks.append(Code(REPORTED, typed([TypedCommand(tuple(command), typed_in())])))
    if study.baseline is not None:
        compared = ("python", "-m", "analysis", "compare", *_compare_words(study, command))
        blocks.append(Code(COMPARED, typed([TypedCommand(compared, typed_in())])))
    blocks += [
        policies_table(study),
        traces_table(study),
        videos_table(study),
        links_table(study),
        machines_table(study),
        Paragraph(
            f"The records themselves: {len(study.rows)} files, whose SHA-256 hashes are in {checksums_file}"
            " beside this page"
            f" (sha256sum --check {checksums_file})."
        ),
    ]
    return Section("repeat", "How to repeat it", tuple(blocks))


def _compare_words(study: Study, command: Sequence[str]) -> list[str]:
    """Options of `analysis compare` that give the large table's numbers: those of the report's own that say
    which sessions count are handed on."""
    words = [command[4], "--by", "setting", "--baseline", study.baseline or ""]
    for name, value in zip(command[5:], [*command[6:], ""], strict=False):
        words += ["--policy", value] if name == "--policy" else []
        words += ["--interrupted"] if name == "--interrupted" else []
    asked = study.scoring
    words += ["--qoe", asked.kind, *([] if asked.mu is None else ["--mu", _exact(asked.mu)])]
    words += ["--smooth", _exact(asked.smooth)]
    return words + (["--cluster", study.rule.pattern] if study.rule.pattern else [])


def _exact(weight: float) -> str:
    """Short where that is all of it."""
    short = f"{weight:g}"
    return short if float(short) == weight else repr(weight)
