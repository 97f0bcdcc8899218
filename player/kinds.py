"""Kinds of policies: what each controls, the calls that it has, and where installed ones are found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of policy."""

    group: str
    """The entry point group of those that are installed."""
    calls: tuple[str, str]
    """The two that make an object one."""
    simulated_only: frozenset[str]
    """Names that real players do not offer; whatever else is told the future they refuse once it has it."""

    @property
    def calls_in_words(self) -> str:
        """`reset and select`."""
        return " and ".join(self.calls)

    @property
    def in_words(self) -> str:
        """What is said to whoever brings something else."""
        return f"a policy is a class with {self.calls_in_words}"

    def missing(self, found: object) -> list[str]:
        """Those of the two calls that it has not."""
        return [call for call in self.calls if not callable(getattr(found, call, None))]

    def is_one(self, found: object) -> bool:
        """Whether it has both."""
        return not self.missing(found)


VIDEO = Kind("streambed.policies", ("reset", "select"), frozenset({"oracle"}))
"""Controllers of a video's bitrate: `player/policy.py`."""

CALL = Kind("streambed.call_policies", ("reset", "decide"), frozenset({"oracle"}))
"""Controllers of a call's rate: `player/call/policy.py`."""
