"""The command line of `testbed/origin.py`. What takes long to import has no place here."""

from __future__ import annotations

import argparse
from pathlib import Path

from traces.commands import Parser, add_json_option
from traces.listening.addresses import port

SEGMENTS = ("auto", "kept", "noise")


def _part_s(text: str) -> float:
    value = float(text)
    if not 0.02 <= value <= 60:
        raise argparse.ArgumentTypeError(f"{text}: expected 0.02 to 60")
    return value


def parser() -> Parser:
    """The command line."""
    command = Parser(
        prog="origin.py",
        description="Serve videos over HTTP to our player and to any other.",
    )
    address = command.add_argument_group("address")
    address.add_argument("--host", default="0.0.0.0", help="address to listen on (default: %(default)s)")
    address.add_argument("--port", type=port, default=8080, help="0 takes a free one (default: %(default)s)")
    address.add_argument(
        "--cc", metavar="NAME", help="TCP congestion control of every connection (default: the kernel's)"
    )
    content = command.add_argument_group("content")
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
    output = command.add_argument_group("output")
    output.add_argument(
        "--log", type=Path, metavar="FILE", help="append the request lines (JSON) here (default: stderr)"
    )
    add_json_option(output, "print one JSON object once it listens")
    return command
