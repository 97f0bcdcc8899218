"""ffmpeg and ffprobe as tests ask them. Where they are not there, tests are skipped and say why; under
STREAMBED_REQUIRE_BROWSER=1 (CI) they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def needs_ffmpeg() -> None:
    """Skip, or fail, where it isn't there."""
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        reason = "no ffmpeg here; `testbed/setup.sh players` installs it where apt-get has it"
        if os.environ.get("STREAMBED_REQUIRE_BROWSER") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def demuxed(file: Path) -> tuple[int, str]:
    """How many pictures ffprobe reads out of a file's first stream, and what it warns of."""
    words = ["-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"]
    done = subprocess.run(
        ["ffprobe", "-loglevel", "warning", "-threads", "1", *words, str(file)],
        capture_output=True,
        text=True,
    )
    return int(done.stdout.strip() or -1), done.stderr + (
        f"status {done.returncode}" if done.returncode else ""
    )


def decoded(file: Path) -> str:
    """What ffmpeg warns of when it decodes a file."""
    words = ["-loglevel", "warning", "-threads", "1", "-i", str(file), "-f", "null", "-"]
    return subprocess.run(["ffmpeg", "-nostdin", *words], capture_output=True, text=True).stderr
