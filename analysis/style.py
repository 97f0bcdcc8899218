"""One look for all figures: sizes of a printed page, colours that everybody can tell apart.

The colours are those of Okabe and Ito ("Color Universal Design", 2008). A policy has its colour by
its name, in every figure of every run. Yellow is left out: it is lost on white.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from traces.files import aside

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

COLUMN_IN = 3.4
"""Width of a column of a two-column paper …"""
TEXT_IN = 7.0
"""… and of its text."""

PNG_DPI = 200

STALL_COLOUR = "#F4C7AB"
"""Vermillion, pale enough that every line shows on it."""
WINE, INDIGO, OLIVE, ROSE, TEAL = "#882255", "#332288", "#999933", "#CC6677", "#44AA99"
"""Of Paul Tol's muted scheme ("Colour Schemes", 2021), for when seven are not enough."""
GREY = "#606060"

LINK_COLOUR = "#D9D9D9"
"""What the link could carry: the ground on which policies are drawn."""
FAINT_COLOUR = "#B0B0B0"
"""Marks that only help to read: ladder, cap."""

RC: Any = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.0,
    "lines.solid_capstyle": "butt",
    "legend.frameon": False,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,
    "savefig.dpi": PNG_DPI,
    "text.parse_math": False,
}
"""For matplotlib.rc_context around all that draws. Type 42 fonts: publishers refuse type 3."""


KNOWN = {
    "bba": BLUE,
    "robustmpc": GREEN,
    "bola": ORANGE,
    "rate": PURPLE,
    "panda": SKY,
    "mpc-published": VERMILLION,
    "genet": WINE,
    "udr": OLIVE,
    "hindsight": INDIGO,
    "netllm": BLACK,
    "small": TEAL,
    "apc": ROSE,
    "oracle": GREY,
}
"""Colours of the policies that come with Streambed, as they are asked for without options."""

BOUND = "oracle"
"""The policy that knows the future: not a rival but a bound, drawn apart."""

OTHERS = (BLACK, VERMILLION, SKY, PURPLE, ORANGE, GREEN, BLUE)
"""All other names share these; which one a name has depends on nothing but the name."""


OTHERS_DASHES = ((5.0, 1.0), (5.0, 1.0, 1.0, 1.0), (3.0, 1.0))


def short_name(policy: str) -> str:
    """A policy as asked for, without the folder of a user's file."""
    return re.sub(r"^[^:]*/(?=[^/:]+\.py(:|$))", "", policy)


def in_order(policies: Iterable[str]) -> list[str]:
    """Known policies in the style's order, then others by name and number, the bound last."""
    known = list(KNOWN)

    def rank(policy: str) -> tuple[bool, int, list[str | float]]:
        name = short_name(policy)
        parts = re.split(r"(\d+(?:\.\d+)?)", name)  # text and number by turns: `x=50` comes before `x=200`
        words: list[str | float] = [float(part) if place % 2 else part for place, part in enumerate(parts)]
        return is_bound(policy), known.index(name) if name in known else len(known), words

    return sorted(policies, key=rank)


def is_bound(policy: str) -> bool:
    """Whether a policy, as it was asked for, is the oracle."""
    return policy.partition(":")[0] == BOUND


def label(policy: str) -> str:
    """The policy as a legend has it."""
    return f"{short_name(policy)} (bound)" if is_bound(policy) else short_name(policy)


def policy_colour(policy: str) -> str:
    """The colour of a policy, by what it was asked for as (`bba`, `fixed:3`, `my.py:Mine:x=1`)."""
    name = short_name(policy)
    return KNOWN.get(name) or OTHERS[zlib.crc32(name.encode()) % len(OTHERS)]


def policy_line(policy: str) -> dict[str, Any]:
    """Colour and dashes of a policy where lines of several cross: other names share colours with known
    ones, and are dashed. For `Axes.plot`."""
    name = short_name(policy)
    dashes: Any = "solid" if name in KNOWN else (0.0, OTHERS_DASHES[zlib.crc32(name.encode()) % 3])
    return {"color": policy_colour(policy), "linestyle": dashes}


def log_x(axis: Axes) -> None:
    """A logarithmic axis whose numbers are plain: 0.1, 1, 10."""
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def save(figure: Figure, path: Path) -> None:
    """Write a picture (its format from the path's ending); it appears only when it is complete.

    Equal figures give equal files: no date is written into a PDF.

    Raises:
        OSError: it cannot be written.
    """
    kind = path.suffix[1:].lower()
    with aside(path) as partial:
        figure.savefig(partial, format=kind, metadata={"CreationDate": None} if kind == "pdf" else None)
