"""The command line of `testbed/run.py`. What takes long to import has no place here."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from player.commands.options import (
    add_abandon_option,
    add_fallback_options,
    add_live_options,
    add_scoring_options,
)
from player.defaults import DEADLINE_S, DEVICES
from player.transport.option import add_transport_option
from testbed.browser.clients import CLIENTS, PYTHON
from testbed.cross.options import add_together_options
from testbed.process.page_option import add_page_option
from testbed.session.options import add_aqm_option, add_link_options, add_policy_option, add_video_options
from traces.commands import Parser, add_json_option

EXAMPLES = (
    "sudo python3 testbed/run.py --trace 4g",
    "sudo python3 testbed/run.py --trace 4g/17 --policy bba,my_policy.py:Mine --chunks 10",
    "sudo python3 testbed/run.py --trace my_trace.csv --rtt-ms 40 --retry-invalid 2 --out results/mine",
    "sudo python3 testbed/run.py --reproduce results/mine/bba.jsonl",
)
DEFAULT_POLICIES = "netllm,apc,bba,robustmpc,genet"
"""Those of them that can stream the video."""


def asked(words: Sequence[str]) -> argparse.Namespace | None:
    """A run's command line; None where a record's session is asked for again, which `reproduce` reads."""
    if any(word.partition("=")[0] == "--reproduce" for word in words):
        return None
    args = parser().parse_args(words)
    if args.reproduce is not None:  # shortened, which passes as an option of a run
        parser().error("--reproduce has to be written out")
    return args


def parser() -> Parser:
    """The command line."""
    command = Parser(
        prog="run.py",
        description="Stream one video over a replayed trace, several policies side by side.",
        examples=EXAMPLES,
    )
    what = command.add_argument_group("what is streamed")
    what.add_argument(
        "--trace",
        "--traces",
        required=True,
        metavar="TRACE",
        help="a family (3g, 4g, lte, 5g, fcc, wifi, rural, bursty), a member (4g/17), or a file in any known"
        " format",
    )
    what.add_argument(
        "--reproduce",
        metavar="RECORD",
        help="instead of all others: a record's session again, and what differs (with --out, --json, and"
        " --trust where the record names a policy file)",
    )
    what.add_argument("--format", metavar="NAME", help="the trace file's format (default: detected)")
    what.add_argument("--start-s", type=float, default=0.0, metavar="S", help="begin here in the trace")
    add_video_options(what)
    add_abandon_option(what)
    add_transport_option(what, "fetch by HTTP/1.1, by HTTP/2 over TLS, or by HTTP/3")
    add_live_options(what)
    what.add_argument(
        "--part-s",
        type=float,
        metavar="S",
        help="with --live: chunks come in parts so long, as they are made (default: whole)",
    )
    _add_who_options(command)
    add_aqm_option(add_link_options(command))
    add_together_options(command, "session")
    _add_how_options(command)
    add_scoring_options(command, perceived=True)
    _add_output_options(command)
    return command


def _add_who_options(command: Parser) -> None:
    who = command.add_argument_group("who decides")
    add_policy_option(who, "a lane each; ", DEFAULT_POLICIES)
    who.add_argument("--seed", type=int, default=0, metavar="N", help="of policies and of the relay's loss")
    who.add_argument(
        "--decision-deadline-s",
        type=float,
        default=DEADLINE_S,
        metavar="S",
        help="a slower decision is made by the fallback (default: %(default)g)",
    )
    add_fallback_options(who)
    who.add_argument(
        "--device",
        choices=DEVICES,
        default="auto",
        help="where a policy's server puts its model (default: cuda if there, else cpu)",
    )


def _add_how_options(command: Parser) -> None:
    how = command.add_argument_group("how")
    how.add_argument(
        "--player",
        choices=CLIENTS,
        default=PYTHON,
        help="our player, or dash.js in headless Chromium, whose own rules are policies too: dashjs:dynamic,"
        " dashjs:bola, dashjs:throughput, dashjs:l2a, dashjs:lolp (default: %(default)s)",
    )
    how.add_argument(
        "--lanes",
        type=int,
        metavar="N",
        help="stream so many at once, whatever the machine (default: all, or as many as it holds now)",
    )
    how.add_argument(
        "--retry-invalid",
        type=int,
        default=0,
        metavar="N",
        help="stream a session whose link was not true again, up to so many times; the invalid ones are kept"
        " in invalid/ (default: 0)",
    )


def _add_output_options(command: Parser) -> None:
    output = command.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of records (default: results/TIME-TRACE)"
    )
    output.add_argument("--pcap", action="store_true", help="capture each player's packet headers")
    add_page_option(output)
    add_json_option(output)
