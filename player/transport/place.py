"""Where an https URL leads to, as the protocols above TLS want it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from player.transport.answer import Unusable

HTTPS_PORT = 443


@dataclass(frozen=True)
class Place:
    """Host and port of a connection, and what is asked for there."""

    host: str
    port: int
    authority: str
    """Both as a request names them."""
    path: str
    """With its query."""

    @classmethod
    def of(cls, url: str, protocol: str) -> Place:
        """Raises Unusable for what is no URL, or none of https."""
        try:
            parts = urlsplit(url)
            port = HTTPS_PORT if parts.port is None else parts.port
        except ValueError:
            raise Unusable("not a URL") from None
        if parts.scheme != "https" or not parts.hostname:
            raise Unusable(f"{protocol} is spoken over TLS alone; the address has to begin with https://")
        path = parts.path or "/"
        whole = f"{path}?{parts.query}" if parts.query else path
        if any(not "!" <= letter <= "~" for letter in whole):
            raise Unusable("not a URL: its path has letters that no request may have")
        return cls(parts.hostname, port, parts.netloc.rpartition("@")[2], whole)

    def head(self, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        """Of a request for it, pseudo-fields first (RFC 9113 section 8.3.1, RFC 9114 section 4.3.1)."""
        pseudo = {":method": "GET", ":scheme": "https", ":authority": self.authority, ":path": self.path}
        return [*pseudo.items(), *((name.lower(), value) for name, value in headers.items())]

    def same_server(self, other: Place | None) -> bool:
        """Whether one connection does for both."""
        return other is not None and (self.host, self.port) == (other.host, other.port)
