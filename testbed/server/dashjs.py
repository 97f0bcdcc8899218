"""Where dash.js lies that `testbed/setup.sh players` installed, and which version it is."""

from __future__ import annotations

import sys
from pathlib import Path

from traces.safe_reading import BadFileError, read_json_object

VERSION = "5.2.1"
"""The one that is installed, and whose rules and settings were read (BSD-3-Clause)."""
SCRIPT = "dash.all.min.js"
INSTALL = "testbed/setup.sh players installs it"


def folder() -> Path:
    """Beside the Python packages of the environment that runs us."""
    return Path(sys.prefix) / "share" / "streambed" / "dashjs"


def script() -> Path | None:
    """The whole of dash.js in one file; None where it isn't installed."""
    found = folder() / SCRIPT
    return found if found.is_file() else None


def installed_version() -> str | None:
    """By its `package.json`; None where there is none."""
    try:
        return str(read_json_object(folder() / "package.json")["version"])
    except (OSError, BadFileError, KeyError):
        return None
