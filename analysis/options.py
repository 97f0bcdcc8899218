"""Options that several commands have."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from analysis.clusters import ClusterRule
from analysis.sessions import AnalysisError
from player.call.scored.kinds import DELAY_MBPS_PER_S, STALL_MBPS
from player.call.scored.kinds import KINDS as CALL_KINDS
from player.defaults import MU, MU_NOTE
from player.perceived.viewing import KIND as P1203
from player.perceived.viewing import Viewing, viewing_of
from player.qoe import FILE, Scoring
from player.video.quality import read_quality
from traces.commands import add_json_option, said_of
from traces.safe_reading import BadFileError
from traces.words import split_names

BASELINE = "robustmpc"
"""With whom a report compares where neither the command nor the sweep says."""


def add_command(
    commands: Any, name: str, text: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """A command of `analysis`; its options are added to what comes back.

    Args:
        text: what it does, in lower case and without a point.
        run: carries it out and gives the exit status.
    """
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}."
    )
    command.set_defaults(run=run)
    return command


def add_sessions(what: Any) -> None:
    """Where the records are, and `--policy`."""
    what.add_argument(
        "results",
        nargs="+",
        type=Path,
        metavar="RESULTS",
        help="folders of records (the *.jsonl directly in them), or records",
    )
    add_policies(what)


def add_policies(what: Any) -> None:
    """`--policy`: a list of names, `args.policy`."""
    what.add_argument(
        *("--policy", "--policies"),
        action="extend",
        type=_names,
        default=[],
        metavar="NAME[,NAME…]",
        help="only these policies, as they were asked for; may be given again (default: all)",
    )


def _viewing(text: str) -> Viewing:
    try:
        return viewing_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _perceived(args: argparse.Namespace) -> Scoring:
    """By P.1203, which weighs by itself; raises ValueError for weights besides, or without its module."""
    for name in ("mu", "smooth", "quality"):
        if getattr(args, name) is not None:
            raise ValueError(f"--{name}: not with --qoe {P1203}, which weighs by itself")
    from player.perceived.p1203 import P1203Scoring  # it knows videos, which help has no time for

    return P1203Scoring(viewing=args.viewing or Viewing())


def _names(text: str) -> list[str]:
    try:
        return split_names(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_interrupted(what: Any) -> None:
    """`--interrupted`: whether sessions count that somebody ended."""
    what.add_argument(
        "--interrupted",
        action="store_true",
        help="count sessions that were interrupted, too, with what they played and all their stall",
    )


def add_bound(what: Any, where: str) -> None:
    """`--bound`: what no controller can pass.

    Args:
        where: it is drawn.
    """
    what.add_argument(
        "--bound",
        type=Path,
        metavar="FILE",
        help=f"what `python -m policies.knowable --out` wrote: draws what no controller can pass {where}",
    )


def add_cluster(what: Any) -> None:
    """`--cluster`: which traces are one draw of the bootstrap."""
    what.add_argument(
        "--cluster",
        metavar="REGEX",
        help="traces whose names match in the same text (its first group) are one draw of the bootstrap"
        " (default: FCC home lines, Puffer sessions, WiFi places by day, cuts of one log; other traces each);"
        " of viewports viewer or video: what alone is drawn anew (default: both, the wider decides)",
    )


OF_TASKS = ("viewer", "horizon")
"""What `--by` can group viewports by, besides settings, families and videos."""


def add_by(what: Any, groupings: Sequence[str], text: str) -> None:
    """`--by`: what parts the records.

    Args:
        text: what is made of each part.
    """
    what.add_argument(
        "--by",
        choices=[*groupings, *OF_TASKS],
        help=f"{text} (setting: at each point of its axes; viewer, horizon: of viewports alone)",
    )


def add_seen(what: Any) -> None:
    """`--seen`: where policies of jobs or viewports have learned."""
    what.add_argument(
        "--seen",
        action="append",
        default=[],
        metavar="WORDS",
        help="of jobs and viewports: words of a setting, such as '50 executors', in which the policies have"
        " learned; may be given again (of videos the sweep's file says it)",
    )


def add_scoring(
    command: argparse.ArgumentParser, note: str = "", kind: str | None = "linear", kind_note: str = "linear"
) -> None:
    """`--qoe`, `--mu`, `--smooth`.

    Args:
        note: of the group, in brackets.
        kind: of QoE, where none is asked for; None is left to the command …
        kind_note: … which is put like this.
    """
    scoring = command.add_argument_group(f"scoring{note}")
    scoring.add_argument(
        "--qoe",
        choices=[*sorted(MU), P1203, *(one for one in CALL_KINDS if one not in MU)],
        default=kind,
        help=f"kind of QoE (default: {kind_note}); {P1203}: a session's MOS by ITU-T P.1203, by your own"
        f" itu_p1203; of calls: {', '.join(CALL_KINDS)}",
    )
    scoring.add_argument(
        "--viewing",
        type=_viewing,
        metavar="DEVICE[,WxH[,CM]]",
        help=f"with --qoe {P1203}: on what somebody watches, and from how far (default: {Viewing().written})",
    )
    scoring.add_argument(
        "--quality",
        type=Path,
        metavar="FILE",
        help="CSV of chunk,level,quality (VMAF, SSIM, …), which is a chunk's quality instead of its bitrate",
    )
    scoring.add_argument("--mu", type=float, metavar="X", help=f"stall weight (default: {MU_NOTE})")
    scoring.add_argument("--smooth", type=float, metavar="X", help="switch weight (default: 1)")
    scoring.add_argument(
        "--stall-weight",
        type=float,
        metavar="MBPS",
        help=f"of calls, linear: what a share of stall of 1 costs (default: {STALL_MBPS:g})",
    )
    scoring.add_argument(
        "--delay-weight",
        type=float,
        metavar="MBPS",
        help=f"of calls, linear: what a second of p95 frame delay costs (default: {DELAY_MBPS_PER_S:g})",
    )


def add_json(output: Any) -> None:
    """`--json`."""
    add_json_option(output)


def scored_by(args: argparse.Namespace) -> tuple[Scoring, ClusterRule]:
    """The QoE and the clusters that the options ask for.

    Raises:
        AnalysisError: weights or a pattern that are none.
    """
    try:
        return scoring_of(args, args.qoe), ClusterRule(args.cluster)
    except ValueError as error:
        raise AnalysisError(str(error)) from None


def scoring_of(args: argparse.Namespace, kind: str) -> Scoring:
    """The QoE that the options ask for.

    Args:
        kind: where no file of qualities is named.

    Raises:
        AnalysisError: weights that are none, or a file that can't be read.
    """
    if args.viewing is not None and kind != P1203:
        raise AnalysisError(f"--viewing: goes with --qoe {P1203}")
    try:
        if kind == P1203:
            return _perceived(args)
        table = None if args.quality is None else read_quality(args.quality)
        smooth = 1.0 if args.smooth is None else args.smooth
        return Scoring(kind if table is None else FILE, args.mu, smooth, table)
    except (ValueError, BadFileError) as error:
        raise AnalysisError(str(error)) from None
    except OSError as error:
        raise AnalysisError(said_of(error)) from None
