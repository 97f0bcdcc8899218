"""What was looked at on a machine, and what that comes to. Only the standard library is needed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

OK = "ok"
MISSING = "missing"
UNKNOWN = "cannot tell"
NOTE = "note"
"""Worth knowing; nothing to be had or mended."""

PACKET_SOCKETS = "packet sockets"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    group: str
    name: str
    status: str
    """`ok`, `missing`, `cannot tell` or `note`."""
    detail: str
    way_out: str = ""
    """What to do about it, where there is something to do."""
    needed: bool = False
    """Whether no session can run without it."""


@dataclass(frozen=True)
class Report:
    """All that was found on this machine."""

    findings: tuple[Finding, ...]

    def has(self, name: str) -> bool:
        """Whether the finding of that name is there and ok."""
        return any(finding.name == name and finding.status == OK for finding in self.findings)

    @property
    def has_netem(self) -> bool:
        return self.has("netem")

    @property
    def has_packet_sockets(self) -> bool:
        return self.has(PACKET_SOCKETS)

    @property
    def delay_backend(self) -> str | None:
        """What delays and drops packets here: `netem`, else the user-space `relay`, else None."""
        if self.has_netem:
            return "netem"
        return "relay" if self.has_packet_sockets else None

    @property
    def missing(self) -> tuple[Finding, ...]:
        """What is needed and not there."""
        return tuple(f for f in self.findings if f.needed and f.status == MISSING)

    @property
    def unknown(self) -> tuple[Finding, ...]:
        """What is needed and could not be looked at."""
        return tuple(f for f in self.findings if f.needed and f.status == UNKNOWN)

    @property
    def can_emulate(self) -> bool:
        """Whether a session can run here, by this user."""
        return not self.missing and not self.unknown

    def summary(self) -> str:
        """One line: does it work, and by which delay backend."""
        backends = {
            "netem": "delay and loss by netem",
            "relay": "delay and loss by the user-space relay (no netem here)",
            None: "nothing to delay packets with",
        }
        if self.can_emulate:
            return f"Emulation works here; {backends[self.delay_backend]}."
        # What else can't be had or tried goes without saying where a right is missing.
        rights = [f for f in self.missing if f.group == "process"]
        others = [f for f in self.missing if f.group == "programs"]
        shown = [*rights, *others] if rights else [*self.missing, *self.unknown]
        causes = "; ".join(f"{f.name}: {f.way_out or f.detail}" for f in shown)
        return f"Emulation cannot run here: {causes}."

    def as_json(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "can_emulate": self.can_emulate,
            "delay_backend": self.delay_backend,
            "missing": [finding.name for finding in self.missing],
            "cannot_tell": [finding.name for finding in self.unknown],
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }
