"""Command-line options that several commands of this package share.

Help waits for none of what only the answers need: that is imported where it is needed.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from player.buffer import BufferThresholds
from player.commands.options import (
    Group,
    add_threshold_options,
    add_video_option,
    live_of,
    scoring,
    thresholds_of,
    weighed_live,
)
from player.defaults import CHUNKS
from player.perceived.viewing import KIND as P1203
from player.perceived.viewing import Viewing
from testbed.link.settings import AQMS, BACKENDS, FIFO, LinkSettings, Loss
from testbed.process.errors import TestbedError
from testbed.session.live_plan import LiveAsked, LivePlan
from traces.trace import ALL_LOST_PCT, Trace, TraceError

if TYPE_CHECKING:
    from player.qoe import QoE, Scoring
    from player.video.video import Video

DEFAULT_POLICIES = "bba,robustmpc,bola,rate"


def add_video_options(group: Group) -> None:
    """What is streamed of which video."""
    add_video_option(group, default=None)
    group.add_argument(
        "--chunks", type=int, metavar="N", help=f"stream this many (default: {CHUNKS}, or all it has)"
    )
    add_threshold_options(group)


def playing_thresholds(args: argparse.Namespace, videos: Iterable[Video] = ()) -> BufferThresholds:
    """The thresholds of `add_video_options`.

    Raises:
        TestbedError: one that can't be, or a cap under a chunk of one of the videos.
    """
    try:
        thresholds = thresholds_of(args)
        for video in videos:
            thresholds.check_holds(video.chunk_s)
        return thresholds
    except ValueError as error:
        raise _as_option(error) from None


def live_plan(args: argparse.Namespace, video: Video) -> LivePlan | None:
    """What `--live` and what goes with it ask for; None without it.

    Raises:
        TestbedError: a figure that can't be, or goes without.
    """
    try:
        live = live_of(args)
        if live is None:
            if args.part_s is not None:
                raise ValueError("part_s: goes with --live")
            return None
        return LiveAsked(live.latency_s, args.part_s).of(video.chunk_s)
    except ValueError as error:
        raise _as_option(error) from None


def live_weighed(args: argparse.Namespace, video: Video) -> QoE:
    """The QoE that the options ask for, of a live stream with the cost of latency.

    Raises:
        TestbedError: a weight that is none.
    """
    try:
        qoe = scoring_of(args, [video]).on(video.ladder_kbps)
        return weighed_live(qoe, args, video.ladder_kbps)
    except ValueError as error:
        raise TestbedError(str(error)) from None


def perceived_by(args: argparse.Namespace, video: Video) -> QoE | None:
    """What sessions are scored by where that is P.1203; else None.

    Raises:
        TestbedError: its module isn't here, it can say nothing of this video, or an option that goes with it
            alone.
    """
    if args.qoe != P1203:
        if args.viewing is not None:
            raise TestbedError(f"--viewing: goes with --qoe {P1203}")
        return None
    from player.perceived.p1203 import P1203Scoring  # it knows videos, which help has no time for
    from player.sections import video_section

    try:
        asked = P1203Scoring(viewing=args.viewing or Viewing())
        return asked.on_video(video_section(video), video.ladder_kbps)
    except ValueError as error:
        raise TestbedError(str(error)) from None


def _as_option(error: ValueError) -> TestbedError:
    """A message that begins with a field's name, with the option's instead."""
    name, _, fault = str(error).partition(" ")
    colon = ":" if name.endswith(":") else ""
    return TestbedError(f"--{name.rstrip(':').replace('_', '-')}{colon} {fault}")


def add_policy_option(group: Group, note: str = "", default: str = DEFAULT_POLICIES) -> None:
    """`--policy`, for `asked_policies`; `note` begins its help."""
    group.add_argument(
        "--policy",
        action="append",
        metavar="NAME[,NAME…]",
        help=f"{note}NAME:key=value sets options, file.py:Class is yours (default: {default})",
    )


def asked_policies(args: argparse.Namespace) -> list[str]:
    """Names of all `--policy`, in their order."""
    from player.registry import split_policies

    return [name for text in args.policy or [DEFAULT_POLICIES] for name in split_policies(text)]


def scoring_of(args: argparse.Namespace, videos: Iterable[Video]) -> Scoring:
    """The QoE of the scoring options, which has a value for every level of the videos, and a stall weight.

    Raises:
        TestbedError: a weight that is none, or a ladder that this kind does not know.
    """
    try:
        asked = scoring(args)
        for video in videos:
            asked.on(video.ladder_kbps)
    except ValueError as error:
        raise TestbedError(str(error)) from None
    return asked


def add_link_options(parser: argparse.ArgumentParser, media_share: float = 0.0) -> Group:
    """The options of `link_settings`, of which `add_aqm_option` is left out.

    Args:
        media_share: of the RTT, spent on the way to the player where nobody says else.
    """
    link = parser.add_argument_group("link")
    link.add_argument(
        "--rtt-ms",
        type=float,
        default=80.0,
        metavar="MS",
        help="idle round trip; a trace's delays are added to it (default: 80)",
    )
    link.add_argument(
        "--jitter-ms",
        type=float,
        default=0.0,
        metavar="MS",
        help="delay varies by this to either side, in order",
    )
    add_media_options(link, media_share)
    _add_loss_options(link)
    add_tcp_options(link)
    link.add_argument(
        "--delay-backend",
        choices=BACKENDS,
        default="auto",
        help="who delays and loses: the kernel's netem or the user-space relay (default: netem if there)",
    )
    link.add_argument(
        "--cap-mbps", type=float, metavar="MBPS", help="cut the trace's rates at this, and record that it was"
    )
    return link


def add_aqm_option(link: Group) -> None:
    """`--aqm`, of emulated links."""
    link.add_argument(
        "--aqm",
        choices=AQMS,
        default=FIFO,
        help="what manages the bottleneck's queue, where the kernel has it (default: fifo, which drops what"
        " finds it full)",
    )


def add_media_options(link: Group, media_share: float = 0.0) -> None:
    """What frames towards the player meet ahead of the bottleneck; `media_share` as in `add_link_options`."""
    usual = f"{media_share:g} of it" if media_share else "0"
    link.set_defaults(media_share=media_share)
    for name, default, text in (
        (
            "--media-delay-ms",
            None,
            f"so much of the RTT is spent on the way to the player (default: {usual})",
        ),
        ("--media-jitter-ms", 0.0, "that delay varies by this to either side, in order (default: 0)"),
        ("--grant-ms", 0.0, "frames to the player wait for the next multiple of this (default: 0, none)"),
    ):
        link.add_argument(name, type=float, default=default, metavar="MS", help=text)


def _add_loss_options(link: Any) -> None:
    link.add_argument(
        "--loss-pct",
        type=float,
        default=0.0,
        metavar="PCT",
        help="frames lost towards the player, independently and besides those that the trace loses",
    )
    link.add_argument(
        "--loss-gemodel",
        type=float,
        nargs="+",
        metavar="PCT",
        help="Gilbert-Elliott loss as tc-netem writes it: P [R [1-H [1-K]]]",
    )


def add_tcp_options(link: Group) -> None:
    """The bottleneck's queue and the sender's TCP, of emulated links and of the simulated `tcp` link."""
    queue = link.add_mutually_exclusive_group()
    queue.add_argument(
        "--queue-ms",
        type=float,
        metavar="MS",
        help="bottleneck queue at the trace's mean rate (default: 200)",
    )
    queue.add_argument("--queue-bytes", type=int, metavar="BYTES", help="bottleneck queue in bytes")
    link.add_argument("--cc", default="cubic", metavar="NAME", help="TCP congestion control (default: cubic)")
    link.add_argument(
        "--no-slow-start-after-idle",
        action="store_true",
        help="keep the congestion window over idle times (Linux's default is to restart)",
    )


def link_settings(args: argparse.Namespace) -> LinkSettings:
    """The link that the options ask for.

    Raises:
        TestbedError: figures that make no link.
    """
    loss = Loss()
    if args.loss_gemodel:
        if args.loss_pct:
            raise TestbedError("--loss-pct and --loss-gemodel exclude each other; give one")
        if len(args.loss_gemodel) > 4:
            raise TestbedError(
                f"--loss-gemodel takes P [R [1-H [1-K]]]; {len(args.loss_gemodel)} figures given"
            )
        values: list[float] = args.loss_gemodel
        defaults = [0.0, 100.0 - values[0], 100.0, 0.0]  # tc-netem's: R is 100 - P when left out
        p, r, bad, good = [*values, *defaults[len(values) :]]
        try:
            loss = Loss("gemodel", p, r, bad, good)
        except TestbedError as error:
            raise TestbedError(f"--loss-gemodel: {error}") from None
    elif args.loss_pct:
        if not 0 <= args.loss_pct < ALL_LOST_PCT:
            raise TestbedError(f"--loss-pct {args.loss_pct:g}: expected 0 to under 100")
        loss = Loss("uniform", args.loss_pct)
    return LinkSettings(
        rtt_ms=args.rtt_ms,
        jitter_ms=args.jitter_ms,
        loss=loss,
        queue_ms=None if args.queue_bytes is not None else 200.0 if args.queue_ms is None else args.queue_ms,
        queue_bytes=args.queue_bytes,
        congestion_control=args.cc,
        slow_start_after_idle=not args.no_slow_start_after_idle,
        delay_backend=args.delay_backend,
        aqm=getattr(args, "aqm", FIFO),
        media_delay_ms=media_delay_ms(args),
        media_jitter_ms=args.media_jitter_ms,
        grant_ms=args.grant_ms,
    )


def media_delay_ms(args: argparse.Namespace) -> float:
    """What of the RTT media meet: as asked, or the command's usual share of it."""
    asked: float | None = args.media_delay_ms
    usual: float = args.media_share * args.rtt_ms
    return usual if asked is None else asked


def load_trace(spec: str, format: str | None, cap_mbps: float | None) -> Trace:
    """The trace of a `--trace` option, capped if that was asked for.

    Raises:
        TestbedError: unknown, unreadable, or a cap that is no rate.
    """
    from traces.families.catalogue import resolve

    try:
        trace = resolve(spec, format)
    except (TraceError, OSError) as error:
        raise TestbedError(str(error)) from None
    return capped(trace, cap_mbps)


def capped(trace: Trace, cap_mbps: float | None) -> Trace:
    """The trace with rates cut at `cap_mbps`, which shows in its name; itself when none is higher.

    Raises:
        TestbedError: a cap that is no rate.
    """
    if cap_mbps is None:
        return trace
    if not (math.isfinite(cap_mbps) and cap_mbps > 0):
        raise TestbedError(f"--cap-mbps {cap_mbps}: must be positive")
    if max(trace.rate_mbps) <= cap_mbps:
        return trace
    rates = tuple(min(rate, cap_mbps) for rate in trace.rate_mbps)
    return dataclasses.replace(trace, name=f"{trace.name} (cap {cap_mbps:g})", rate_mbps=rates)
