"""Files of traces: every format's reader and writer, and which of them a file is in."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from traces.files import of_the_system, write_aside
from traces.formats import cooked, json_log, mahimahi, series, table, two_column
from traces.formats.rows import Scan, is_number, text_lines
from traces.trace import Trace, TraceError
from traces.words import nearest

MAX_BYTES = 512 * 1024 * 1024
"""A larger file is no trace."""
_LOOKED_AT_CHARACTERS = 4096


@dataclass(frozen=True)
class Format:
    """A way to write a trace into a file."""

    name: str
    about: str
    read: Callable[[str, str], Trace]
    """(text, source) -> Trace; raises TraceError."""
    write: Callable[[Trace], str]
    scan: Callable[[str], Scan]
    """The rows with their faults, for lint."""


FORMATS: dict[str, Format] = {
    module.NAME: Format(module.NAME, module.ABOUT, module.read, module.write, module.scan)
    for module in (two_column, cooked, mahimahi, table, json_log, series)
}


def format_named(name: str) -> Format:
    """The format of this name; `mahimahi:bin_ms=20` reads steps of 20 ms from Mahimahi's timestamps.

    Raises:
        TraceError: there is none; names the nearest.
    """
    if name in FORMATS:
        return FORMATS[name]
    if fine := re.fullmatch(rf"{mahimahi.NAME}:bin_ms=(\d{{1,5}})", name):
        return _fine_mahimahi(int(fine[1]))
    near = nearest(name, FORMATS)
    hint = f"; did you mean {near!r}?" if near else "."
    raise TraceError(f"unknown format {name!r}{hint} Formats: {', '.join(FORMATS)}")


def _fine_mahimahi(bin_ms: int) -> Format:
    """Mahimahi's packet timestamps, read in bins of another length than the usual.

    Raises:
        TraceError: no bin is that short.
    """
    if bin_ms < 1:
        raise TraceError(f"{mahimahi.NAME}:bin_ms={bin_ms}: a bin is 1 ms or longer")
    usual = FORMATS[mahimahi.NAME]
    return dataclasses.replace(usual, read=lambda text, source: mahimahi.read(text, source, bin_ms / 1000))


def detect(text: str, source: str) -> Format:
    """The format that a file's first lines are in.

    Raises:
        TraceError: the file is empty, or none fits.
    """
    head = text_lines(text[:_LOOKED_AT_CHARACTERS])
    if not head:
        raise TraceError(f"{source}: no data; a trace needs at least two points")
    number, line = head[0]
    if series.looks_like(text):
        return FORMATS[series.NAME]
    if line[0] in "[{":
        return FORMATS[json_log.NAME]
    if re.fullmatch(r"\d+", line):
        return FORMATS[mahimahi.NAME]
    if table.find_columns(line) is not None:
        return FORMATS[table.NAME]
    fields = line.split()
    if len(fields) == 2 and any(map(is_number, fields)):
        return FORMATS[cooked.NAME if "\t" in line else two_column.NAME]
    raise TraceError(
        f"{source}:{number}: not a known trace format ({line[:40]!r}); write `time_s throughput_mbps` lines, "
        f"or a CSV header such as time_s,throughput_mbps, or name the format: {', '.join(FORMATS)}"
    )


def decode(data: bytes, source: str) -> str:
    """The text in a file's bytes.

    Raises:
        TraceError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TraceError(
            f"{source}:{line}: not text (byte 0x{data[error.start]:02x}); traces are UTF-8 text"
        ) from error


def read_text(path: str | Path) -> str:
    """A trace file's text.

    Raises:
        TraceError: it can't be read, is too large or is not text.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TraceError(f"{path}: over {MAX_BYTES >> 20} MiB; cut it into traces")
        return decode(path.read_bytes(), str(path))
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from error


def parse(data: str | bytes, source: str, format: str | None = None) -> Trace:
    """The trace in a file's content.

    Args:
        source: the file's name, for errors; its last part names the trace.
        format: a name in `FORMATS`; detected when None.

    Raises:
        TraceError: `source:line: what (value), way out`.
    """
    text = decode(data, source) if isinstance(data, bytes) else data
    chosen = format_named(format) if format else detect(text, source)
    return chosen.read(text, source)


def load(path: str | Path, format: str | None = None) -> Trace:
    """The trace in a file.

    Raises:
        TraceError: as `parse`, or the file can't be read.
    """
    return parse(read_text(path), str(path), format)


def save(trace: Trace, path: str | Path, format: str = two_column.NAME) -> None:
    """Write a trace to a file, which has its name only when it is complete.

    Raises:
        TraceError: the format can't hold the trace, or the file can't be written.
    """
    text = format_named(format).write(trace)
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
