"""The kernel's own delay and loss stage: the exact tc commands, for kernels that have netem."""

from __future__ import annotations

from testbed.settings import LinkSettings, Loss

LIMIT_PACKETS = 200_000
"""netem's default of 1000 packets drops on long fat paths."""

KEEP_ORDER = "rate 10gbit"
"""With a rate, netem queues each packet behind the one before it, so that jitter reorders nothing."""


def loss_words(loss: Loss) -> str:
    """The loss part of a netem command; empty for no loss."""
    if loss.kind == "uniform":
        return f"loss random {loss.p:g}%"
    if loss.kind == "gemodel":
        return f"loss gemodel {loss.p:g}% {loss.r:g}% {loss.bad:g}% {loss.good:g}%"
    return ""


def netem_commands(settings: LinkSettings, up_interface: str, down_interface: str) -> list[str]:
    """tc commands for the node between server and router.

    Args:
        up_interface: its interface towards the server: the whole delay goes there.
        down_interface: its interface towards the router: loss goes there.
    """
    commands = []
    if settings.rtt_ms:
        jitter = f" {settings.jitter_ms:g}ms {KEEP_ORDER}" if settings.jitter_ms else ""
        commands.append(
            f"tc qdisc add dev {up_interface} root netem limit {LIMIT_PACKETS}"
            f" delay {settings.rtt_ms:g}ms{jitter}"
        )
    if settings.loss.kind != "none":
        commands.append(
            f"tc qdisc add dev {down_interface} root netem limit {LIMIT_PACKETS} {loss_words(settings.loss)}"
        )
    return commands
