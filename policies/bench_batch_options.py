"""The command line of `python -m policies.bench_batch`. What takes long to import has no place here."""

from __future__ import annotations

from player.commands.options import add_video_option
from player.compiled.threads import cores
from traces.commands import Parser, add_json_option

DESCRIPTION = """How fast sessions are simulated, compiled and one step at a time: under a random policy,
with and without observations, as a vector environment, by the simulated player and by a bare loop in Python;
then RobustMPC and the oracle, compiled. Compiling is no part of the time, and is printed.
"""


def parser() -> Parser:
    """The command line."""
    top = Parser(prog="python -m policies.bench_batch", description=DESCRIPTION)
    what = top.add_argument_group("what to simulate")
    what.add_argument(
        *("--traces", "--trace"), default="4g[0:100]", metavar="SPEC", help="default: %(default)s"
    )
    add_video_option(what)
    what.add_argument(
        "--drawn",
        action="store_true",
        help="draw for each session a ladder, chunk length, RTT, buffer cap, QoE and number of chunks",
    )
    how = top.add_argument_group("how")
    how.add_argument("--sessions", type=int, default=16_384, help="in the batch (default: %(default)s)")
    how.add_argument("--seconds", type=float, default=2.0, help="for each way (default: %(default)g)")
    how.add_argument("--turns", type=int, default=3, help="of all ways (default: %(default)s)")
    how.add_argument("--threads", type=int, default=cores(), help="default: all cores, here %(default)s")
    add_json_option(top.add_argument_group("output"))
    return top
