"""Command-line options that commands of several packages share.

`analysis` reads records and knows of the rest only two leaves, so it has scoring options of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from player.buffer import BufferThresholds
from player.defaults import FALLBACK, MU, MU_NOTE
from player.live.stream import LiveSettings
from player.perceived.viewing import KIND as P1203
from player.perceived.viewing import Viewing, viewing_of

if TYPE_CHECKING:
    from player.qoe import QoE, Scoring

Group = Any
"""An `argparse` parser or one of its groups; argparse has no public name for what they share."""


def add_scoring_options(parser: argparse.ArgumentParser, perceived: bool = False) -> None:
    """The options of `scoring`.

    Args:
        perceived: whether sessions may be scored by P.1203, too.
    """
    group = parser.add_argument_group("scoring")
    kinds, note = [*sorted(MU), *([P1203] if perceived else [])], ""
    if perceived:
        note = (
            f"; {P1203}: a session's MOS by ITU-T P.1203, by your own itu_p1203, and policies are told linear"
        )
        add_viewing_option(group)
    group.add_argument("--qoe", choices=kinds, default="linear", help=f"kind of QoE (default: linear{note})")
    group.add_argument("--mu", type=float, metavar="X", help=f"stall weight (default: {MU_NOTE})")
    group.add_argument("--smooth", type=float, default=1.0, metavar="X", help="switch weight (default: 1)")


def add_viewing_option(group: Group) -> None:
    """`--viewing`, of P.1203."""
    group.add_argument(
        "--viewing",
        type=_viewing,
        metavar="DEVICE[,WxH[,CM]]",
        help=f"with --qoe {P1203}: on what somebody watches, and from how far (default: {Viewing().written})",
    )


def _viewing(text: str) -> Viewing:
    try:
        return viewing_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_live_options(group: Group) -> None:
    """`--live`, with its latency and what that costs; for `live_of`."""
    group.add_argument(
        "--live",
        action="store_true",
        help="play a live stream: chunks can be had once they are made, by the clock",
    )
    group.add_argument(
        "--latency-s",
        type=float,
        metavar="S",
        help="with --live: be so far behind the making, and catch up by playing up to 5 %% faster"
        " (default: three chunks)",
    )
    group.add_argument(
        "--latency-weight",
        type=float,
        metavar="X",
        help="with --live: what a second of latency costs a chunk in QoE (default: a tenth of the top level's"
        " quality)",
    )


def live_of(args: argparse.Namespace) -> LiveSettings | None:
    """What `add_live_options` asked for; None: no live stream.

    Raises:
        ValueError: a latency that nobody plays at, or figures without `--live`.
    """
    if not args.live:
        for name in ("latency_s", "latency_weight"):
            if getattr(args, name) is not None:
                raise ValueError(f"{name}: goes with --live")
        return None
    return LiveSettings(args.latency_s)


def weighed_live(qoe: QoE, args: argparse.Namespace, ladder_kbps: Sequence[int]) -> QoE:
    """The QoE, with the cost of latency where a live stream was asked for.

    Raises:
        ValueError: a weight that is none.
    """
    from player.qoe import live_qoe

    return live_qoe(qoe, ladder_kbps, args.latency_weight) if args.live else qoe


def scoring(args: argparse.Namespace) -> Scoring:
    """The QoE that policies are told, by `add_scoring_options`, on whatever ladder.

    Raises:
        ValueError: a weight that is none.
    """
    from player.qoe import Scoring  # it knows records, which help has no time for

    return Scoring("linear" if args.qoe == P1203 else args.qoe, args.mu, args.smooth)


def add_fallback_options(group: Group) -> None:
    """`--fallback` and `--strict`: what happens where a policy doesn't decide."""
    group.add_argument(
        "--fallback",
        metavar="NAME",
        help="decides what the policy doesn't: it raised, was late, or named no level"
        f" (default: what the policy names itself, else {FALLBACK})",
    )
    add_strict_option(group)


def add_strict_option(group: Group) -> None:
    """`--strict`: nobody stands in for a policy."""
    group.add_argument(
        "--strict",
        action="store_true",
        help="no fallback: stop at a policy's first fault with its traceback, exit status 2",
    )


def add_video_option(group: Group, default: str | None = "envivio") -> None:
    """`--video`, for `load_video`; without a default, the trace's family has one (`default_video`)."""
    group.add_argument(
        "--video",
        default=default,
        metavar="VIDEO",
        help="envivio, envivio-hi, uhd, a directory of video_size_N files, or an MPD"
        f" (default: {default or 'uhd with lte, 5g and wifi, else envivio'})",
    )


def add_threshold_options(group: Group) -> None:
    """The options of `thresholds_of`."""
    group.add_argument(
        "--buffer-cap-s",
        type=float,
        metavar="S",
        default=BufferThresholds.buffer_cap_s,
        help="hold the next request while more is buffered (default: %(default)g)",
    )
    group.add_argument(
        "--startup-s",
        type=float,
        metavar="S",
        default=BufferThresholds.startup_s,
        help="begin to play once so much is buffered (default: with the first chunk)",
    )
    group.add_argument(
        "--resume-s",
        type=float,
        metavar="S",
        default=BufferThresholds.resume_s,
        help="after a stall go on once so much is buffered (default: with the next chunk)",
    )


def add_abandon_option(group: Group) -> None:
    """`--abandon`, of players that can."""
    group.add_argument(
        "--abandon",
        action="store_true",
        help="give a request that takes too long up for a lower level, as dash.js does (default: wait)",
    )


def thresholds_of(args: argparse.Namespace) -> BufferThresholds:
    """What `add_threshold_options` asked for, and `add_abandon_option`.

    Raises:
        ValueError: one that can't be; it is named as the option is.
    """
    return BufferThresholds(args.buffer_cap_s, args.startup_s, args.resume_s, getattr(args, "abandon", False))
