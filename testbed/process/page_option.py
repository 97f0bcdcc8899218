"""`--serve-page`: where a run or a sweep can be watched. What takes long to import has no place here."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from analysis.watch.kept import PAGE
from traces.listening.addresses import LOOPBACK, port


@dataclass(frozen=True)
class Place:
    """Where the page is served."""

    port: int
    listen: str = LOOPBACK


def place_of(text: str) -> Place:
    """What `--serve-page` was given: PORT, or ADDRESS:PORT for others than this machine."""
    listen, _, number = text.rpartition(":")
    try:
        return Place(port(number), listen.strip("[]") or LOOPBACK)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; give PORT, or ADDRESS:PORT") from None


def add_page_option(output: Any) -> None:
    """`--serve-page`."""
    output.add_argument(
        "--serve-page",
        type=place_of,
        metavar="PORT",
        help=f"a page to watch it by on this machine's own address, kept as {PAGE} in the end; 0 takes a"
        " free port, ADDRESS:PORT lets others look, with a token (docs/watching.md)",
    )
