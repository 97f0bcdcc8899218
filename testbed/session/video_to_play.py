"""Whether policies and their fallbacks can play a video, asked while a command is planned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from player.fallback import fallback_spec, load_fallback
from player.playable import refuse_unplayable
from player.qoe import QoE
from player.registry import LoadedPolicy
from player.video.video import Video


@dataclass(frozen=True)
class VideoToPlay:
    """What is to be played, with what policies are asked about it."""

    video: Video
    """The whole one."""
    typed: str
    """What the person wrote for it."""
    seed: int
    qoe: QoE

    def refuse(self, policy: LoadedPolicy, what: str = "policy") -> None:
        """Raises PolicyError for a policy that can't play it."""
        refuse_unplayable(policy, self.video, self.typed, self.seed, self.qoe, what)

    def refuse_fallbacks(self, policies: Iterable[LoadedPolicy], asked: str | None) -> None:
        """Raises PolicyError for a fallback that can't be had, or can't play it.

        Args:
            asked: of the person, instead of what policies name.
        """
        for spec in dict.fromkeys(fallback_spec(policy.policy, asked) for policy in policies):
            self.refuse(load_fallback(spec), "fallback")
