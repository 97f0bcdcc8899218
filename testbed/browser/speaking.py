"""By which protocol Chromium speaks with the lane's origin, and whom it believes there: flags of its own.

A browser speaks HTTP/2 and HTTP/3 over TLS alone. It believes the one key of the lane's origin
(`--ignore-certificate-errors-spki-list`), and speaks QUIC with it from the first packet on, where others
would wait to be told that they may (`--origin-to-force-quic-on`).
"""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import urlsplit

from player.transport.names import H1, H3
from testbed.browser.chromium import NO_QUIC, BrowserError


def spki_sha256(certificate: str) -> str:
    """Hash of a certificate's (PEM) public key, in base64, as Chromium takes it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from cryptography.x509 import load_pem_x509_certificate

    key = load_pem_x509_certificate(certificate.encode()).public_key()
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode()


def speaking(transport: str, url: str, certificate: str | None) -> tuple[str, ...]:
    """Flags for one of `TRANSPORTS` with the origin that has the MPD at `url`.

    Args:
        certificate: of the origin, PEM.

    Raises:
        BrowserError: nobody has said whom to believe.
    """
    if transport == H1:
        return NO_QUIC
    if certificate is None:
        raise BrowserError("nobody has told the browser which certificate its origin has")
    trust = f"--ignore-certificate-errors-spki-list={spki_sha256(certificate)}"
    if transport != H3:
        return trust, *NO_QUIC
    return trust, "--enable-quic", f"--origin-to-force-quic-on={urlsplit(url).netloc}"
