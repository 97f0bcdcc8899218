"""Ports and addresses, as every server's command line takes them."""

from __future__ import annotations

import argparse

import pytest

from traces.listening.addresses import is_loopback, port


def test_a_port_has_sixteen_bits() -> None:
    assert [port(text) for text in ("0", "80", "65535")] == [0, 80, 65535]
    for wrong in ("", "-1", "65536", "80.0", "²", "0x50", "٨٠"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected 0 to 65535"):
            port(wrong)


@pytest.mark.parametrize(
    ("host", "only_us"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.7", False),
        ("example.org", False),
        ("localhost.example.org", False),
    ],
)
def test_only_this_machine_reaches_loopback(host: str, only_us: bool) -> None:
    assert is_loopback(host) is only_us
