"""The command line of `testbed/origin.py`. What takes long to import has no place here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from player.live.parts import check_part_s
from player.transport.option import add_transport_option
from traces.commands import Parser, add_json_option
from traces.listening.addresses import port

SEGMENTS = ("auto", "kept", "noise")


def _part_s(text: str) -> float:
    value = float(text)
    try:
        check_part_s(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: {str(error).partition(': ')[2]}") from None
    return value


def parser() -> Parser:
    """The command line."""
    command = Parser(
        prog="origin.py",
        description="Serve videos over HTTP to our player and to any other.",
    )
    _add_address(command.add_argument_group("address"))
    _add_content(command.add_argument_group("content"))
    output = command.add_argument_group("output")
    output.add_argument(
        "--log", type=Path, metavar="FILE", help="append the request lines (JSON) here (default: stderr)"
    )
    add_json_option(output, "print one JSON object once it listens")
    return command


def _add_address(address: Any) -> None:
    address.add_argument("--host", default="0.0.0.0", help="address to listen on (default: %(default)s)")
    address.add_argument("--port", type=port, default=8080, help="0 takes a free one (default: %(default)s)")
    address.add_argument(
        "--cc",
        metavar="NAME",
        help="congestion control of every connection (default: the kernel's; of QUIC cubic)",
    )
    add_transport_option(address, "serve by HTTP/1.1, by HTTP/2 over TLS, or by HTTP/3 as well")
    address.add_argument(
        "--certificate",
        type=Path,
        metavar="FILE",
        help="of h2 and h3: a certificate and its key in PEM, made there where there is no such file"
        " (default: one for this run)",
    )


def _add_content(content: Any) -> None:
    content.add_argument(
        "--video",
        action="append",
        metavar="VIDEO",
        help="a built-in name, a directory of video_size_N files or an MPD; may be repeated"
        " (default: every built-in, unless --media is given)",
    )
    content.add_argument("--media", type=Path, metavar="DIR", help="encoded DASH media to serve as it is")
    content.add_argument(
        "--segments",
        choices=SEGMENTS,
        default="auto",
        help="what described videos are made of: real media, made now by ffmpeg where none are kept (auto),"
        " real media if they are kept (kept), or random bytes (noise) (default: %(default)s)",
    )
    content.add_argument(
        "--part-s",
        type=_part_s,
        metavar="S",
        help="of live streams (/NAME/live/manifest.mpd): chunks come in parts so long, as they are made"
        " (default: whole)",
    )
