"""JSON files that appear only when they are complete."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from policies.apc.rule import SchedulerError


def write_json(path: Path, held: Any) -> None:
    """Write a file aside, sync it, give it its name.

    Raises:
        OSError: it can't be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(held, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_json(path: Path, default: Any) -> Any:
    """What a file holds.

    Args:
        default: for an empty file.

    Raises:
        SchedulerError: no such file, or no JSON.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if text else default
    except OSError as error:
        raise SchedulerError(f"{path}: {error.strerror}; `python -m policies.apc train` makes it") from None
    except ValueError as error:
        raise SchedulerError(f"{path}: no JSON ({error})") from None
