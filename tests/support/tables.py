"""Tables read back, whatever they were written as."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pyarrow.parquet


def read_table(path: Path) -> list[dict[str, Any]]:
    """The rows of a table of any form; of CSV as text."""
    content = path.read_bytes()
    if path.name.endswith(".parquet"):
        return list(pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist())
    text = (gzip.decompress(content) if path.name.endswith(".gz") else content).decode()
    return list(csv.DictReader(io.StringIO(text)))
