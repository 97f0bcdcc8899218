"""How a session over a network is played: what the command line says, and the defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from player.buffer import USUAL_THRESHOLDS, BufferThresholds
from player.decide import RESET_DEADLINE_S
from player.defaults import DEADLINE_S
from player.live.stream import LiveSettings
from player.qoe import QoE


@dataclass(frozen=True)
class Timeouts:
    """How long silence is borne.

    Raises:
        ValueError: one that is not positive.
    """

    connect_s: float = 10.0
    """For a new connection: SYNs at 0, 1, 3 and 7 s, so a returned link is found within 4 s."""
    read_s: float = 15.0
    """Without a byte, after which a connection counts as broken (ExoPlayer takes 8 s, dash.js 20 s)."""
    give_up_s: float = 120.0
    """Without a new byte, over all connections, after which the origin counts as lost."""

    def __post_init__(self) -> None:
        for name in ("connect_s", "read_s", "give_up_s"):
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and seconds > 0):
                raise ValueError(f"timeout {name} {seconds}: must be positive and finite")


@dataclass(frozen=True)
class PlayerSettings:
    """How a session is played.

    Raises:
        ValueError: a deadline that is not positive.
    """

    chunks: int | None = None
    """Only the first so many; None: all."""
    seed: int = 0
    """For the policy."""
    qoe: QoE = field(default_factory=QoE)
    """What the policy is told will be scored."""
    decision_deadline_s: float = DEADLINE_S
    reset_deadline_s: float = RESET_DEADLINE_S
    timeouts: Timeouts = field(default_factory=Timeouts)
    thresholds: BufferThresholds = USUAL_THRESHOLDS
    """When it asks for more, and when it plays."""
    live: LiveSettings = field(default_factory=LiveSettings)
    """How a live stream is played."""
    strict: bool = False
    """Nobody stands in for the policy: its first fault ends the session."""

    def __post_init__(self) -> None:
        for name in ("decision_deadline_s", "reset_deadline_s"):
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and seconds > 0):
                raise ValueError(f"{name} {seconds}: must be positive and finite")
