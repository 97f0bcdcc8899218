"""What of a report of jobs or viewports says how records came about, and what is missing in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from analysis.report.parts.blocks import Block, Bullets, Code, Paragraph, Section
from analysis.report.parts.made_tables import machines_table, policies_table, traces_table
from analysis.report.parts.session_rows import FALLBACK, Made, made_of
from analysis.report.parts.typed import TypedCommand, typed, with_counts
from analysis.report.sections.repeat import COMMANDS, MADE, REPORTED
from analysis.sessions import RecordRead
from analysis.tasks.figures import TaskFigures
from analysis.tasks.means import means_of
from analysis.tasks.read import TaskCase
from player.tasks.record import read_task
from traces.versions import typed_in
from traces.words import counted


def missing(figures: TaskFigures, cases: Sequence[TaskCase]) -> Section:
    """What did not finish, and who decided in a policy's place."""
    said = []
    for mean in means_of(figures, cases):
        if mean.unfinished:
            said.append((f"{mean.policy}: ", f"{counted(mean.unfinished, 'case')} did not finish"))
        if stood_in := mean.decided_by.get(FALLBACK, 0):
            words = f"{figures.fallback} decided {stood_in} of {mean.decisions} times in its place"
            said.append((f"{mean.policy}: ", f"{words}; the first time: {mean.because}"))
    block: Block = Bullets(tuple(said)) if said else Paragraph("Nothing: every case finished as asked.")
    return Section("missing", "What is missing or left out", (block,))


def repeating(figures: TaskFigures, cases: Sequence[TaskCase], command: Sequence[str]) -> Section:
    """How to have the same again: commands, versions, hashes.

    Raises:
        OSError, RecordError: a record that was there is gone.
    """
    made = list(_made(figures, cases))
    commands = with_counts((one.command for one in made), "record")[:COMMANDS]
    blocks: list[Block] = [Code(MADE, typed(commands) or "# the records name none")]
    blocks.append(Code(REPORTED, typed([TypedCommand(tuple(command), typed_in())])))
    tables = (policies_table(made), traces_table(made), machines_table(made))
    return Section("repeat", "How to repeat it", (*blocks, *tables))


def _made(figures: TaskFigures, cases: Sequence[TaskCase]) -> Iterator[Made]:
    for case in cases:
        yield made_of(RecordRead(read_task(Path(case.path), figures.records)), case.setting)
