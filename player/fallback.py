"""Who decides where a policy can't: what the person says, else what the policy names itself, else a rule.

A policy names one by an attribute `fallback`, a spec such as `bba:reservoir_s=8`.
"""

from __future__ import annotations

from player.defaults import FALLBACK
from player.observation import Observation
from player.policy import Decision, Policy, Served, ToldFuture
from player.qoe import QoE
from player.registry import LoadedPolicy, PolicyError, load_policy
from player.video.video import Video

FALLBACK_ONCE = "bba"
"""That of sessions which don't say."""


def fallback_spec(policy: Policy, asked: str | None = None) -> str:
    """The spec of a policy's fallback.

    Args:
        asked: by the person, if anything.
    """
    if asked is not None:
        return asked
    named = getattr(policy, "fallback", None)
    return named if isinstance(named, str) and named else FALLBACK


def load_fallback(spec: str) -> LoadedPolicy:
    """The policy that a fallback's spec names, constructed.

    Raises:
        PolicyError: it can't be had, or could not decide at once.
    """
    try:
        loaded = load_policy(spec)
    except PolicyError as error:
        raise PolicyError(f"fallback: {error}") from None
    rule = f"take a rule such as {FALLBACK}"
    if isinstance(loaded.policy, ToldFuture):
        raise PolicyError(f"fallback {spec}: it is told the future; {rule}")
    if isinstance(loaded.policy, Served):
        raise PolicyError(f"fallback {spec}: it asks a server, which may be late; {rule}")
    return loaded


class StandIn:
    """A fallback that is loaded once it is wanted: most sessions end without it."""

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self._policy: Policy | None = None
        self._told: tuple[Video, int, QoE] | None = None

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self._told = video, seed, qoe
        if self._policy is not None:
            self._policy.reset(video, seed, qoe)

    def select(self, observation: Observation) -> Decision | int:
        """Raises PolicyError where it can't be had, and what its own `reset` raises."""
        if self._policy is None:
            assert self._told is not None, "reset first"
            policy = load_fallback(self.spec).policy
            policy.reset(*self._told)
            self._policy = policy
        return self._policy.select(observation)
