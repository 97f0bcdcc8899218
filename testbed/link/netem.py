"""The kernel's own delay and loss stage: the exact tc commands, for kernels that have netem."""

from __future__ import annotations

from testbed.link.settings import LinkSettings, Loss
from traces.trace import Step

LIMIT_PACKETS = 200_000
"""netem's default of 1000 packets drops on long fat paths."""

KEEP_ORDER = "rate 10gbit"
"""With a rate, netem queues each packet behind the one before it, so that varying delays reorder nothing."""


def loss_words(loss: Loss) -> str:
    """The loss part of a netem command; empty for no loss."""
    if loss.kind == "uniform":
        return f"loss random {loss.p:g}%"
    if loss.kind == "gemodel":
        return f"loss gemodel {loss.p:g}% {loss.r:g}% {loss.bad:g}% {loss.good:g}%"
    return ""


def delay_words(settings: LinkSettings, more_ms: float, varying: bool) -> str:
    """The delay part of a netem command.

    Args:
        more_ms: what the trace adds.
        varying: whether that will change.
    """
    delay = f"delay {settings.feedback_delay_ms + more_ms:g}ms"
    jitter = f" {settings.jitter_ms:g}ms" if settings.jitter_ms else ""
    return f"{delay}{jitter} {KEEP_ORDER}" if jitter or varying else delay


def media_words(settings: LinkSettings) -> str:
    """What packets to the player wait, in words of a netem command; empty for nothing."""
    if not settings.media_delay_ms:
        return ""
    delay = f"delay {settings.media_delay_ms:g}ms"
    jitter = f" {settings.media_jitter_ms:g}ms {KEEP_ORDER}" if settings.media_jitter_ms else ""
    return delay + jitter


def down_words(settings: LinkSettings, more_pct: float, varying: bool) -> str:
    """The netem towards the router: delay and loss; empty for neither.

    Args:
        more_pct: what the trace loses.
        varying: whether that will change.
    """
    lost = loss_words(settings.loss.plus(more_pct)) or (loss_words(NO_LOSS) if varying else "")
    return " ".join(filter(None, (media_words(settings), lost)))


def netem_commands(
    settings: LinkSettings, up_interface: str, down_interface: str, first: Step | None = None
) -> list[str]:
    """tc commands for the node between server and router.

    Args:
        up_interface: its interface towards the server: the uplink's delay goes there.
        down_interface: its interface towards the router: loss and the media's delay go there.
        first: the first step of a trace whose delay and loss vary; then both have a netem.
    """
    varying = first is not None
    more_ms, more_pct = (first.delay_ms, first.loss_pct) if first is not None else (0.0, 0.0)
    commands = []
    if settings.feedback_delay_ms or varying:
        words = delay_words(settings, more_ms, varying)
        commands.append(f"tc qdisc add dev {up_interface} root netem limit {LIMIT_PACKETS} {words}")
    if words := down_words(settings, more_pct, varying):
        commands.append(f"tc qdisc add dev {down_interface} root netem limit {LIMIT_PACKETS} {words}")
    return commands


NO_LOSS = Loss("uniform", 0.0)
"""A netem that loses nothing now and may later."""


def netem_changes(
    settings: LinkSettings, up_interface: str, down_interface: str, before: Step, now: Step
) -> list[str]:
    """Lines for `tc -batch` that take the stage from one step to the next; none where nothing changes."""
    lines = []
    if now.delay_ms != before.delay_ms:
        words = delay_words(settings, now.delay_ms, varying=True)
        lines.append(f"qdisc change dev {up_interface} root netem limit {LIMIT_PACKETS} {words}")
    if now.loss_pct != before.loss_pct:
        words = down_words(settings, now.loss_pct, varying=True)
        lines.append(f"qdisc change dev {down_interface} root netem limit {LIMIT_PACKETS} {words}")
    return lines
