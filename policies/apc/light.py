"""The light policy: any registered one, with how sure it is where it can tell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from player.observation import Observation
from player.policy import Decision, HearsEnd, Policy, as_decision
from player.qoe import QoE
from player.registry import PolicyError, load_policy, policy_file, policy_names
from player.video.built_in import PUBLISHED_CHUNK_S, PUBLISHED_LADDER_KBPS
from player.video.video import Video
from policies.apc.names import OTHERWISE, TRAINED
from policies.view.asked import unit_of


@runtime_checkable
class TellsLead(Protocol):
    """A policy that also says how far its best level is ahead of the second best, in its own unit; where that
    is QoE's, it has `lead_in_qoe`."""

    def decide(self, observation: Observation) -> tuple[Decision, float]:
        """The decision and the lead; inf where nothing else could be taken."""


@dataclass(frozen=True)
class LightDecision:
    """What the light policy would do."""

    level: int
    reason: str
    lead: float
    """How far its two best candidates are apart; inf where it doesn't tell. What is QoE is relative to the
    ladder, of which it spans 4."""


def light_for(video: Video) -> str:
    """The light policy for a video: how sure it is was learned on the published ladder alone."""
    published = video.ladder_kbps == PUBLISHED_LADDER_KBPS and video.chunk_s == PUBLISHED_CHUNK_S
    return TRAINED if published else OTHERWISE


class Light:
    """A registered policy in the role of the light one.

    Args:
        name: as on a command line; of an installed one, for a spec with a file deep inside would run it
            where nobody has looked (`testbed.again.trust`).

    Raises:
        PolicyError: no such policy, or a file's.
    """

    def __init__(self, name: str) -> None:
        if policy_file(name) is not None:
            raise PolicyError(
                f"light policy {name}: it lies in a file; the light policy is an installed one:"
                f" {', '.join(policy_names())}"
            )
        self.name = name
        self._policy: Policy = load_policy(name).policy
        self._levels, self._lead_unit = 0, 1.0

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        """A new session.

        Raises:
            ValueError: the policy can't stream this video.
        """
        self._levels = video.levels
        in_qoe = getattr(self._policy, "lead_in_qoe", False)
        self._lead_unit = unit_of(qoe.quality(video.ladder_kbps)) if in_qoe else 1.0
        self._policy.reset(video, seed, qoe)

    def decide(self, observation: Observation) -> LightDecision:
        """Its decision.

        Raises:
            IllegalDecision: its answer is no level; or whatever it raises itself.
        """
        if isinstance(self._policy, TellsLead):
            answer, lead = self._policy.decide(observation)
        else:
            answer, lead = as_decision(self._policy.select(observation), self._levels), math.inf
        decision = as_decision(answer, self._levels)
        return LightDecision(decision.level, decision.reason, lead * self._lead_unit)

    def ended(self, observation: Observation) -> None:
        """The session is over."""
        if isinstance(self._policy, HearsEnd):
            self._policy.ended(observation)
