"""Whether a policy can play a video, asked before anything is made for a session."""

from __future__ import annotations

import threading
from collections.abc import Callable

from player.faults import place_of, source_of, text_of
from player.foreign.trial import EndedHere, tried
from player.policy import AsksServer, ChecksVideo
from player.qoe import QoE
from player.registry import LoadedPolicy, PolicyError, is_foreign
from player.video.video import Video

ASKED_FOR_S = 10.0
"""A policy that takes longer to answer is not waited for: the session has its own deadline."""


def refuse_unplayable(
    loaded: LoadedPolicy, video: Video, typed: str, seed: int, qoe: QoE, what: str = "policy"
) -> None:
    """Ask a policy by its `check`, or else by its `reset`; and the server that it was told of.

    A ValueError there says that it can't play the video. Whatever else it raises the session will meet
    again, and say so.

    Args:
        typed: what the person wrote for the video.
        what: the policy is asked as.

    Raises:
        PolicyError: it can't, or its server is not there; with its own words.
    """
    if is_foreign(loaded.spec):  # it may end the process that asks it
        try:
            why = tried(lambda: _why_not(loaded, video, typed, seed, qoe), silent=False)
        except EndedHere as end:
            call = "check" if isinstance(loaded.policy, ChecksVideo) else "reset"
            raise PolicyError(f"{what} {loaded.spec}: its {call} ends the program ({end})") from None
    else:
        why = _why_not(loaded, video, typed, seed, qoe)
    if why:
        raise PolicyError(f"{what} {loaded.spec}{why}")


def _why_not(loaded: LoadedPolicy, video: Video, typed: str, seed: int, qoe: QoE) -> str:
    """Why it can't, to stand after its name; empty where it can."""
    policy = loaded.policy
    if isinstance(policy, ChecksVideo):
        error = _error_of(lambda: policy.check(video, qoe))
    else:
        error = _error_of(lambda: policy.reset(video, seed, qoe))
    if isinstance(error, ValueError):
        place = "" if ours(loaded) else f" ({place_of(error, source_of(policy))})"
        return f" can't play {typed}: {_words_of(error)}{place}"
    if isinstance(policy, AsksServer):
        error = _error_of(policy.reach)
        if isinstance(error, ValueError):
            return f": {_words_of(error)}"
    return ""


def _words_of(error: ValueError) -> str:
    return text_of(error) or type(error).__name__


def ours(loaded: LoadedPolicy) -> bool:
    """Whether the policy is one of those that come along, whose words need no line of theirs."""
    return type(loaded.policy).__module__.startswith("policies.")


def _error_of(call: Callable[[], object]) -> BaseException | None:
    """What a call raised, if it did so in time."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work, name="policy", daemon=True)
    thread.start()
    thread.join(ASKED_FOR_S)
    return raised[0] if raised else None
