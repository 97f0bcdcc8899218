"""Commands as one types them again, from Streambed's own folder."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from traces.versions import HERE, ROOT
from traces.words import counted

EMULATING = ("testbed/run.py", "testbed/sweep.py")
"""Scripts that need root, unless they simulate."""
OF_THE_MACHINE = ("--jobs", "--lanes", "--address")
"""Options with a value that say how a machine does it, and nothing of what comes out."""


@dataclass(frozen=True)
class TypedCommand:
    """A command line, and where it was typed."""

    words: tuple[str, ...]
    """A script and its arguments (`testbed/run.py`), or `python -m …`."""
    directory: str = HERE
    """Seen from Streambed's folder; absolute where it is not in there."""
    emulates: bool = False
    """Whether it made links, as only root may."""
    note: str = ""
    """What is to stand beside it."""

    @property
    def place(self) -> Path:
        """The directory, absolute."""
        return ROOT / self.directory

    @property
    def work(self) -> tuple[object, ...]:
        """Equal for commands that do the same: one that goes on with more lanes does what the first did."""
        kept, words = [], iter(self.words)
        for word in words:
            if word in OF_THE_MACHINE:
                next(words, None)
            elif word != "--json" and word.partition("=")[0] not in OF_THE_MACHINE:
                kept.append(word)
        return self.place, self.emulates, *kept

    def line(self) -> str:
        """As a shell takes it, in its directory."""
        if not self.words:
            return ""
        script, at_home = self.words[0], self.place == ROOT
        if not script.endswith(".py"):
            python = shlex.quote(_interpreter(at_home)) if script == "python" else shlex.quote(script)
            typed = " ".join([python, *map(shlex.quote, self.words[1:])])
        else:
            script = script if "/" in script else f"testbed/{script}"  # as sweeps wrote it once
            path = script if at_home else str(ROOT / script)
            root = "sudo " if self.emulates and script in EMULATING else ""
            typed = f"{root}python3 {shlex.join((path, *self.words[1:]))}"
        return f"{typed}    # {self.note}" if self.note else typed


def _interpreter(at_home: bool) -> str:
    """What `python` means: the project's own environment, or else the one that runs."""
    own = Path(".venv/bin/python")
    if not (ROOT / own).exists():
        return sys.executable
    return str(own if at_home else ROOT / own)


def once(commands: Iterable[TypedCommand]) -> list[TypedCommand]:
    """The same without those that only went on with the work of one before."""
    first: dict[tuple[object, ...], TypedCommand] = {}
    for command in commands:
        first.setdefault(command.work, command)
    return list(first.values())


def with_counts(commands: Iterable[TypedCommand], noun: str) -> list[TypedCommand]:
    """Each once, with how many of these it made; a record that names no command is passed over.

    Args:
        noun: what it made.
    """
    given = [command for command in commands if command.words]
    count = Counter(command.work for command in given)
    return [replace(one, note=counted(count[one.work], noun)) for one in once(dict.fromkeys(given))]


def typed(commands: Sequence[TypedCommand]) -> str:
    """Lines to be typed in Streambed's folder, one after the other; they change to where each belongs."""
    lines, place = [], ROOT
    for command in commands:
        if command.place != place:
            place = command.place
            lines.append(f"cd {shlex.quote(str(place))}")
        lines.append(command.line())
    return "\n".join(lines)
