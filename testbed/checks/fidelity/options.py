"""The command line of `fidelity.py`, checked before anything is made."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from testbed.checks.fidelity.figures import WINDOW_S
from testbed.checks.fidelity.plot import check_plot
from testbed.link.lane import check_congestion_control, delay_backend, require_tools
from testbed.link.settings import LinkSettings, check_carried
from testbed.process.errors import TestbedError
from testbed.session.options import add_link_options, capped, link_settings
from traces.commands import Parser, add_json_option
from traces.families.catalogue import resolve_many
from traces.trace import Trace


def parser() -> Parser:
    """The command line."""
    command = Parser(prog="fidelity.py", description="Measure how true the emulated link is on this machine.")
    _add_what_options(command)
    making = command.add_argument_group("how links are made (to see what the defaults are worth)")
    making.add_argument(
        "--bucket-ms",
        type=float,
        metavar="MS",
        help="what a link's bucket holds, at least a frame (default: it follows the timers' lateness)",
    )
    making.add_argument("--uncorrected", action="store_true", help="never correct a rate within a step")
    add_link_options(command)
    _add_output_options(command)
    return command


def _add_what_options(command: Parser) -> None:
    what = command.add_argument_group("what is measured")
    what.add_argument(
        *("--trace", "--traces"),
        action="append",
        required=True,
        metavar="TRACE",
        help="as in run.py; a slice (4g[0:12]) or a directory gives several; may be repeated",
    )
    what.add_argument("--format", metavar="NAME", help="the trace files' format (default: detected)")
    what.add_argument(
        "--lanes",
        default="1",
        metavar="N[,N…]",
        help="lanes at once; a list shows where it breaks (default: 1)",
    )
    what.add_argument(
        "--repeat",
        type=int,
        default=1,
        metavar="N",
        help="measure each N times and tell median and worst of the runs (default: 1)",
    )
    what.add_argument("--seconds", type=float, default=60.0, metavar="S", help="of each replay (default: 60)")
    what.add_argument(
        "--flow",
        choices=("udp", "tcp"),
        default="udp",
        help="what fills the links: paced UDP, or TCP for more than about 200 Mbit/s (default: udp)",
    )
    what.add_argument(
        "--window-s",
        type=float,
        default=WINDOW_S,
        metavar="S",
        help="bytes are held against the trace over this long (default: %(default)g)",
    )
    what.add_argument(
        "--no-dark", action="store_true", help="leave out the tests of a dark, an idle and a bursty link"
    )


def _add_output_options(command: Parser) -> None:
    output = command.add_argument_group("output")
    output.add_argument(
        "--plot",
        type=Path,
        default=Path("fidelity.png"),
        metavar="FILE",
        help="where the plot goes (default: %(default)s)",
    )
    add_json_option(output)


def _lane_counts(text: str) -> list[int]:
    try:
        counts = [int(word) for word in text.split(",")]
    except ValueError:
        counts = [0]
    if not all(1 <= count <= 250 for count in counts):
        raise TestbedError(f"--lanes {text}: expected numbers from 1 to 250, such as 1,16,64")
    return counts


@dataclass(frozen=True)
class FidelityOptions:
    """What is measured."""

    counts: tuple[int, ...]
    """Numbers of lanes."""
    traces: tuple[Trace, ...]
    settings: LinkSettings
    backend: str


def asked_of(args: argparse.Namespace) -> FidelityOptions:
    """Check all that can be checked before anything is made.

    Raises:
        TestbedError, TraceError: what is wrong and the way out.
    """
    counts = _lane_counts(args.lanes)
    if not 5 <= args.seconds <= 3600:
        raise TestbedError(f"--seconds {args.seconds:g}: expected 5 to 3600")
    if not 0.01 <= args.window_s <= args.seconds / 5:
        raise TestbedError(f"--window-s {args.window_s:g}: expected 0.01 to a fifth of --seconds")
    if args.bucket_ms is not None and not 0 <= args.bucket_ms <= 1000:
        raise TestbedError(f"--bucket-ms {args.bucket_ms:g}: expected 0 to 1000")
    if args.repeat < 1:
        raise TestbedError(f"--repeat {args.repeat}: must be 1 or more")
    check_plot(args.plot)
    settings = link_settings(args)
    require_tools()
    check_congestion_control(settings.congestion_control)
    backend = delay_backend(settings.asked_backend)
    traces: list[Trace] = []
    for spec in args.trace:
        traces += [capped(trace, args.cap_mbps) for trace in resolve_many(spec, args.format)]
    for trace in traces:
        check_carried(trace, settings, backend)
    return FidelityOptions(tuple(counts), tuple(traces), settings, backend)
