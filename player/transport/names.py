"""The protocols by which chunks can be fetched, and what each takes.

`h1` is HTTP/1.1 as ever, over plain TCP; `h2` is HTTP/2 over TLS and TCP; `h3` is HTTP/3 over QUIC. Browsers
speak the last two over TLS alone, so that is how they are compared: of HTTP/2 without it nothing is known.
"""

from __future__ import annotations

from importlib.util import find_spec

from player.transport.quic_names import CONGESTION_CONTROLS

TRANSPORTS = H1, H2, H3 = ("h1", "h2", "h3")
EXTRA = "transport"
NEEDED = {H1: (), H2: ("h2", "cryptography"), H3: ("aioquic", "cryptography", "h2")}
"""Packages of the extra, by import name. An origin of HTTP/3 speaks HTTP/2 too, to whom can't do better."""
ASKED, NEGOTIATED = "asked", "negotiated"
"""Of a record's `player.transport`."""


class TransportError(ValueError):
    """A protocol that can't be had so; the message is one line."""


def refuse_transport(transport: str, congestion_control: str | None) -> None:
    """Refuse a protocol that an origin can't serve here.

    Raises:
        TransportError: what is missing, or a congestion control that its QUIC has not.
    """
    refuse_missing(transport)
    if transport == H3 and congestion_control not in (None, *CONGESTION_CONTROLS):
        raise TransportError(
            f"{H3}: congestion control {congestion_control}: the origin's QUIC has"
            f" {' and '.join(CONGESTION_CONTROLS)}; give one of them by --cc"
        )


def refuse_missing(transport: str) -> None:
    """Refuse a protocol whose packages are not installed.

    Raises:
        TransportError: which, and how to get them.
    """
    lacking = [name for name in NEEDED[transport] if find_spec(name) is None]
    if lacking:
        raise TransportError(
            f"{transport}: {' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not installed:"
            f" pip install -c constraints.txt -e '.[{EXTRA}]'"
        )
