"""Options that commands share which learn from a mix of sources, or play sessions under a setting.

What takes long to import has no place here.
"""

from __future__ import annotations

from typing import Any

from traces.numbers import count, counts, positive

SPEC = "SPEC is a directory, a file, or like fcc[0:200]"


def add_mix(made: Any, what: str, *, required: bool = False) -> Any:
    """`--traces`, `--rescaled` and `--video`, as `data.read_source` and `data.read_videos` read them; their
    group.

    Args:
        what: in words, what is done with them.
    """
    group = made.add_argument_group(f"what to {what} ({SPEC})")
    group.add_argument(
        *("--traces", "--trace"), nargs="+", default=[], required=required, metavar="SPEC[@WEIGHT]",
        help="traces at their own rates",
    )  # fmt: skip
    group.add_argument(
        "--rescaled", nargs="+", default=[], metavar="SPEC[@WEIGHT]",
        help="traces brought to means of 0.5 to 8 Mbit/s",
    )  # fmt: skip
    group.add_argument(
        "--video", nargs="+", default=["envivio"], metavar="SPEC[@WEIGHT]",
        help="videos; the first is the one of validation (default: envivio)",
    )  # fmt: skip
    return group


def add_apart(made: Any, starts: int) -> Any:
    """`--traces`, each a set of sessions, those of training left out; their group.

    Args:
        starts: the default of `--starts`.
    """
    group = made.add_argument_group(f"what to stream ({SPEC})")
    group.add_argument("--traces", nargs="+", required=True, metavar="SPEC", help="each is a set")
    group.add_argument("--all", action="store_true", help="measured traces that training saw, too")
    add_starts(group, starts)
    return group


def add_starts(group: Any, starts: int) -> None:
    """`--starts`."""
    group.add_argument(
        "--starts", type=count, default=starts, help="sessions on each trace (default: %(default)s)"
    )


def add_setting(made: Any) -> Any:
    """`--ladder`, `--chunk-s`, `--buffer-cap-s` and `--rtt-ms`; their group."""
    group = made.add_argument_group("under what")
    group.add_argument(
        "--ladder", type=counts, metavar="KBPS,…", help="bring the video to these rates (default: its own)"
    )
    group.add_argument("--chunk-s", type=positive, metavar="S", help="and to this chunk length")
    group.add_argument(
        *("--buffer-cap-s", "--cap-s"), type=positive, default=60.0, metavar="S",
        help="(default: %(default)g)",
    )  # fmt: skip
    group.add_argument("--rtt-ms", type=positive, default=80.0, metavar="MS", help="(default: %(default)g)")
    return group


def add_threads(group: Any) -> None:
    """`--threads`."""
    group.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
