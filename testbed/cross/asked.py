"""Who else is to use a bottleneck: words of a command line or of a sweep's file, read and checked.

--beside call:gcc,video:bba      a call and a video more
--cross cubic:2,bbr:1@10-40      two bulk flows of cubic all the time, one of bbr from 10 s to 40 s
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from player.registry import PolicyError, split_policies
from testbed.process.errors import TestbedError

CALL, VIDEO = "call", "video"
KINDS = (CALL, VIDEO)
MOST_FLOWS = 64
LATEST_S = 86_400.0

_FLOWS = re.compile(r"(?P<cc>[a-z][a-z0-9_]*)(?::(?P<count>\d+))?(?:@(?P<begin>[\d.]+)-(?P<end>[\d.]*))?")
_CROSS_WAY_OUT = "expected flows as cubic, cubic:2 or bbr:1@10-40 (from 10 s to 40 s), with commas between"


@dataclass(frozen=True)
class Companion:
    """A call or a video that is made besides."""

    kind: str
    policy: str
    """As a policy is asked for."""

    @property
    def words(self) -> str:
        """`call:gcc`, as it is typed."""
        return f"{self.kind}:{self.policy}"


@dataclass(frozen=True)
class CrossFlow:
    """A TCP flow that sends as much as it may."""

    congestion_control: str
    begin_s: float = 0.0
    """Since the bottleneck's first session began."""
    end_s: float | None = None
    """None: with the last session that isn't a flow."""

    @property
    def words(self) -> str:
        """`bbr from 10 s to 40 s`."""
        begin = f" from {self.begin_s:g} s" if self.begin_s else ""
        return f"{self.congestion_control}{begin}" + ("" if self.end_s is None else f" to {self.end_s:g} s")


@dataclass(frozen=True)
class Beside:
    """All who use a bottleneck besides those whom a command or a sweep is about."""

    companions: tuple[Companion, ...] = ()
    flows: tuple[CrossFlow, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.companions or self.flows)

    @property
    def words(self) -> tuple[str, ...]:
        """Each in words, as records have them."""
        return (*(one.words for one in self.companions), *(one.words for one in self.flows))


def companions_of(texts: Sequence[str], option: str = "--beside") -> tuple[Companion, ...]:
    """Those that `call:gcc,video:bba` names.

    Raises:
        TestbedError: no kind of session, or no policy.
    """
    found = []
    for text in texts:
        try:
            specs = split_policies(text)
        except PolicyError as error:
            raise TestbedError(f"{option} {text}: {error}") from None
        for spec in specs:
            kind, _, policy = spec.partition(":")
            if kind not in KINDS or not policy:
                known = " or ".join(f"{one}:POLICY" for one in KINDS)
                raise TestbedError(f"{option} {spec}: expected {known}, with commas between several")
            found.append(Companion(kind, policy))
    return tuple(found)


def flows_of(texts: Sequence[str], option: str = "--cross") -> tuple[CrossFlow, ...]:
    """The flows that `cubic:2,bbr:1@10-40` names, one by one.

    Raises:
        TestbedError: no such words, a time that is none, or more than `MOST_FLOWS`.
    """
    found: list[CrossFlow] = []
    for word in (word.strip() for text in texts for word in text.split(",")):
        read = _FLOWS.fullmatch(word)
        if read is None:
            raise TestbedError(f"{option} {word!r}: {_CROSS_WAY_OUT}")
        count = int(read["count"] or 1)
        begin_s, end_s = _time(option, word, read["begin"] or "0"), None
        if read["end"]:
            end_s = _time(option, word, read["end"])
        if end_s is not None and end_s <= begin_s:
            raise TestbedError(f"{option} {word}: ends at {end_s:g} s, and begins at {begin_s:g} s")
        if not 1 <= count <= MOST_FLOWS - len(found):
            raise TestbedError(f"{option} {word}: expected 1 to {MOST_FLOWS} flows, all together")
        found += [CrossFlow(read["cc"], begin_s, end_s)] * count
    return tuple(found)


def _time(option: str, word: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= LATEST_S:
        raise TestbedError(f"{option} {word}: {text!r} is no time; {_CROSS_WAY_OUT}")
    return value
