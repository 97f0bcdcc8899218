"""ffmpeg, where a machine has it: asked for, run, and heard in one line when it fails."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

FFMPEG, FFPROBE = "ffmpeg", "ffprobe"
INSTALL = "testbed/setup.sh players installs it"
_LEVEL = ("-hide_banner", "-loglevel", "error", "-nostdin", "-y")


class MediaError(ValueError):
    """Media that can't be made; the message is one line with the way out."""


def has_encoder() -> bool:
    """Whether ffmpeg is there."""
    return shutil.which(FFMPEG) is not None


def tool(name: str) -> str:
    """The path of ffmpeg, ffprobe or ffplay.

    Raises:
        MediaError: it isn't there.
    """
    found = shutil.which(name)
    if found is None:
        raise MediaError(f"no {name} on this machine; {INSTALL}")
    return found


def run(name: str, words: Sequence[str]) -> str:
    """Run one of the two to its end; what it printed on stdout, or for ffmpeg's filters on stderr.

    Raises:
        MediaError: it isn't there or failed, with its own last line.
    """
    before = _LEVEL if name == FFMPEG else ("-hide_banner", "-loglevel", "error")
    done = subprocess.run([tool(name), *before, *words], capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        raise MediaError(f"{name} failed: {_last_line(done.stderr)}")
    return done.stdout


def encoded(pictures: Iterable[bytes], words_in: Sequence[str], words_out: Sequence[str]) -> bytes:
    """Raw pictures through ffmpeg; the file that it made.

    Args:
        words_in: what the pictures are; words_out: what to make of them.

    Raises:
        MediaError: ffmpeg isn't there or failed.
    """
    with tempfile.TemporaryDirectory(prefix="streambed-media-") as folder:
        made = Path(folder) / "made.mp4"
        words = [tool(FFMPEG), *_LEVEL, *words_in, "-i", "pipe:0", *words_out, str(made)]
        words.remove("-nostdin")
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said) as process,
        ):
            assert process.stdin is not None
            try:
                for picture in pictures:
                    process.stdin.write(picture)
                process.stdin.close()
            except BrokenPipeError:
                pass  # ffmpeg gave up: its status and its words tell
            status = process.wait()
            said.seek(0)
            if status != 0 or not made.is_file():
                raise MediaError(f"ffmpeg failed: {_last_line(said.read().decode(errors='replace'))}")
        return made.read_bytes()


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"
