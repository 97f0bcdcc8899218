"""JSON files that appear only when they are complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from policies.apc.rule import SchedulerError
from traces.files import write_aside
from traces.safe_reading import BadFileError, json_value, read_text


def write_json(path: Path, held: Any) -> None:
    """Write a file aside, sync it, give it its name.

    Raises:
        OSError: it can't be written; nothing is left behind then.
    """
    write_aside(path, json.dumps(held, indent=1) + "\n")


def read_json(path: Path, default: Any) -> Any:
    """What a file holds.

    Args:
        default: for an empty file.

    Raises:
        SchedulerError: no such file, or no JSON.
    """
    try:
        text = read_text(path)
        return json_value(text, str(path)) if text else default
    except OSError as error:
        raise SchedulerError(f"{path}: {error.strerror}; `python -m policies.apc train` makes it") from None
    except BadFileError as error:
        raise SchedulerError(str(error)) from None
