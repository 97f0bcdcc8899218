"""All that is needed to have the same results again: commands, versions, settings, hashes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from analysis.report.parts.blocks import Block, Code, Paragraph, Section
from analysis.report.parts.made_tables import (
    links_table,
    machines_table,
    policies_table,
    traces_table,
    videos_table,
)
from analysis.report.parts.planned import Sweep
from analysis.report.parts.session_rows import SessionRow
from analysis.report.parts.study import Study
from analysis.report.parts.typed import TypedCommand, once, typed, with_counts
from player.perceived.p1203 import P1203Scoring
from traces.versions import typed_in

MADE, REPORTED, COMPARED = (
    "Commands that made the sessions, typed in Streambed's folder",
    "Command that made this report",
    "The same numbers as text",
)
"""What the lines to type are headed by."""
COMMANDS = 30
"""So many different ones are shown."""


def commands(study: Study) -> list[TypedCommand]:
    """Commands that made the sessions, with how many each made; a sweep's own where there is one."""
    if study.sweep is not None:
        return once(command for command in study.sweep.commands if command.words)
    return with_counts((row.made.command for row in study.rows), "session")[:COMMANDS]


def checksums(rows: Sequence[SessionRow], folder: Path) -> str:
    """What `sha256sum --check` takes: every record's hash and where it is, seen from a folder."""
    lines = []
    for row in rows:
        lines.append(f"{row.sha256}  {os.path.relpath(row.path, folder)}\n")
    return "".join(sorted(lines, key=lambda line: line[66:]))


def repeating(study: Study, command: Sequence[str], checksums_file: str) -> Section:
    """How to have the same again."""
    lines, made = typed(commands(study)), [row.made for row in study.rows]
    blocks: list[Block] = [Code(MADE, lines or "# the records name none")]
    sweep = study.sweep
    blocks += sweep_blocks(sweep) if sweep is not None else []
    blocks.append(Code(REPORTED, typed([TypedCommand(tuple(command), typed_in())])))
    if study.baseline is not None:
        compared = ("python", "-m", "analysis", "compare", *_compare_words(study, command))
        blocks.append(Code(COMPARED, typed([TypedCommand(compared, typed_in())])))
    blocks += [
        policies_table(made),
        traces_table(made),
        videos_table(made),
        links_table(made),
        machines_table(made),
        Paragraph(
            f"The records themselves: {len(study.rows)} files, whose SHA-256 hashes are in {checksums_file}"
            " beside this page"
            f" (sha256sum --check {checksums_file})."
        ),
    ]
    return Section("repeat", "How to repeat it", tuple(blocks))


def sweep_blocks(sweep: Sweep) -> list[Block]:
    """A sweep's file, and how it was carried out."""
    words = [
        f"plan SHA-256 {sweep.plan_sha256}",
        f"order seed {sweep.order_seed}",
        f"retries {sweep.retries}",
    ]
    words += [f"begun {sweep.begun_at}", f"last updated {sweep.updated_at}"]
    words += [sweep.spent] if sweep.spent else []
    blocks: list[Block] = [
        Code(f"{sweep.file_path}, SHA-256 {sweep.file_sha256}", sweep.file_text.rstrip()),
        Paragraph(f"Sweep: {'; '.join(words)}."),
    ]
    if sweep.host:
        blocks.append(Paragraph(f"Machine: {', '.join(f'{name} {value}' for name, value in sweep.host)}."))
    return blocks


def _compare_words(study: Study, command: Sequence[str]) -> list[str]:
    """Options of `analysis compare` that give the large table's numbers: those of the report's own that say
    which sessions count are handed on."""
    words = [command[4], "--by", "setting", "--baseline", study.baseline or ""]
    for name, value in zip(command[5:], [*command[6:], ""], strict=False):
        words += ["--policy", value] if name == "--policy" else []
        words += ["--interrupted"] if name == "--interrupted" else []
    asked = study.scoring
    words += ["--qoe", asked.kind, *([] if asked.mu is None else ["--mu", _exact(asked.mu)])]
    if isinstance(asked, P1203Scoring):
        words += ["--viewing", asked.viewing.written]
    else:
        words += ["--smooth", _exact(asked.smooth)]
    return words + (["--cluster", study.rule.pattern] if study.rule.pattern else [])


def _exact(weight: float) -> str:
    """Short where that is all of it."""
    short = f"{weight:g}"
    return short if float(short) == weight else repr(weight)
