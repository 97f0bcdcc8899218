"""One look for all figures: sizes of a printed page, colours that everybody can tell apart.

The colours are those of Okabe and Ito ("Color Universal Design", 2008). A policy has its colour by
its name, in every figure of every run. Yellow is left out: it is lost on white.
"""

from __future__ import annotations

import io
import re
import warnings
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from player.record import make_folder
from traces.escaping import visible_lines
from traces.files import write_aside
from traces.progress import say

if TYPE_CHECKING:  # names and colours are asked for by many who draw nothing
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

COLUMN_IN = 3.4
"""Width of a column of a two-column paper …"""
TEXT_IN = 7.0
"""… and of its text."""

PNG_DPI = 200

PNG, PDF, SVG, EPS = "png", "pdf", "svg", "eps"
FORMATS = (PNG, PDF, SVG, EPS)
"""What a figure can be written as."""
USUAL_FORMATS = (PDF, PNG)
"""What a report's figures are written as where nothing else is asked for."""

STALL_COLOUR = "#F4C7AB"
"""Vermillion, pale enough that every line shows on it."""
WINE, INDIGO, OLIVE, ROSE, TEAL = "#882255", "#332288", "#999933", "#CC6677", "#44AA99"
"""Of Paul Tol's muted scheme ("Colour Schemes", 2021), for when seven are not enough."""
FOREST, MAGENTA, BROWN = "#117733", "#AA4499", "#661100"
"""Of the same scheme, for rules of calls."""
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
    "ps.fonttype": 42,
    "svg.hashsalt": "streambed",
    "svg.fonttype": "path",
    "savefig.dpi": PNG_DPI,
    "text.parse_math": False,
}
"""For matplotlib.rc_context around all that draws. Type 42 fonts: publishers refuse type 3. In SVG text is
outlines, so that it looks the same wherever it is opened."""


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
    "gcc": FOREST,
    "copa": MAGENTA,
    "nada": BROWN,
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
        return is_bound(policy), known.index(name) if name in known else len(known), natural(name)

    return sorted(policies, key=rank)


def natural(name: str) -> list[str | float]:
    """A key by which names sort as people count: `RTT 80 ms` before `RTT 300 ms`, `x=50` before `x=200`."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)  # text and number by turns
    return [float(part) if place % 2 else part for place, part in enumerate(parts)]


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
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def paler(colour: str, share: float) -> str:
    """A colour as a share (0 to 1) of it looks on white, laid on thinly: EPS knows no transparency."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = (1.0 - share * (1.0 - part) for part in to_rgb(colour))
    return to_hex((red, green, blue))


def rendered(figure: Figure, formats: Iterable[str]) -> dict[str, bytes]:
    """The figure as files of these formats, all of one layout; equal figures give equal files.

    To be called within `matplotlib.rc_context(RC)`.
    """
    _only_visible(figure)
    figure.set_dpi(PNG_DPI)
    with _missing_glyphs_said():
        figure.draw_without_rendering()  # the layout is found once; `savefig` would find it twice a format
        figure.set_layout_engine("none")
        return {kind: _written(figure, kind) for kind in formats}


def _written(figure: Figure, kind: str) -> bytes:
    """One file of a figure; a vector format's writer leaves the figure at its own 72 dots to the inch."""
    figure.set_dpi(PNG_DPI)
    return _WRITERS[kind](figure)


_NO_GLYPH = re.compile(r"Glyph (\d+) .* missing from")
_said_missing: set[str] = set()
"""Characters that are said to be in no font, once a process."""


@contextmanager
def _missing_glyphs_said() -> Iterator[None]:
    """matplotlib warns of each character that its fonts lack, in lines of its own code, for each format."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    lacking = set()
    for one in caught:
        if found := _NO_GLYPH.match(str(one.message)):
            lacking.add(chr(int(found[1])))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if new := sorted(lacking - _said_missing):
        _said_missing.update(new)
        say(f"figures: the font has no {' '.join(new)}; a box stands in its place (Latin names are drawn)")


def _only_visible(figure: Figure) -> None:
    """Names on a figure may hold what no font can draw."""
    from matplotlib.axis import Axis
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    for axis in figure.findobj(Axis):
        for ticks in (axis.major, axis.minor):
            form = ticks.formatter
            if isinstance(form, FixedFormatter):
                form.seq = [visible_lines(str(label)) for label in form.seq]
            elif isinstance(form, FuncFormatter):  # which `set_xticks` makes of names
                form.func = partial(_visible_label, form.func)
    for text in figure.findobj(Text):
        text.set_text(visible_lines(text.get_text()))


def _visible_label(label: Callable[..., str], *place: Any) -> str:
    return visible_lines(label(*place))


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def _pdf(figure: Figure) -> bytes:
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    file = io.BytesIO()
    FigureCanvasPdf(figure).print_pdf(file, metadata={"CreationDate": None})
    return file.getvalue()


def _svg(figure: Figure) -> bytes:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.BytesIO()
    FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _eps(figure: Figure) -> bytes:
    from matplotlib.backends.backend_ps import FigureCanvasPS

    file = io.BytesIO()
    FigureCanvasPS(figure).print_eps(file)
    return re.sub(rb"%%CreationDate: .*\n", b"", file.getvalue(), count=1)


_WRITERS = {PNG: _png, PDF: _pdf, SVG: _svg, EPS: _eps}


def share_scale(axes: Iterable[Axes], which: str, of: Sequence[Hashable] | None = None) -> None:
    """Give panels one scale on `x`, `y` or both (`xy`), so that equal lengths mean equal amounts in all.

    It reaches from the least to the most that any of them shows. An axis that runs backwards keeps doing so;
    panels that are off stay as they are.

    Args:
        of: of each panel, what its amounts are of (videos: a second of stall costs ten times as much on
            another ladder); those of the same share a scale.
    """
    every = list(axes)
    if of is not None:
        for one in dict.fromkeys(of):
            share_scale([axis for axis, its in zip(every, of, strict=True) if its == one], which)
        return
    panels = [axis for axis in every if axis.axison]
    for letter in which:
        limits = [getattr(axis, f"get_{letter}lim")() for axis in panels]
        least, most = min(map(min, limits)), max(map(max, limits))
        for axis, (first, last) in zip(panels, limits, strict=True):
            getattr(axis, f"set_{letter}lim")(*((least, most) if first <= last else (most, least)))


def save(figure: Figure, path: Path) -> None:
    """Write a picture, its format from the path's ending; it and its folder appear only when it is complete.

    To be called within `matplotlib.rc_context(RC)`.

    Raises:
        OSError: it cannot be written.
    """
    kind = path.suffix[1:].lower()
    content = rendered(figure, [kind])[kind]
    make_folder(path.parent)
    write_aside(path, content)
