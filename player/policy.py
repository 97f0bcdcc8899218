"""What a policy is: two calls. And how one that cannot decide is replaced.

A policy is any object with `reset(video, seed, qoe)` and `select(observation)`. It runs off the
event loop, one call at a time, and needs to know nothing of links, sockets or buffers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from player.observation import Observation
    from player.qoe import QoE
    from player.video.video import Video

BY_POLICY = "policy"
BY_FALLBACK = "fallback"
BY_PLAYER = "player"
"""Who decided a first chunk whose level is fixed."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A level for the next chunk, who chose it (`policy`, `llm`, `light`, `fallback`) and why."""

    level: int
    by: str = BY_POLICY
    reason: str = ""


@runtime_checkable
class Policy(Protocol):
    """A bitrate controller."""

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        """A new session begins: forget the last one.

        Args:
            video: the whole one, as its MPD lists it. A session may stream only its beginning, in the
                simulated and in the real player alike; `Observation.chunks_left` says how much is left.
            qoe: what will be scored.
        """

    def select(self, observation: Observation) -> Decision | int:
        """The level of the next chunk; a bare int is taken as a level."""


@runtime_checkable
class HearsEnd(Protocol):
    """A policy that is also told how its session ended, for what it carries into the next one.

    Both players tell it once the last chunk is in, before the buffer has played out. A session that
    is cut short has no such end. The real player does not wait for the call, whose error is logged
    and costs nothing; `python -m player` makes a policy for one session, so only a program that plays
    several with one object (`player.real.session`, `player.simulated.session`) carries anything.
    """

    def ended(self, observation: Observation) -> None:
        """The last chunk is in the observation's history; there is nothing left to decide."""


@runtime_checkable
class ChecksVideo(Protocol):
    """A policy that says by itself what it can play; another one is asked by its `reset`."""

    def check(self, video: Video, qoe: QoE) -> None:
        """Refuse a session before anything is made for it.

        Raises:
            ValueError: it can't stream this video; and the way out.
        """


@runtime_checkable
class ToldFuture(Protocol):
    """A policy that is told the future, after its `reset`; the real player has no such call."""

    def tell(self, future: Any) -> None:
        """The session that begins now, a `player.simulated.session.Future`.

        Raises:
            ValueError: such a future is of no use to it; and the way out.
        """


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """A process that decides for every session of the policies that name it alike.

    `python -m MODULE ARGUMENTS --socket PATH --device auto|cpu|cuda --threads N --json` listens on that
    Unix socket, prints one line of JSON, `{"line": "ready", …}` with what it serves, once it can decide,
    and ends at SIGTERM.
    """

    module: str
    arguments: tuple[str, ...]
    variable: str
    """Environment variable in which its players find the socket's path."""


@runtime_checkable
class Served(Protocol):
    """A policy whose decisions are a server's, which a run starts before its sessions and stops after."""

    def server(self) -> ServerCommand | None:
        """What to start; None where nothing is to be started."""

    def check(self, video: Video, qoe: QoE) -> None:
        """Refuse a session without the server, which is not there yet.

        Raises:
            ValueError: it can't stream this video, or its server could not run here; and the way out.
        """


@runtime_checkable
class AsksServer(Protocol):
    """A policy that may be told of a server, which somebody else has started."""

    def reach(self) -> None:
        """Ask that server, if there is one, whether it is there, before the first session.

        Raises:
            ValueError: it doesn't answer, or would decide otherwise; and the way out.
        """


@runtime_checkable
class DecidesTogether(Protocol):
    """A policy whose decisions for many simulated sessions cost less when they are made at once.

    Each session still has an object of its own, reset as ever; one of them is handed the questions of all.
    """

    def another(self) -> Policy:
        """A new one, made by the same arguments; called before any `reset`."""

    def together(self) -> int:
        """How many sessions may be decided at once at the most; 1: none. Loads nothing."""

    def ready_together(self) -> int:
        """Load what it takes; how many may be decided at once in this process, each as it would be alone, to
        the last digit.
        """

    def select_together(self, asked: Sequence[tuple[Policy, Observation]]) -> Sequence[object]:
        """What `select` of each would have answered, or the exception that it would have raised.

        Args:
            asked: policies made by the same spec, each at most once, and what its session's client sees.
        """


class IllegalDecision(ValueError):
    """A policy's answer is no level of the ladder."""


_LONGEST_SHOWN = 60
"""Characters of an answer that are shown."""


def shortly(answer: object, longest: int = _LONGEST_SHOWN) -> str:
    """An answer as Python shows it, where that can be had and is short, else of what kind it is."""
    if isinstance(answer, int) and answer.bit_length() > 64:  # Python refuses to write very long ones
        return f"of {answer.bit_length()} bits"
    try:
        text = repr(answer)
    except Exception:  # somebody's own class may not be able to say what it is
        text = ""
    return text if text and len(text) <= longest else f"a {type(answer).__name__}"


def as_decision(answer: object, levels: int) -> Decision:
    """A policy's answer as a :class:`Decision` with a legal level.

    Raises:
        IllegalDecision: not a Decision nor a whole number, or a level outside 0 … levels - 1.
    """
    decision = answer if isinstance(answer, Decision) else None
    level = decision.level if decision else answer
    if isinstance(level, bool) or not hasattr(level, "__index__"):
        raise IllegalDecision(f"answered {shortly(answer)}, which is no level; expected 0 to {levels - 1}")
    level = level.__index__()  # numpy integers too
    if not 0 <= level < levels:
        raise IllegalDecision(f"answered level {shortly(level)}; the ladder has 0 to {levels - 1}")
    return Decision(level, decision.by, decision.reason) if decision else Decision(level)
