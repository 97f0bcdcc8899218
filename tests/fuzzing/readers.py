"""What reads files from outside, each with whole files to begin from and the errors that it may raise.

A reader is fed one spoiled file after the other. It may read it, or refuse it in one line; it may not raise
anything else, and not take longer than its patience.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzzing.mutations import changed
from tests.fuzzing.patience import TooSlow, patient

SECONDS = "STREAMBED_FUZZ_S"
"""How long each reader is fed; `make stress` takes ten minutes where this says nothing."""
USUAL_S = 600.0
PATIENCE_S = 5.0
"""Nobody waits longer for a reader that takes milliseconds for a whole file (`patience.py`: what counts)."""


@dataclass(frozen=True)
class Reader:
    """Something that reads a file."""

    name: str
    seeds: Callable[[Path], list[Path]]
    """Whole files, made in a folder."""
    read: Callable[[Path], Any]
    """Read the file of this name, in a folder of that kind."""
    refusals: tuple[type[Exception], ...] = ()
    """Errors whose one line a command prints; a command itself returns 0, 1 or 2."""
    patience_s: float = PATIENCE_S


def asked_seconds() -> float:
    """How long each reader is to be fed."""
    return float(os.environ.get(SECONDS) or USUAL_S)


def fed(reader: Reader, folder: Path, seconds: float, seed: int, most: float = math.inf) -> int:
    """Feed a reader for so long, or with so many files at most; how many it was given.

    Raises:
        AssertionError: a file that it stumbled over, which stays in the folder.
    """
    draw, files = random.Random(seed), reader.seeds(folder)
    whole = {path: path.read_bytes() for path in files}
    reader.read(files[0])  # what it imports is no fault of a file
    until, fed_files = time.monotonic() + seconds, 0
    while fed_files < most and time.monotonic() < until:
        path = draw.choice(files)
        spoiled = changed(whole[path], draw)
        path.write_bytes(spoiled)
        _try(reader, path, spoiled)
        path.write_bytes(whole[path])
        fed_files += 1
    return fed_files


def _try(reader: Reader, path: Path, spoiled: bytes) -> None:
    kept = path.with_name(f"stumbled-{reader.name}.bin")
    try:
        with patient(reader.patience_s):
            reader.read(path)
    except reader.refusals as refusal:
        if "\n" in str(refusal):
            kept.write_bytes(spoiled)
            raise AssertionError(f"{kept}: {reader.name} refuses in more than a line: {refusal}") from refusal
    except (Exception, TooSlow) as error:
        kept.write_bytes(spoiled)
        raise AssertionError(f"{kept}: {reader.name} stumbled: {error!r:.300}") from error


def command(main: Callable[[list[str]], int], words: Callable[[Path], list[str]]) -> Callable[[Path], None]:
    """A command as a reader: it ends with 0, 1 or 2, and what it prints is free of control characters."""

    def read(path: Path) -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                status = main(words(path))
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 99
        assert status in (0, 1, 2), f"exit status {status}: {said.getvalue()}"
        assert "Traceback" not in said.getvalue(), said.getvalue()
        raw = re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", said.getvalue())
        assert raw is None, f"{raw[0]!r} reaches the terminal: {said.getvalue()!r:.400}"

    return read


def json_file(name: str, value: Any) -> Callable[[Path], list[Path]]:
    """Seeds: one JSON file."""

    def made(folder: Path) -> list[Path]:
        path = folder / name
        path.write_text(json.dumps(value))
        return [path]

    return made
