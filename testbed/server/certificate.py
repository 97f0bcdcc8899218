"""The origin's certificate for HTTP/2 and HTTP/3: a file's, the run's, or one made now; and how TLS takes it.

A lane's is made once a run and never written down: its key goes to the origin, its public part to the
players, each by an environment variable.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import ipaddress
import os
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from player.transport.names import TransportError
from player.transport.trust import CERTIFICATE_VARIABLE, certificates_in
from traces.files import aside
from traces.safe_reading import BadFileError, read_text

KEY_VARIABLE = "STREAMBED_ORIGIN_KEY"
"""PEM: a certificate and its key."""
LASTS = datetime.timedelta(days=30)
_NAME = "Streambed origin"
_KEY = re.compile(r"-----BEGIN (?P<kind>[A-Z ]*PRIVATE KEY)-----\n.*?\n-----END (?P=kind)-----\n?", re.DOTALL)
"""Before its certificate, or after it."""


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key."""

    public: str
    """PEM."""
    key: str
    """PEM."""

    @classmethod
    def of(cls, text: str, what: str) -> Certificate:
        """Of a text that holds both.

        Raises:
            TransportError: it doesn't; `what` begins the message.
        """
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        public = certificates_in(text, what)
        found = _KEY.search(text.replace("\r\n", "\n"))
        key = "" if found is None else found[0]
        try:
            load_pem_private_key(key.encode(), None)
        except (ValueError, TypeError):
            raise TransportError(f"{what}: holds no private key without a password, in PEM") from None
        return cls(public, key)

    @property
    def text(self) -> str:
        return self.public + self.key


def made_certificate(hosts: Sequence[str]) -> Certificate:
    """A new one that signs itself.

    Args:
        hosts: names and addresses that it is good for.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _NAME)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + LASTS)
        .add_extension(x509.SubjectAlternativeName([_general(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    return Certificate(
        signed.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode(),
    )


def _general(host: str) -> object:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


@functools.cache
def run_certificate(host: str) -> Certificate:
    """The one of this run's lanes, which all have the same addresses."""
    return made_certificate((host,))


def told_origin(host: str) -> Mapping[str, str]:
    """Environment of a lane's origin."""
    return {KEY_VARIABLE: run_certificate(host).text}


def told_player(host: str) -> Mapping[str, str]:
    """Environment of a lane's players."""
    return {CERTIFICATE_VARIABLE: run_certificate(host).public}


def origin_certificate(file: Path | None, hosts: Sequence[str]) -> Certificate:
    """The one to serve with: the file's, the run's, or a new one, which a file that isn't there keeps.

    Raises:
        TransportError: the file holds none.
        OSError: it can't be read, or written.
    """
    if file is None:
        told = os.environ.get(KEY_VARIABLE)
        return made_certificate(hosts) if told is None else Certificate.of(told, KEY_VARIABLE)
    if not file.exists():
        made = made_certificate(hosts)
        with aside(file) as partial:
            partial.chmod(0o600)  # before there is a key in it
            partial.write_text(made.text)
        return made
    try:
        return Certificate.of(read_text(file), f"--certificate {file}")
    except BadFileError as error:
        raise TransportError(f"--certificate {error}") from None


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A path under which a text can be read that is on no disk: TLS takes its key from files alone."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def server_context(certificate: Certificate, *protocols: str) -> ssl.SSLContext:
    """TLS as a server speaks it; `protocols` by ALPN, the best first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with _as_file(certificate.text) as path:
        context.load_cert_chain(path)
    context.set_alpn_protocols(list(protocols))
    return context
