"""Which traces come from one line or trip, and so count as one draw of the bootstrap.

The rule looks at names only, and is printed with every comparison:

* FCC cuts as Pensieve and Genet name them, `trace_UNIT_URL[_OFFSET]` and `test_fcc_trace_UNIT_URL_OFFSET_0`,
  numbered or not (`000_trace_UNIT_…`): one measuring box, one home line: UNIT.
* Puffer cuts, `traceSESSION_NUMBER` with the 44 characters of a base-64 session: SESSION.
* WiFi logs `wifi_PLACE_YYMMDD-HHMMSS`, taken one after the other: the place and the day.
* Cuts of one log, named by where they begin or by a number after the log's own name (`….log_0`, `….log_320`,
  `….csv.2`), numbered before it or not: the log.
* Any other trace, all generated ones among them, is a cluster of its own.

A pattern of one's own replaces the rule: its first group, or all that matches, is the cluster.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from traces.words import counted, is_or_are

_NUMBERED = r"(?:\d+[_-])?"
"""How selections number their files before the names that these had."""

DEFAULT_PATTERNS = (
    ("FCC line", re.compile(rf"{_NUMBERED}(?:test_fcc_)?trace_(?P<key>\d+)_https?(?![A-Za-z0-9]).*")),
    ("Puffer session", re.compile(rf"{_NUMBERED}trace(?P<key>[A-Za-z0-9+_-]{{43}}=)_\d+.*")),
    ("WiFi place and day", re.compile(rf"{_NUMBERED}(?P<key>wifi_[a-z]+_\d{{6}})-\d{{6}}.*")),
    (
        "trip",
        re.compile(
            rf"{_NUMBERED}(?P<key>.*[^\W\d_].*\.(?:log|txt|csv|dat|json|down|up|trace))[._-]\d+"
            r"(?:\.(?:log|txt|csv|dat|json|down|up|trace))?"
        ),
    ),
)
"""(what it is, pattern of a trace's whole name)"""

_GENERATED = re.compile(r"[^/]+/\d+")
"""Members of a family: alike in name, and independent draws."""
_LEAST_STEM = 3
"""Shorter beginnings say nothing."""


@dataclass(frozen=True)
class ClusterRule:
    """How traces become clusters.

    Raises:
        ValueError: a pattern that is no regular expression.
    """

    pattern: str | None = None
    """A regular expression of the user's; None: the rule above."""

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"cluster pattern {self.pattern!r} is no regular expression: {error}") from None

    def key(self, trace: str) -> str:
        """The cluster of a trace, by its name."""
        if self.pattern is not None:
            match = re.search(self.pattern, trace)
            return trace if match is None else next((group for group in match.groups() if group), match[0])
        kind, key = _kind_and_key(trace)
        return f"{kind} {key}" if kind else trace

    def counted(self, traces: Iterable[str]) -> str:
        """How many clusters the traces make and how, such as
        `100 traces are 45 clusters: 45 by FCC line`."""
        names = list(dict.fromkeys(traces))
        clusters = {self.key(name): name for name in names}
        words = f"{counted(len(names), 'trace')} {is_or_are(len(names))} {counted(len(clusters), 'cluster')}"
        return f"{words}: {self._how(clusters)}"

    def _how(self, clusters: dict[str, str]) -> str:
        if self.pattern is not None:
            own = sum(key == name and not re.search(self.pattern, name) for key, name in clusters.items())
            kinds = Counter({"the pattern": len(clusters) - own, "": own})
        else:
            kinds = Counter(_kind_and_key(name)[0] for name in clusters.values())
        parts = [f"{count} by {kind}" for kind, count in kinds.items() if kind and count]
        if kinds[""]:
            parts.append(f"{kinds['']} of one trace each, whose names tell no line or trip")
        return ", ".join(parts)

    def doubt(self, traces: Iterable[str]) -> str:
        """A warning where each trace is a cluster of its own though names begin alike, as cuts of one log do;
        empty where there is none. Members of generated families are independent."""
        names = [name for name in dict.fromkeys(traces) if not _GENERATED.fullmatch(name)]
        if len({self.key(name) for name in names}) < len(names):
            return ""
        stems = Counter(stem for name in names if (stem := _stem(name)))
        stem, alike = max(stems.items(), key=lambda item: item[1], default=("", 0))
        if alike < 2:
            return ""
        return (
            f"each trace is a cluster of its own, though {alike} names share {stem!r}: if they are cuts of"
            " one line or trip, intervals are too narrow; give a pattern whose first group is the line or"
            f" trip: {_advice(stem, [name for name in names if _stem(name) == stem])}"
        )

    def __str__(self) -> str:
        if self.pattern is not None:
            return f"traces by the part of their names that matches {self.pattern!r}"
        return (
            "traces, those of one line or trip together (FCC line, Puffer session, WiFi place and day, cuts"
            " of one log)"
        )


def _kind_and_key(trace: str) -> tuple[str, str]:
    """(what the pattern that fits is, the line or trip); the kind is empty where none fits."""
    for kind, pattern in DEFAULT_PATTERNS:
        match = pattern.fullmatch(trace)
        if match is not None:
            return kind, match["key"]
    return "", trace


def _advice(stem: str, names: Sequence[str]) -> str:
    """A `--cluster` for names that share a stem: one that makes groups of them, or else takes all as one."""
    begin = rf"^(?:\d+[_-])?({re.escape(stem)}"
    but_the_last, to_the_first = rf"{begin}.*?)[._-]*\d+\D*$", rf"{begin}[._-]*\d+)"
    for pattern in (but_the_last, to_the_first):
        clusters = len(set(map(ClusterRule(pattern).key, names)))
        if 1 < clusters < len(names):
            return f"--cluster {shlex.quote(pattern)} makes {clusters} of them"
    return f"--cluster {shlex.quote(begin + ')')} takes all of them as one"


def _stem(name: str) -> str:
    """What stands before a name's first number, one at its very beginning aside; empty if nothing does."""
    match = re.match(rf"(?:\d+[_-])?(?P<stem>.{{{_LEAST_STEM},}}?)[._-]*\d", name)
    return match["stem"] if match else ""
