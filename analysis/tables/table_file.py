"""A table in a file, whose ending says the form: Parquet, CSV, or CSV in gzip.

Parquet keeps what a column is; in CSV a null is an empty cell, an empty text a pair of quotes, truth `true`
or `false`, a list of texts one text with `; ` between them, and a text that a spreadsheet would take for a
formula begins with `'`. Numbers are written so that they are read back as they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from player.record import make_folder
from traces.files import aside

TEXT, WHOLE, NUMBER, TRUTH, TEXTS = "string", "int64", "float64", "bool", "list"
"""What a column holds."""

PARQUET, CSV, CSV_GZIP = ".parquet", ".csv", ".csv.gz"

ENDINGS = (PARQUET, CSV, CSV_GZIP)

BETWEEN_TEXTS = "; "
"""Between the texts of a list in CSV."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Of texts that a spreadsheet would compute."""

Row = Mapping[str, Any]
"""A value for each column; None is null."""


class TableFileError(ValueError):
    """A table that cannot be written so; the message names the file and the way out."""


def ending_of(path: Path) -> str:
    """Which of `ENDINGS` a table's name has.

    Raises:
        TableFileError: none of them.
    """
    for ending in ENDINGS:
        if path.name.lower().endswith(ending) and len(path.name) > len(ending):
            return ending
    raise TableFileError(
        f"{path}: the ending says what a table is written as; end the name in {', '.join(ENDINGS[:-1])}"
        f" or {ENDINGS[-1]}"
    )


def write_table(path: Path, columns: Mapping[str, str], batches: Iterable[Sequence[Row]]) -> int:
    """Write batches of rows; the file, and the folder that it is in, appear only when there is a row.

    Args:
        path: ends in one of `ENDINGS`.
        columns: name -> what it holds, in order.
        batches: rows that have every column.

    Returns:
        how many rows there are; 0 where nothing was written.

    Raises:
        TableFileError: another ending; a value that its column cannot hold.
        OSError: it cannot be written; nothing is left behind then.
    """
    ending_of(path)
    left = iter(batches)
    first = next((batch for batch in left if batch), None)
    if first is None:
        return 0
    make_folder(path.parent)
    with aside(path) as partial:
        return _write(partial, ending_of(path), columns, [first], left)


def _write(partial: Path, ending: str, columns: Mapping[str, str], *parts: Iterable[Sequence[Row]]) -> int:
    import pyarrow

    schema = pyarrow.schema([(name, _kind(kind, ending)) for name, kind in columns.items()])
    rows = 0
    try:
        with _sink(partial, ending) as sink, _writer(sink, ending, schema) as writer:
            for part in parts:
                for batch in part:
                    rows += len(batch)
                    values = {name: [_value(row[name], ending) for row in batch] for name in columns}
                    writer.write_table(pyarrow.table(values, schema=schema))
    except pyarrow.ArrowException as error:
        raise TableFileError(f"{partial.with_suffix('')}: {error}") from None
    return rows


def _kind(kind: str, ending: str) -> Any:
    """The Arrow type of a column."""
    import pyarrow

    texts = pyarrow.list_(pyarrow.string()) if ending == PARQUET else pyarrow.string()
    kinds = {
        TEXT: pyarrow.string(),
        WHOLE: pyarrow.int64(),
        NUMBER: pyarrow.float64(),
        TRUTH: pyarrow.bool_(),
        TEXTS: texts,
    }
    return kinds[kind]


def _value(value: Any, ending: str) -> Any:
    if ending == PARQUET:
        return value
    text = BETWEEN_TEXTS.join(value) if isinstance(value, list) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(FORMULA_STARTS) else text


def _sink(path: Path, ending: str) -> Any:
    import pyarrow

    plain = path.open("wb")
    return pyarrow.CompressedOutputStream(plain, "gzip") if ending == CSV_GZIP else plain


def _writer(sink: Any, ending: str, schema: Any) -> Any:
    if ending == PARQUET:
        import pyarrow.parquet

        return pyarrow.parquet.ParquetWriter(sink, schema)
    import pyarrow.csv

    options = pyarrow.csv.WriteOptions(quoting_style="needed")
    return pyarrow.csv.CSVWriter(sink, schema, write_options=options)
