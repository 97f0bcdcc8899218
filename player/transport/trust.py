"""Whose certificate a client believes: the system's authorities, a file's, or that of the lane's origin.

A lane's origin has a certificate of its own, made for the run. Whoever starts a player there tells it by an
environment variable which one it is.
"""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path

from player.transport.names import TransportError
from traces.safe_reading import BadFileError, read_text

CERTIFICATE_VARIABLE = "STREAMBED_ORIGIN_CERTIFICATE"
"""PEM, without the key."""
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\n.*?\n-----END CERTIFICATE-----\n?", re.DOTALL)


def trusted_certificate(file: Path | None) -> str | None:
    """What to believe, as PEM; None for the system's authorities.

    Raises:
        TransportError: a file that holds none.
    """
    if file is None:
        return os.environ.get(CERTIFICATE_VARIABLE) or None
    try:
        text = read_text(file)
    except BadFileError as error:
        raise TransportError(f"--ca {error}") from None
    except OSError as error:
        raise TransportError(f"--ca {file}: {error.strerror}") from None
    return certificates_in(text, f"--ca {file}")


def certificates_in(text: str, what: str) -> str:
    """The certificates of a text that may hold their key, too.

    Raises:
        TransportError: there is none; `what` begins the message.
    """
    found = _BLOCK.findall(text.replace("\r\n", "\n"))
    if not found:
        raise TransportError(f"{what}: holds no certificate in PEM (-----BEGIN CERTIFICATE----- …)")
    return "".join(f"{one.rstrip()}\n" for one in found)


def client_context(trusted: str | None, *protocols: str) -> ssl.SSLContext:
    """TLS as a client speaks it.

    Args:
        trusted: PEM; None: the system's authorities.
        protocols: by ALPN, the best first.

    Raises:
        TransportError: a certificate that is none.
    """
    try:
        context = ssl.create_default_context(cadata=trusted)
    except ssl.SSLError as error:
        raise TransportError(f"the certificate to be trusted is none: {error.reason or error}") from None
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def distrusted(error: ssl.SSLError, host: str) -> str:
    """Why a server's certificate was not believed, in a line, with the way out."""
    why = getattr(error, "verify_message", "") or error.reason or str(error)
    return f"the certificate of {host} is not trusted: {why}; give it by --ca FILE"
