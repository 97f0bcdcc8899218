"""What of a report of calls says how they came about, and which are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from analysis.calls.outcomes import CallSession, FoundCalls
from analysis.compare_report import left_out_lines
from analysis.report.parts.blocks import Block, Bullets, Code, Paragraph, Section
from analysis.report.parts.made_tables import links_table, machines_table, policies_table, traces_table
from analysis.report.parts.planned import Sweep
from analysis.report.parts.session_rows import Made, made_of
from analysis.report.parts.typed import TypedCommand, once, typed, with_counts
from analysis.report.sections.missing import not_good_table, planned_table, state_words
from analysis.report.sections.repeat import COMMANDS, MADE, REPORTED, sweep_blocks
from player.call.record import read_call
from traces.versions import typed_in
from traces.words import counted


def missing_calls(found: FoundCalls, sweep: Sweep | None) -> Section:
    """What is left out, and what of a sweep is not there."""
    blocks: list[Block] = [Paragraph(state_words(sweep, counted(len(found.counted), "call")))]
    said = left_out_lines(found) + list(found.unreadable)
    blocks += [Bullets(tuple(("", line) for line in said))] if said else []
    tables = (not_good_table(sweep), planned_table(sweep))
    return Section("missing", "What is missing or left out", (*blocks, *filter(None, tables)))


def repeating_calls(found: FoundCalls, sweep: Sweep | None, command: Sequence[str]) -> Section:
    """How to have the same again: commands, the sweep's file, versions, settings, hashes.

    Raises:
        OSError, RecordError: a record that was there is gone.
    """
    made = list(_made(found))
    blocks: list[Block] = [Code(MADE, typed(_commands(made, sweep)) or "# the records name none")]
    blocks += sweep_blocks(sweep) if sweep is not None else []
    blocks.append(Code(REPORTED, typed([TypedCommand(tuple(command), typed_in())])))
    tables = (policies_table(made), traces_table(made), links_table(made), machines_table(made))
    return Section("repeat", "How to repeat it", (*blocks, *tables))


def _made(found: FoundCalls) -> Iterator[Made]:
    for one in found.counted:
        session = CallSession(read_call(Path(one.record)))
        yield made_of(session, session.section("call"))


def _commands(made: Sequence[Made], sweep: Sweep | None) -> list[TypedCommand]:
    """Those that made the calls, with how many each made; a sweep's own where there is one."""
    if sweep is not None:
        return once(command for command in sweep.commands if command.words)
    return with_counts((one.command for one in made), "call")[:COMMANDS]
