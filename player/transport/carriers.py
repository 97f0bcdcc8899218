"""The client of each protocol, imported when it is wanted: two of them need packages of an extra."""

from __future__ import annotations

from player.transport.answer import Carrier
from player.transport.client_h1 import PlainCarrier
from player.transport.names import H1, H2, refuse_missing


def carrier_of(transport: str, trusted: str | None = None) -> Carrier:
    """A client, made while an event loop runs.

    Args:
        transport: one of `TRANSPORTS`.
        trusted: the certificate to believe, as PEM; None: the system's authorities.

    Raises:
        TransportError: what it takes is not installed, or a certificate that is none.
    """
    refuse_missing(transport)
    if transport == H1:
        return PlainCarrier(trusted)
    if transport == H2:
        from player.transport.client_h2 import H2Carrier

        return H2Carrier(trusted)
    from player.transport.client_h3 import H3Carrier

    return H3Carrier(trusted)
