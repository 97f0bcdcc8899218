"""Who may look: everybody on this machine where only it is listened to, and elsewhere who has the token."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from traces.listening.addresses import is_loopback

TOKEN_BYTES = 18
OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def host_of(header: str) -> str:
    """The name in a Host header, without the port, in lower case; empty where it is none."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


@dataclass(frozen=True)
class Access:
    """What a request must have."""

    listen: str
    token: str | None = None
    """None: nobody else reaches the address."""

    @classmethod
    def to(cls, listen: str) -> Access:
        """Of an address that is listened on; with a new token where others reach it."""
        return cls(listen, None if is_loopback(listen) else secrets.token_urlsafe(TOKEN_BYTES))

    def fault(self, host: str, token: str) -> str:
        """Why a request is refused; empty where it is not.

        A page of somebody else whose name leads to this machine (DNS rebinding) asks under that name: without
        a token only this machine's own names are answered.

        Args:
            host: the Host header. Its port does not matter: `ssh -L` may have another one.
            token: as the address has it.
        """
        if self.token is not None:
            right = hmac.compare_digest(token.encode(), self.token.encode())
            return "" if right else "wrong or no token; open the address that the command printed"
        named = host_of(host)
        if named in OWN_NAMES or named == self.listen:
            return ""
        return "asked under a name that is not this machine's; use localhost"
