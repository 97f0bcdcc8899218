"""Files of traces: every format's reader and writer, and which of them a file is in."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from traces.files import of_the_system, write_aside
from traces.formats import (
    bare,
    byte_log,
    cooked,
    iperf,
    json_log,
    listed,
    mahimahi,
    series,
    table,
    two_column,
)
from traces.formats.campaigns import CAMPAIGNS, campaign_of
from traces.formats.campaigns import TAKES as CAMPAIGN_TAKES
from traces.formats.campaigns import scan as scan_campaign
from traces.formats.content import CUT_IT, MAX_BYTES, Content, content_of, what_it_is
from traces.formats.decimals import is_number
from traces.formats.plain_columns import Columns
from traces.formats.rate_columns import amount_fault
from traces.formats.reading import AS_FOUND, ReadOptions, reading_of
from traces.formats.rows import Scan, build, text_lines, uncollected
from traces.formats.table_header import commented_header, header_in, time_column
from traces.progress import say
from traces.safe_reading import BadFileError, read_given
from traces.trace import Trace, TraceError
from traces.words import nearest

__all__ = [
    "AS_FOUND",
    "FORMATS",
    "WRITABLE",
    "Format",
    "ReadOptions",
    "detect",
    "format_named",
    "load",
    "parse",
    "read_content",
    "reading_of",
    "save",
]

_LOOKED_AT_CHARACTERS = 65_536
_LARGE = 16 << 20
"""Characters of a file from which on who waits is told why."""


def _never(text: str, options: ReadOptions) -> Columns | None:
    return None


@dataclass(frozen=True)
class Format:
    """A way to write a trace into a file, or one in which files are found."""

    name: str
    about: str
    takes: tuple[str, ...]
    """The options that say something of it."""
    scan: Callable[[str, ReadOptions], Scan]
    """The rows with their faults, for lint."""
    read: Callable[[str, str, ReadOptions], Trace]
    """(text, source, options) -> Trace; raises TraceError."""
    write: Callable[[Trace], str] | None = None
    """None: nobody writes such files but who measures."""
    quick: Callable[[str, ReadOptions], Columns | None] = _never
    """The points of a long text without a fault, an easy case that is soon read; None for others."""


def _read_campaign(
    scan: Callable[[str, ReadOptions], Scan], text: str, source: str, options: ReadOptions
) -> Trace:
    return build(scan(text, options), source)


FORMATS: dict[str, Format] = {
    module.NAME: Format(module.NAME, module.ABOUT, module.TAKES, module.scan, module.read, module.write)
    for module in (two_column, cooked, mahimahi, table, json_log, series)
}
FORMATS |= {
    module.NAME: dataclasses.replace(FORMATS[module.NAME], quick=module.quick)
    for module in (two_column, cooked, mahimahi, table)
}
WRITABLE = tuple(FORMATS)
"""Formats that traces are written in."""
FORMATS |= {
    module.NAME: Format(module.NAME, module.ABOUT, module.TAKES, module.scan, module.read)
    for module in (bare, byte_log, iperf, listed)
}
FORMATS |= {
    each.name: Format(
        each.name,
        each.about,
        CAMPAIGN_TAKES,
        partial(scan_campaign, each),
        partial(_read_campaign, partial(scan_campaign, each)),
    )
    for each in CAMPAIGNS
}


def format_named(name: str) -> Format:
    """The format of this name.

    Raises:
        TraceError: there is none; names the nearest.
    """
    if name in FORMATS:
        return FORMATS[name]
    near = nearest(name, FORMATS)
    hint = f"; did you mean {near!r}?" if near else "."
    raise TraceError(f"unknown format {name!r}{hint} Formats: {', '.join(FORMATS)}")


def format_for(text: str, source: str, options: ReadOptions) -> Format:
    """The format that is asked for, or that a file's first lines are in.

    Raises:
        TraceError: there is none, none fits, or an option says nothing of it.
    """
    if options.format:
        chosen = format_named(options.format)
        where = f"format {chosen.name}"
    else:
        chosen = detect(text, source, options)
        where = f"{source}: this file is in format {chosen.name}, which"
    for name in options.given():
        if name not in chosen.takes:
            takes = ", ".join(f"--{each.replace('_', '-')}" for each in chosen.takes) or "none"
            raise TraceError(f"{where} has no option --{name.replace('_', '-')}; its options: {takes}")
    return chosen


def detect(text: str, source: str, options: ReadOptions = AS_FOUND) -> Format:
    """The format that a file's first lines are in.

    Raises:
        TraceError: the file is empty, or none fits.
    """
    begin = text[:_LOOKED_AT_CHARACTERS]
    head = text_lines(begin)
    if not head:
        raise TraceError(f"{source}: no data; a trace needs at least two points")
    number, line = head[0]
    if what := what_it_is(begin):
        raise TraceError(f"{source}:{number}: not a trace; {what}")
    name = (
        _json_format(text, begin)
        if line[0] in "[{" and not re.match(r"\[\s*(\d+|SUM|ID)\]\s*\S", line)
        else None
    )
    name = name or _text_format(begin, head, options)
    if name is not None:
        return FORMATS[name]
    if is_number(line):
        raise TraceError(
            f"{source}:{number}: rates alone ({line[:40]!r}), or times that are no whole milliseconds; say"
            " the unit of rates, such as --unit mbps"
        )
    names = re.split(r"\s*[,;|\t]\s*|\s+", line.lstrip("\ufeff#% "))
    if time_column(names) is not None and (fault := amount_fault(names)):
        raise TraceError(f"{source}:{number}: {fault}")
    raise TraceError(
        f"{source}:{number}: not a known trace format ({line[:40]!r}); write `time_s throughput_mbps` lines, "
        f"or a CSV header such as time_s,throughput_mbps, or name the format: {', '.join(FORMATS)}"
    )


def _json_format(text: str, begin: str) -> str:
    if iperf.looks_like(begin, ()):
        return iperf.NAME
    return series.NAME if series.looks_like(text) else json_log.NAME


def _text_format(begin: str, head: list[tuple[int, str]], options: ReadOptions) -> str | None:
    """The name of the format of a text that is no JSON; None if none fits."""
    line = head[0][1]
    if iperf.looks_like(begin, head):
        return iperf.NAME
    if (campaign := campaign_of(line)) is not None and options.column is None:
        return campaign.name
    if re.fullmatch(r"\d+", line):
        return mahimahi.NAME if options.unit is None else listed.NAME
    if listed.looks_like(line) or (len(head) > 1 and not is_number(line) and listed.looks_like(head[1][1])):
        return listed.NAME
    if commented_header(begin, options) or header_in(head, options):
        return table.NAME
    if byte_log.looks_like(head):
        return byte_log.NAME
    fields = line.split()
    if len(fields) == 2 and any(map(is_number, fields)):
        return cooked.NAME if "\t" in line else two_column.NAME
    if bare.looks_like(line):
        return bare.NAME
    if is_number(line) and options.unit is not None:
        return listed.NAME
    return None


def read_content(path: str | Path) -> Content:
    """A trace file's text.

    Raises:
        TraceError: it can't be read, is no regular file (nor a pipe handed over, such as /dev/stdin), is too
            large or is not text.
    """
    path = Path(path)
    try:
        content = content_of(read_given(path, MAX_BYTES), str(path))
    except BadFileError as error:
        raise TraceError(f"{error}; {CUT_IT}" if error.fault.startswith("over") else str(error)) from None
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from error
    if len(content.text) >= _LARGE:
        say(f"{path}: {len(content.text) >> 20} MiB; reading it takes some seconds")
    return content


def parse(data: str | bytes, source: str, format: str | ReadOptions | None = None) -> Trace:
    """The trace in a file's content.

    Args:
        source: the file's name, for errors; its last part names the trace.
        format: a name in `FORMATS`, options, or both as `reading.py` has them; detected when None.

    Raises:
        TraceError: `source:line: what (value), way out`.
    """
    content = content_of(data, source) if isinstance(data, bytes) else Content(data)
    return _parsed(content, source, reading_of(format))


def _parsed(content: Content, source: str, options: ReadOptions) -> Trace:
    with uncollected():
        trace = format_for(content.text, source, options).read(content.text, source, options)
    return (
        dataclasses.replace(trace, assumed=(*content.assumed, *trace.assumed)) if content.assumed else trace
    )


def load(path: str | Path, format: str | ReadOptions | None = None) -> Trace:
    """The trace in a file.

    Raises:
        TraceError: as `parse`, or the file can't be read.
    """
    return _parsed(read_content(path), str(path), reading_of(format))


def save(trace: Trace, path: str | Path, format: str = two_column.NAME) -> None:
    """Write a trace to a file, which has its name only when it is complete.

    Raises:
        TraceError: the format can't hold the trace, or the file can't be written.
    """
    write = format_named(format).write
    if write is None:
        raise TraceError(f"{format} is read only; write one of {', '.join(WRITABLE)}")
    text = write(trace)
    path = Path(path)
    a_pipe = path.exists() and not path.is_file() and not path.is_symlink()
    in_place = a_pipe or of_the_system(path)
    try:
        if in_place:
            path.write_text(text, encoding="utf-8", newline="\n")
        else:
            write_aside(path, text)
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from error
