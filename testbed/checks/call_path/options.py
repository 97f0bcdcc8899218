"""The command line of `call_path.py`."""

from __future__ import annotations

import argparse

from testbed.link.lane import delay_backend, require_tools
from testbed.link.settings import LinkSettings, check_carried
from testbed.process.errors import TestbedError
from testbed.session.options import add_link_options, link_settings
from traces.commands import Parser, add_json_option
from traces.trace import Trace

LEAST_MBPS, MOST_MBPS = 0.1, 50.0


def parser() -> Parser:
    """The command line."""
    command = Parser(
        prog="call_path.py", description="Measure what the path of a call does to its packets, one by one."
    )
    what = command.add_argument_group("what is measured")
    what.add_argument(
        "--rate-mbps", type=float, default=2.0, metavar="MBPS", help="of the constant link (default: 2)"
    )
    what.add_argument(
        "--seconds", type=float, default=20.0, metavar="S", help="of the idle phase (default: 20)"
    )
    what.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="runs, each over a fresh lane (default: 1)"
    )
    add_link_options(command)
    add_json_option(command.add_argument_group("output"))
    return command


def asked_of(args: argparse.Namespace) -> tuple[LinkSettings, str]:
    """The link, and who delays; all that can be checked before anything is made is checked.

    Raises:
        TestbedError: what is wrong and the way out.
    """
    if not LEAST_MBPS <= args.rate_mbps <= MOST_MBPS:
        raise TestbedError(f"--rate-mbps {args.rate_mbps:g}: expected {LEAST_MBPS:g} to {MOST_MBPS:g}")
    if not 2 <= args.seconds <= 600:
        raise TestbedError(f"--seconds {args.seconds:g}: expected 2 to 600")
    if args.repeat < 1:
        raise TestbedError(f"--repeat {args.repeat}: must be 1 or more")
    settings = link_settings(args)
    if settings.loss.kind != "none":
        raise TestbedError("loss leaves gaps in the spacing that is measured here; leave it out")
    require_tools()
    backend = delay_backend(settings.asked_backend)
    flat = Trace("flat", (0.0, 1.0), (args.rate_mbps, args.rate_mbps))
    check_carried(flat, settings, backend)
    return settings, backend
