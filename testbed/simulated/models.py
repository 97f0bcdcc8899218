"""The link models by which sessions are computed, and what of an emulated link each knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from player.defaults import PUBLISHED, TCP
from player.simulated.link_published import PublishedLink
from player.simulated.session import Link
from player.simulated.tcp.link import TcpLink
from testbed.link.settings import LinkSettings


@dataclass(frozen=True)
class LinkModel:
    """One link model."""

    kind: Callable[..., Link]
    """Makes a link of the fields that a manifest's `link` has, the model's name apart."""
    knows: tuple[str, ...]
    """The fields of `LinkSettings` that it has too; of others it can only do the usual value."""

    def link(self, settings: LinkSettings) -> Link:
        """The link that comes nearest to an emulated one.

        Raises:
            ValueError: a value that it cannot do.
        """
        return self.kind(**{name: getattr(settings, name) for name in self.knows})

    def beyond(self, settings: LinkSettings) -> str | None:
        """What of an emulated link it does not know, in words; None if it can do all of it."""
        usual = LinkSettings(rtt_ms=settings.rtt_ms)
        unknown = [
            field.name
            for field in dataclasses.fields(settings)
            if field.name not in self.knows and getattr(settings, field.name) != getattr(usual, field.name)
        ]
        if unknown:
            return f"it knows no {' and no '.join(unknown)}"
        try:
            self.link(settings)
        except ValueError as error:
            return str(error)
        return None


MODELS: Mapping[str, LinkModel] = {
    PUBLISHED: LinkModel(PublishedLink, ("rtt_ms",)),
    TCP: LinkModel(
        TcpLink, ("rtt_ms", "queue_ms", "queue_bytes", "congestion_control", "slow_start_after_idle")
    ),
}
"""Link models by name."""
