"""What of a session that was run again is not as it had been: its settings, and what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from player.provenance import SERVER_VERSIONS, Provenance
from player.qoe import QoE, summarise
from player.record import Record
from player.registry import load_policy
from testbed.again.told import LONGEST_VALUE, plain
from testbed.lanes.plan import LANES_AT_ONCE
from traces.safe_reading import shown
from traces.versions import code_version
from traces.words import counted, short_hash

OF_THE_RUN = (
    *("line", "schema", "run_id", "started_at", "command_line", "directory"),
    *("lane", LANES_AT_ONCE, "url", "sweep"),
)
"""What a manifest says of its run, not of its session."""
FROM = ("versions", "code")
"""Where it comes from: told by `Provenance`, with what is in these sections."""
MEASURED = ("probe", "qdiscs")
"""What a link's section has seen before the session."""


_NOT_OF_THE_SESSION = {
    "link": MEASURED,
    "video": ("spec",),
    "trace": ("spec",),
    "policy": ("source_sha256", "sources"),
    "policy_server": (SERVER_VERSIONS, "loading_s"),
}
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Mismatch:
    """Something that was not as it had been."""

    what: str
    recorded: Any
    again: Any


@dataclass(frozen=True)
class Differences:
    """A record, the one that was made of it, and what differs.

    Args:
        qoe: what both are scored by.
        origin: what differs in where the two come from.
    """

    record: Record
    again: Record
    qoe: QoE
    origin: tuple[Mismatch, ...] = ()

    @property
    def settings(self) -> list[Mismatch]:
        """What differs in the settings, and in where they come from."""
        return [*self.origin, *self._of_the_session]

    @property
    def _of_the_session(self) -> list[Mismatch]:
        return list(_between(_session_of(self.record.manifest), _session_of(self.again.manifest)))

    @property
    def outcome(self) -> list[Mismatch]:
        """What differs in what came of it."""
        return [
            Mismatch(name, before, after)
            for name, (before, after) in self.figures().items()
            if before != after
        ]

    def figures(self) -> dict[str, tuple[Any, Any]]:
        """Each figure of the outcome: as recorded, and again."""
        both = [
            summarise(one.chunks, one.end, one.ladder_kbps, self.qoe) for one in (self.record, self.again)
        ]
        names = (
            *("qoe", "bitrate_mbps", "smoothness_mbps", "stall_s", "switches", "startup_s"),
            "decision_p50_ms",
        )
        before, after = self.record, self.again
        figures: dict[str, tuple[Any, Any]] = {
            "outcome": (before.end.outcome, after.end.outcome),
            "link valid": (before.end.valid, after.end.valid),
            "chunks": (len(before.chunks), len(after.chunks)),
            **{name: (getattr(both[0], name), getattr(both[1], name)) for name in names},
            "median throughput Mbit/s": (_median_mbps(before), _median_mbps(after)),
        }
        levels = [[row.level for row in one.chunks] for one in (before, after)]
        figures["levels"] = levels[0], levels[1]
        return figures

    def to_json(self) -> dict[str, Any]:
        """The object of `--json`."""
        return {
            "record": self.record.path,
            "again": _from_here(self.again.path),
            "same_settings": not self.settings,
            "same_outcome": not self.outcome,
            "settings": [_countable(dataclasses.asdict(one)) for one in self.settings],
            "outcome": {
                name: {"recorded": before, "again": after} for name, (before, after) in self.figures().items()
            },
        }

    def show(self, console: Console) -> None:
        """The same for a person."""
        told = self.again.told
        assert told.policy is not None and told.trace is not None and told.video is not None
        assert told.policy.spec is not None
        where = f"{plain(str(told.trace.name))} from {told.trace.start_s:g} s, {plain(str(told.video.name))}"
        _say(console, f"{plain(told.policy.spec)} over {where}: again")
        if not self.settings:
            _say(console, "settings: all the same")
        show_mismatches(console, self._of_the_session)
        if self.outcome:
            console.print(self._table())
        else:
            _say(console, "outcome: the same to the last digit")
        _say(console, f"record: {_from_here(self.again.path)}")

    def _table(self) -> Table:
        table = Table(title="outcome", title_justify="left", box=None, pad_edge=False)
        for name in ("", "recorded", "again"):
            table.add_column(name, justify="right" if name else "left")
        figures = self.figures()
        before, after = figures.pop("levels")
        for name, (was, now) in figures.items():
            table.add_row(name, _shown(was), _shown(now))
        table.add_row("other levels", "", _other_levels(before, after))
        return table


def show_mismatches(console: Console, found: Iterable[Mismatch]) -> None:
    """A line for each."""
    for one in found:
        now = f"is {_shown(one.again)}" if one.again is not None else "is not here"
        _say(console, f"settings: {plain(one.what)} was {_shown(one.recorded)}, {now}")


def origin_differences(record: Record, spec: str) -> tuple[Mismatch, ...]:
    """What differs in where a record comes from, before its session is run again: source files, Streambed's
    tree, versions.

    Raises:
        PolicyError: its policy can't be had.
    """
    then = Provenance.of(record.told)
    now = then.here(spec, load_policy(spec).policy, code_version())
    return tuple(Mismatch(*one) for one in then.differences(now))


def _other_levels(before: Sequence[int], after: Sequence[int]) -> str:
    changed = [index for index, (was, now) in enumerate(zip(before, after, strict=False)) if was != now]
    if not changed:
        return "none"
    first = changed[0]
    return f"{counted(len(changed), 'chunk')}, first {first} ({before[first]}, now {after[first]})"


def _session_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    mine = {key: value for key, value in manifest.items() if key not in (*OF_THE_RUN, *FROM)}
    for section, left_out in _NOT_OF_THE_SESSION.items():
        if isinstance(mine.get(section), dict):
            mine[section] = {key: value for key, value in mine[section].items() if key not in left_out}
    return mine


def _between(before: Any, after: Any, place: str = "") -> Iterator[Mismatch]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            here = f"{place}.{key}" if place else str(key)
            yield from _between(before.get(key), after.get(key), here)
    elif before != after:
        yield Mismatch(place, before, after)


def _median_mbps(record: Record) -> float | None:
    return statistics.median(row.throughput_mbps for row in record.chunks) if record.chunks else None


def _countable(value: Any) -> Any:
    """A value as every reader of JSON takes it: what is no number there is written in words."""
    if isinstance(value, dict):
        return {str(name): _countable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_countable(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if not isinstance(value, str):
        return shown(value)
    if _HASH.fullmatch(value):
        return short_hash(value)
    return plain(value if len(value) <= LONGEST_VALUE else f"{value[: LONGEST_VALUE - 1]}…")


def _say(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)


def _from_here(path: str | Path) -> str:
    """A path as one would type it: relative where it lies below the current folder."""
    with contextlib.suppress(ValueError, OSError):
        return str(Path(path).relative_to(Path.cwd()))
    return str(path)
