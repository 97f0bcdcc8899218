"""The command line of `python -m player`. What takes long to import has no place here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from player.commands.options import (
    add_abandon_option,
    add_fallback_options,
    add_live_options,
    add_scoring_options,
    add_threshold_options,
)
from player.defaults import DEADLINE_S
from player.real.settings import Timeouts
from player.registry import policy_names
from player.transport.option import add_transport_option, add_trust_option
from traces.commands import Parser, add_json_option

DESCRIPTION = "Stream a DASH video over a real network and record the session."


def parser() -> Parser:
    """The command line."""
    top = Parser(prog="python -m player", description=DESCRIPTION)
    top.add_argument("url", metavar="URL", help="of the MPD, http or https")
    _add_session(top.add_argument_group("session"))
    add_scoring_options(top)
    _add_limits(top.add_argument_group("limits"))
    output = top.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, metavar="FILE", help="the record (default results/TIME-POLICY.jsonl)"
    )
    add_json_option(output)
    output.add_argument(
        "--stream",
        action="store_true",
        help="for a parent process: JSON lines on stdout, start line on stdin, no record",
    )
    output.add_argument(
        "--hold",
        action="store_true",
        help="with --stream: load the policy, say so, and wait for a line before anything is sent; in the end"
        " keep the connection until stdin ends",
    )
    return top


def _add_session(session: Any) -> None:
    session.add_argument(
        "--policy",
        default="bba",
        metavar="SPEC",
        help="NAME[:key=value] or FILE.py:Class (default bba; installed:"
        f" {', '.join(policy_names(real=True))})",
    )
    add_fallback_options(session)
    session.add_argument(
        "--chunks", type=_positive_int, metavar="N", help="stream only the first so many (default all)"
    )
    session.add_argument("--seed", type=int, default=0, metavar="N", help="for the policy (default 0)")
    add_threshold_options(session)
    add_abandon_option(session)
    add_transport_option(session, "fetch by HTTP/1.1, by HTTP/2 over TLS, or by HTTP/3")
    add_trust_option(session)
    add_live_options(session)


def _add_limits(limits: Any) -> None:
    limits.add_argument(
        "--decision-deadline-s",
        type=_seconds,
        metavar="S",
        default=DEADLINE_S,
        help="a policy that takes longer is replaced by its fallback for the chunk (default %(default)g)",
    )
    limits.add_argument(
        "--connect-timeout-s",
        type=_seconds,
        metavar="S",
        default=Timeouts.connect_s,
        help="for a new connection (default %(default)g)",
    )
    limits.add_argument(
        "--read-timeout-s",
        type=_seconds,
        metavar="S",
        default=Timeouts.read_s,
        help="a connection silent for longer is replaced by a new one (default %(default)g)",
    )
    limits.add_argument(
        "--give-up-s",
        type=_seconds,
        metavar="S",
        default=Timeouts.give_up_s,
        help="without a byte, the session ends as origin-lost (default %(default)g)",
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: must be positive and finite")
    return value


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be 1 or more")
    return value
