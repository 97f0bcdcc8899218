"""What a session was streamed over, and what tells such cases apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from traces.words import short_hash


@dataclass(frozen=True)
class Case:
    """What a session was streamed over: sessions of one case are pairs."""

    trace: str
    trace_sha256: str
    start_s: float
    video: str
    video_sha256: str
    link: str
    """The link's settings as canonical JSON; where players shared it, also how many and which this was."""
    family: str = field(compare=False)
    """The trace's family; where it has none, what was typed for it."""
    link_label: str = field(compare=False)
    """The link in words."""
    rtt_ms: float | None = field(compare=False)
    condition: tuple[str, ...] = field(compare=False)
    """What it was, its trace apart, in words: the sweep's label for it, else family, video and link."""
    seen: bool | None = field(compare=False)
    """Whether policies were made on networks like this one, as the sweep says; None where none says so."""
    stress: bool = field(compare=False, default=False)
    """Whether the sweep calls it a network that is meant to break policies."""
    chunks: int | None = None
    """Of the video, that were asked for."""
    seed: int | None = None
    """Of a call: what drew the sizes of its frames, and its losses. A session's seeds are averaged."""
    cap_mbps: float | None = field(compare=False, default=None)
    """Where the trace's rates were cut."""
    besides: tuple[str, ...] = field(compare=False, default=())
    """In words, what else it differs by from a case that would be called the same (`told_apart`)."""
    group: str | None = field(compare=False, default=None)
    """The label of the sweep's `[[setting]]` that this is a point of."""
    axis: tuple[tuple[str, float], ...] = field(compare=False, default=())
    """Where on the axes of that one it is: key and value; empty where it has none."""

    def __str__(self) -> str:
        besides = "".join(f", {word}" for word in self.besides)
        return f"{self.trace} from {self.start_s:g} s ({self.video}; {self.link_label}{besides})"


def differing(
    cases: Iterable[Case],
    name: Callable[[Case], Hashable],
    kinds: Sequence[Callable[[Case], dict[str, str]]],
) -> dict[Case, tuple[str, ...]]:
    """Of cases that share a name, the facts that not all of them share, of the first kind that has any."""
    named: dict[Hashable, list[Case]] = {}
    for case in cases:
        named.setdefault(name(case), []).append(case)
    found: dict[Case, tuple[str, ...]] = {}
    for alike in named.values():
        for facts_of in kinds if len(alike) > 1 else ():
            facts = [facts_of(case) for case in alike]
            keys = dict.fromkeys(key for one in facts for key in one)
            differ = [key for key in keys if len({one.get(key) for one in facts}) > 1]
            if differ:
                words = [tuple(one.get(key, f"no {key}") for key in differ) for one in facts]
                found |= dict(zip(alike, words, strict=True))
                break
    return found


def facts_of(case: Case) -> dict[str, str]:
    """What was asked for, its trace and which of several players it was apart, in words.

    A queue that was asked for in milliseconds of the trace's mean rate is as long on every trace, however
    many bytes that comes to.
    """
    link: dict[str, Any] = json.loads(case.link)
    if link.get("queue_ms") is not None:
        link.pop("queue_limit_bytes", None)
    facts = {} if case.chunks is None else {"chunks": f"{case.chunks} chunks"}
    if case.cap_mbps is not None:
        facts["cap_mbps"] = f"cap_mbps {case.cap_mbps:g}"
    return facts | {key: f"{key} {_said(value)}" for key, value in link.items() if key != "player"}


def hashes_of(case: Case) -> dict[str, str]:
    """What is in its files, and its seed, as short as tells them apart."""
    seed = {} if case.seed is None else {"seed": f"seed {case.seed}"}
    return seed | {
        "trace": f"trace {short_hash(case.trace_sha256)}",
        "video": f"video {short_hash(case.video_sha256)}",
    }


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {_said(one)}" for key, one in value.items())
    return f"{value:g}" if isinstance(value, float) else json.dumps(value).strip('"')
