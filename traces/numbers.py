"""Numbers of a command line, each refused in one line when it makes no sense."""

from __future__ import annotations

import argparse
import math

MOST_WHOLE = 2**63 - 1
"""As tables and other languages hold a whole number."""
MOST = 1e15
"""No size, time, rate or count of a session is larger: a record that says so is not read."""


def whole(text: str) -> int:
    """0 or more."""
    return _integer(text, 0)


def count(text: str) -> int:
    """1 or more."""
    return _integer(text, 1)


def counts(text: str) -> list[int]:
    """By commas, each 1 or more."""
    return [count(word) for word in text.split(",")]


def wholes(text: str) -> list[int]:
    """By commas, each 0 or more."""
    return [whole(word) for word in text.split(",")]


def positive(text: str) -> float:
    """Above 0, and finite."""
    value = _real(text)
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: must be positive, and finite")
    return value


def not_negative(text: str) -> float:
    """0 or more, and finite."""
    value = _real(text)
    if not 0.0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: must be 0 or more, and finite")
    return value


def share(text: str) -> float:
    """0 to 1."""
    value = _real(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text}: must be 0 to 1")
    return value


def _integer(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text}: must be {least} or more, a whole number")
    return value


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: must be a number") from None


def count_to_a_million(text: str) -> int:
    """1 to 1,000,000: characters, members."""
    value = int(text) if text.isdigit() and len(text) < 10 else 0
    if not 1 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return value


def rate_mbps(text: str) -> float:
    """0 to under 10^9."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return value


def length_s(text: str) -> float:
    """0.01 s to under 10^9 s."""
    value = rate_mbps(text)
    if value < 0.01:
        raise argparse.ArgumentTypeError(f"{text!r} is not a length of 0.01 s or more")
    return value
