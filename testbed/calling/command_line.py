"""The command line of `testbed/call.py`. What takes long to import has no place here."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from player.commands.options import add_strict_option
from player.defaults import CALL_MEDIA_SHARE, DEVICES
from testbed.cross.options import add_together_options
from testbed.process.page_option import add_page_option
from testbed.session.options import add_aqm_option, add_link_options
from traces.commands import Parser, add_json_option

EXAMPLES = (
    "sudo python3 testbed/call.py --trace 4g",
    "sudo python3 testbed/call.py --trace 4g/17 --policy gcc,copa,nada --seconds 30",
    "sudo python3 testbed/call.py --trace my.csv --policy my_policy.py:Mine --rtt-ms 40 --out results/mine",
)
DEFAULT_POLICIES = "gcc,copa,nada"


def asked(words: Sequence[str]) -> argparse.Namespace:
    """The command line, read."""
    args = parser().parse_args(words)
    args.policy = args.policy or [DEFAULT_POLICIES]
    return args


def parser() -> Parser:
    """The command line."""
    command = Parser(
        prog="call.py",
        description="Make video calls over a replayed trace, several controllers of the rate side by side.",
        examples=EXAMPLES,
    )
    what = command.add_argument_group("what is called over")
    what.add_argument(
        "--trace", "--traces", required=True, metavar="TRACE", help="a family, a member (4g/17), or a file"
    )
    what.add_argument("--format", metavar="NAME", help="the trace file's format (default: detected)")
    what.add_argument("--start-s", type=float, default=0.0, metavar="S", help="begin here in the trace")
    _add_who_options(command)
    add_call_options(command)
    add_aqm_option(add_link_options(command, CALL_MEDIA_SHARE))
    add_together_options(command, "call")
    _add_how_options(command)
    return command


def _add_who_options(command: argparse.ArgumentParser) -> None:
    who = command.add_argument_group("who decides")
    who.add_argument(
        "--policy",
        action="append",
        metavar="NAME[,NAME…]",
        help="a lane each; NAME:key=value sets options, file.py:Class is yours"
        f" (default: {DEFAULT_POLICIES})",
    )
    who.add_argument("--seed", type=int, default=0, metavar="N", help="of frames' sizes, policies, loss")
    who.add_argument(
        "--device", choices=DEVICES, default="auto", help="where a policy's server puts its model"
    )
    add_strict_option(who)


def _add_how_options(command: argparse.ArgumentParser) -> None:
    how = command.add_argument_group("how")
    how.add_argument("--lanes", type=int, metavar="N", help="so many calls at once, whatever the machine")
    how.add_argument(
        "--retry-invalid",
        type=int,
        default=0,
        metavar="N",
        help="make a call whose link was not true again, up to so many times (default: 0)",
    )
    output = command.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of records (default: results/TIME-call-TRACE)"
    )
    output.add_argument("--pcap", action="store_true", help="capture each receiver's packet headers")
    add_page_option(output)
    add_json_option(output)


def add_call_options(command: argparse.ArgumentParser) -> None:
    """What a call is asked to be; the defaults are `player/call/settings.py`'s (a test holds them equal)."""
    call = command.add_argument_group("call")
    call.add_argument(
        *("--seconds", "--duration-s"),
        type=float,
        default=60.0,
        metavar="S",
        help="how long it is (default: %(default)g)",
    )
    call.add_argument(
        "--warm-up-s",
        type=float,
        metavar="S",
        help="left out of scores, at the beginning (default: 5, or half of a shorter call than 10 s)",
    )
    for name, default, unit, what in (
        ("fps", 25.0, "N", "frames a second"),
        ("min-kbps", 80.0, "KBPS", "least rate of the encoder"),
        ("start-kbps", 300.0, "KBPS", "its first rate"),
        ("max-kbps", 2500.0, "KBPS", "its highest rate"),
        ("feedback-ms", 50.0, "MS", "the receiver reports so often"),
        ("decide-every-ms", 200.0, "MS", "a policy that doesn't act on every feedback is asked so often"),
    ):
        call.add_argument(
            f"--{name}", type=float, default=default, metavar=unit, help=f"{what} (default: %(default)g)"
        )
