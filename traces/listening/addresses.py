"""Where a server listens: a port, and whether anybody but this machine reaches an address."""

from __future__ import annotations

import argparse
import ipaddress
import re

LOOPBACK = "127.0.0.1"
MOST_PORT = 65535
"""16 bits, by TCP and UDP."""


def port(text: str) -> int:
    """Of a command line: 0, where any free one will do, to 65535.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or int(text) > MOST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected 0 to {MOST_PORT} (0: a free one)")
    return int(text)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host's address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
