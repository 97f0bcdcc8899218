"""The command line of `fidelity.py`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path

from testbed.session.options import add_link_options
from traces.commands import Parser, add_json_option

WINDOW_S = 1.0
"""Steps are joined until they last about this long, whatever the trace's own step."""


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
