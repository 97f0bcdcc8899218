"""The command line of `testbed/simulate.py`. What takes long to import has no place here."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from player.commands.options import add_abandon_option, add_fallback_options, add_scoring_options
from player.defaults import CONGESTION_CONTROL, LINK_MODELS, PUBLISHED, QUEUE_MS, RTT_MS, TCP
from testbed.process.errors import TestbedError
from testbed.session.options import add_policy_option, add_tcp_options, add_video_options
from testbed.simulating.tasks import CALL, TASKS, VIDEO
from traces.commands import Parser, add_json_option
from traces.trace import ALL_LOST_PCT, MOST_DELAY_MS

if TYPE_CHECKING:
    from player.simulated.session import Link

EXAMPLES = (
    "python3 testbed/simulate.py --traces '4g[0:20]' --policy bba,robustmpc",
    "python3 testbed/simulate.py --traces my_traces/ --policy my_policy.py:Mine,bba --link tcp",
)


def _published_link(args: argparse.Namespace) -> Link:
    """The link of the public simulators.

    Raises:
        TestbedError: something that it has not was asked for.
    """
    asked = {
        "--queue-ms": args.queue_ms is not None,
        "--queue-bytes": args.queue_bytes is not None,
        "--cc": args.cc != CONGESTION_CONTROL,
        "--no-slow-start-after-idle": args.no_slow_start_after_idle,
        "--loss-pct": args.loss_pct != 0,
    }
    for option, given in asked.items():
        if given:
            raise TestbedError(f"{option}: the published link has no TCP and no queue; add --link tcp")
    if not 0 <= args.rtt_ms <= MOST_DELAY_MS:
        raise TestbedError(f"--rtt-ms {args.rtt_ms:g}: expected 0 to {MOST_DELAY_MS:g}")
    from player.simulated.link_published import PublishedLink

    return PublishedLink(noise=args.noise, rtt_ms=args.rtt_ms)


def _tcp_link(args: argparse.Namespace) -> Link:
    """The emulator's TCP, computed.

    Raises:
        TestbedError: figures that make no link.
    """
    if not 0 <= args.loss_pct < ALL_LOST_PCT:
        raise TestbedError(f"--loss-pct {args.loss_pct:g}: expected 0 to under 100")
    if args.noise:
        raise TestbedError("--noise: the tcp link has none; it is the published link's")
    from player.simulated.tcp.link import TcpLink

    try:
        return TcpLink(
            rtt_ms=args.rtt_ms,
            queue_ms=QUEUE_MS if args.queue_ms is None else args.queue_ms,
            queue_bytes=args.queue_bytes,
            congestion_control=args.cc,
            slow_start_after_idle=not args.no_slow_start_after_idle,
            loss_pct=args.loss_pct,
        )
    except ValueError as error:
        raise TestbedError(str(error)) from None


LINKS: dict[str, Callable[[argparse.Namespace], Link]] = {PUBLISHED: _published_link, TCP: _tcp_link}
"""Link models by name."""


def parser() -> Parser:
    """The command line."""
    command = Parser(
        prog="simulate.py",
        description="Each policy over each trace, computed, not emulated.",
        examples=EXAMPLES,
    )
    _add_what(command.add_argument_group("what is streamed"))
    _add_who(command.add_argument_group("who decides"))
    _add_link(command.add_argument_group("link"))
    add_scoring_options(command)
    output = command.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of records (default: results/simulated-TIME)"
    )
    output.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="processes at once (default: one for each CPU)",
    )
    add_json_option(output)
    return command


class _OfRun(argparse.Action):
    """An option that another script has."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.error(_ELSEWHERE[self.option_strings[0]])


_ELSEWHERE = {
    "--reproduce": "--reproduce is run.py's, of simulated records too: testbed/run.py --reproduce RECORD",
    "--transport": "--transport: computed links carry no protocol of their own; testbed/run.py emulates one",
    "--aqm": "--aqm: the computed links' queues drop their tails; testbed/run.py has the kernel's others",
}


def _add_what(what: Any) -> None:
    what.add_argument(
        "--task", choices=TASKS, default=VIDEO, help=f"{CALL}: see --task {CALL} --help (default: {VIDEO})"
    )
    for option in _ELSEWHERE:
        what.add_argument(option, nargs="?", action=_OfRun, help=argparse.SUPPRESS)
    what.add_argument(
        *("--traces", "--trace"),
        required=True,
        nargs="+",
        metavar="TRACES",
        help="families' members (4g[0:100], 4g/17), directories, or files in any known format",
    )
    what.add_argument("--format", metavar="NAME", help="the trace files' format (default: detected)")
    what.add_argument(
        "--starts",
        default="0",
        metavar="FILE|SEED|0",
        help="where in its trace each session begins: lines of `trace-name start_index`"
        " (at time[start_index-1]), drawn by a seed, or all at their beginning (default: 0)",
    )
    add_video_options(what)
    add_abandon_option(what)


def _add_who(who: Any) -> None:
    add_policy_option(who)
    add_fallback_options(who)
    who.add_argument(
        "--first-level",
        default="0",
        metavar="N|policy",
        help="the first chunk's level, or ask the policy as the emulator does (default: 0, as published)",
    )
    who.add_argument(
        "--seed",
        default="0",
        metavar="N[,N…]",
        help="of policies and noise; each makes sessions of its own (default: 0)",
    )


def _add_link(link: Any) -> None:
    link.add_argument(
        "--link",
        choices=LINK_MODELS,
        default=PUBLISHED,
        help="the public simulators' arithmetic, or the emulator's TCP (default: published)",
    )
    link.add_argument(
        "--rtt-ms",
        type=float,
        default=RTT_MS,
        metavar="MS",
        help=f"round trip; a trace's delays are added to it (default: {RTT_MS:g})",
    )
    link.add_argument(
        "--loss-pct",
        type=float,
        default=0.0,
        metavar="PCT",
        help="frames lost towards the player, besides those that the trace loses; tcp only",
    )
    link.add_argument(
        "--noise", action="store_true", help="multiply each download's time by U(0.9, 1.1); published only"
    )
    add_tcp_options(link)
