"""The options of who shares a bottleneck. What takes long to import has no place here."""

from __future__ import annotations

import argparse


def add_together_options(command: argparse.ArgumentParser, one: str) -> None:
    """`--together`, `--beside`, `--cross`, `--stagger-s`.

    Args:
        one: what a policy makes: a session, a call.
    """
    group = command.add_argument_group("on the same bottleneck")
    group.add_argument(
        "--together",
        action="store_true",
        help=f"all policies share one bottleneck, in place of a lane for each {one}",
    )
    group.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="KIND:POLICY[,…]",
        help="these share each bottleneck, too: call:gcc, video:bba (their records are in beside/)",
    )
    group.add_argument(
        "--cross",
        action="append",
        default=[],
        metavar="CC[:N][@S-S][,…]",
        help="so do N bulk TCP flows of it, from one time to another: cubic:2,bbr:1@10-40",
    )
    group.add_argument(
        "--stagger-s",
        type=float,
        default=0.0,
        metavar="S",
        help="with --together each begins so long after the one before (default: 0)",
    )


def shares(args: argparse.Namespace | None) -> bool:
    """Whether any of these options is given."""
    return args is not None and bool(args.together or args.beside or args.cross)
