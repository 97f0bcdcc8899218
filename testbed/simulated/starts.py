"""Where in its trace each simulated session begins: `--starts FILE|SEED|0`.

A start index k means that streaming begins at `time[k - 1]` of the trace, as the published simulators
count.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.process.errors import TestbedError
from traces.safe_reading import BadFileError, read_text
from traces.trace import Trace


@dataclass(frozen=True)
class Start:
    """A trace and where to begin in it."""

    trace: Trace
    index: int

    @property
    def at_s(self) -> float:
        return self.trace.time_s[self.index - 1]


@dataclass(frozen=True)
class Starts:
    """All starts of a command, in order."""

    starts: tuple[Start, ...]
    unused: tuple[str, ...] = ()
    """Traces that the file names and the command does not."""


def read_starts(spec: str, traces: Sequence[Trace]) -> Starts:
    """The starts that `--starts` asks for, in the order of `traces` (and, for one trace, of the file).

    Args:
        spec: `0`: all begin at their beginning; another whole number: drawn with that seed, for each
            trace by its own values, so that it does not matter which others there are; else a file
            of lines `trace-name start_index`, where a trace may stand more than once.
        traces: with names that differ.

    Raises:
        TestbedError: a file that cannot be read, a line that is none, a trace without a line, an index
            that the trace does not have.
    """
    if re.fullmatch(r"\d{1,18}", spec):
        return Starts(tuple(Start(trace, _drawn(int(spec), trace)) for trace in traces))
    path = Path(spec)
    try:
        text = read_text(path)
    except BadFileError as error:
        raise TestbedError(f"--starts {error}") from None
    except OSError as error:
        raise TestbedError(
            f"--starts {path}: {error.strerror}; give a seed, or a file of lines: trace-name start_index"
        ) from None
    return _from_lines(path, text, traces)


def _drawn(seed: int, trace: Trace) -> int:
    if seed == 0:
        return 1
    return random.Random(f"{seed}/{trace.sha256}").randrange(1, len(trace.time_s))


def _from_lines(path: Path, text: str, traces: Sequence[Trace]) -> Starts:
    known = {trace.name: trace for trace in traces}
    indices: dict[str, list[int]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        *words, index = line.rsplit(maxsplit=1)
        name = " ".join(words).strip()
        if not name or not re.fullmatch(r"\d{1,9}", index):
            raise TestbedError(f"{path}:{number}: {line.strip()[:80]!r}; expected: trace-name start_index")
        trace = known.get(name)
        if trace is not None and not 1 <= int(index) < len(trace.time_s):
            raise TestbedError(
                f"{path}:{number}: start index {index}; {name} has 1 to {len(trace.time_s) - 1}"
            )
        if int(index) in indices.setdefault(name, []):
            raise TestbedError(f"{path}:{number}: {name} from {index} stands there already; take one out")
        indices[name].append(int(index))
    missing = [trace.name for trace in traces if trace.name not in indices]
    if missing:
        raise TestbedError(
            f"{path}: no line for {missing[0]}{f' and {len(missing) - 1} more' if missing[1:] else ''};"
            " every trace needs a start, or leave it out of --traces"
        )
    starts = tuple(Start(trace, index) for trace in traces for index in indices[trace.name])
    return Starts(starts, tuple(name for name in indices if name not in known))
