"""`--transport` and `--ca`, which several commands have. Help waits for nothing that they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from player.transport.names import H1, TRANSPORTS


def add_transport_option(group: Any, what: str) -> None:
    """`--transport`; `what` is done by it."""
    group.add_argument("--transport", choices=TRANSPORTS, default=H1, help=f"{what} (default: %(default)s)")


def add_trust_option(group: Any) -> None:
    """`--ca`, for `player.transport.trust.trusted_certificate`."""
    group.add_argument(
        "--ca",
        type=Path,
        metavar="FILE",
        help="of https: the certificate to believe, in PEM (default: the system's authorities)",
    )
