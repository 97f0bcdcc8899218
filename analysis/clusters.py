"""Which traces come from one line or trip, and so count as one draw of the bootstrap.

The rule looks at names only, and is printed with every comparison:

* FCC cuts as Pensieve and Genet name them, `trace_UNIT_URL[_OFFSET]` and `test_fcc_trace_UNIT_URL_OFFSET_0`:
  one measuring box, one home line: UNIT.
* Puffer cuts, `traceSESSION_NUMBER` with the 44 characters of a base-64 session: SESSION.
* WiFi logs `wifi_PLACE_YYMMDD-HHMMSS`, taken one after the other: the place and the day.
* Any other trace, all generated ones among them, is a cluster of its own.

A pattern of one's own replaces the rule: its first group, or all that matches, is the cluster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_PATTERNS = (
    ("FCC line", re.compile(r"(?:test_fcc_)?trace_(?P<key>\d+)_https?\b.*")),
    ("Puffer session", re.compile(r"trace(?P<key>[A-Za-z0-9+_-]{43}=)_\d+")),
    ("WiFi place and day", re.compile(r"(?P<key>wifi_[a-z]+_\d{6})-\d{6}.*")),
)
"""(what it is, pattern of a trace's whole name)"""


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
        for what, pattern in DEFAULT_PATTERNS:
            match = pattern.fullmatch(trace)
            if match is not None:
                return f"{what} {match['key']}"
        return trace

    def __str__(self) -> str:
        if self.pattern is not None:
            return f"traces by the part of their names that matches {self.pattern!r}"
        return "traces, those of one line or trip together (FCC line, Puffer session, WiFi place and day)"
