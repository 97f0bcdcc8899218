"""Tables once, for three readers: the page, a spreadsheet (CSV), a paper (LaTeX with booktabs)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.bootstrap import Interval
from analysis.tables.table_file import FORMULA_STARTS
from traces.escaping import visible_lines

LEFT, RIGHT = "left", "right"
NONE, MINUS = "–", "\N{MINUS SIGN}"

Value = float | int | str | None


@dataclass(frozen=True)
class Column:
    """A column, and the names under which its values go into a CSV file."""

    title: str
    csv: tuple[str, ...]
    align: str = RIGHT


@dataclass(frozen=True)
class Cell:
    """What a reader sees, and the values behind it."""

    text: str
    values: tuple[Value, ...]
    """As many as the column's CSV names."""
    small: str = ""
    """Second line: an interval, a note."""
    kind: str = ""
    """A word for the style sheet: a verdict, say."""


@dataclass(frozen=True)
class RowGroup:
    """Rows under a title; one without a title where there is nothing to part."""

    title: str | None
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption that says what is counted."""

    name: str
    """Of its files."""
    caption: str
    columns: tuple[Column, ...]
    groups: tuple[RowGroup, ...]
    group_csv: str = "group"
    """CSV name of the groups' titles."""
    wide: bool = False
    """In a paper it takes both columns."""

    @property
    def titled(self) -> bool:
        """Whether its groups have titles."""
        return any(group.title is not None for group in self.groups)


def word(text: str, kind: str = "") -> Cell:
    """A cell of text."""
    return Cell(text, (text,), kind=kind)


def number(value: float | int | None, form: str = "", unit: str = "") -> Cell:
    """A cell of one number; a dash where there is none."""
    return Cell(NONE if value is None else f"{shown(value, form)}{unit}", (value,))


def shown(value: float | int, form: str = "") -> str:
    """A number with a minus that is one."""
    return f"{value:{form}}".replace("-", MINUS)


def p_shown(value: float) -> str:
    """`0.012`, `3e−5`."""
    return f"{value:.3f}" if value >= 0.001 else shown(value, ".0e").replace(f"e{MINUS}0", f"e{MINUS}")


def with_interval(interval: Interval, form: str = ".3f", scale: float = 1.0) -> Cell:
    """A mean with its interval below it.

    Args:
        form: of the numbers; with a `+` both bounds have signs.
        scale: what is shown is so many times the value; CSV has the value itself.
    """
    values = (interval.mean, interval.low, interval.high)
    text = shown(scale * interval.mean, form)
    if interval.low is None or interval.high is None:
        return Cell(text, values, small="no interval")
    return Cell(text, values, small=bounds(scale * interval.low, scale * interval.high, form))


def bounds(low: float, high: float, form: str) -> str:
    """An interval in brackets."""
    return f"[{shown(low, form)}, {shown(high, form)}]"


def to_csv(table: Table) -> str:
    """A line a row, numbers unrounded; names hold the units."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    first = [table.group_csv] if table.titled else []
    writer.writerow([*first, *(name for column in table.columns for name in column.csv)])
    for group in table.groups:
        for row in group.rows:
            values = [value for cell in row for value in cell.values]
            writer.writerow([*([group.title or ""] if table.titled else []), *map(_plain, values)])
    return visible_lines(out.getvalue())


def _plain(value: Value) -> str:
    """A value for a spreadsheet; text that it would take for a formula is quoted."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_STARTS) else value
    return repr(value)


LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "–": "--",
    MINUS: "$-$",
    "×": r"$\times$",
    "…": r"\dots{}",
    "\N{NO-BREAK SPACE}": "~",
}


_BEYOND_LATIN = 0x180
"""T1 fonts have the Latin letters below."""
_KNOWN_BEYOND = "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}“”—€"


def escape_latex(text: str) -> str:
    """Text that stands in LaTeX as it is written, on one line; of control characters nothing is left."""
    kept = "".join(sign if sign.isprintable() or sign in LATEX else " " for sign in text)
    escaped = "".join(LATEX.get(sign) or _known(sign) for sign in " ".join(kept.split(" ")))
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped


def _known(sign: str) -> str:
    """A character as it is where LaTeX knows it. Of one that `pdflatex` stops at, it sets the number; XeTeX
    and LuaTeX set the character, in a font that has it."""
    if ord(sign) < _BEYOND_LATIN or sign in _KNOWN_BEYOND:
        return sign
    return rf"\ifdefined\Umathcode {sign}\else U+{ord(sign):04X}\fi{{}}"


def to_latex(table: Table) -> str:
    """A `table` environment with the rules of booktabs."""
    environment = "table*" if table.wide else "table"
    letters = "".join("l" if column.align == LEFT else "r" for column in table.columns)
    lines = [
        f"% {len([row for group in table.groups for row in group.rows])} rows; needs"
        f" \\usepackage{{booktabs}} and T1 fonts",
        rf"\begin{{{environment}}}[t]",
        r"\centering\footnotesize",
        rf"\caption{{{escape_latex(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{@{{}}{letters}@{{}}}}",
        r"\toprule",
        " & ".join(escape_latex(column.title) for column in table.columns) + r" \\",
        r"\midrule",
    ]
    for place, group in enumerate(table.groups):
        if group.title is not None:
            space = [r"\addlinespace"] if place else []
            title = escape_latex(group.title)
            lines += [*space, rf"\multicolumn{{{len(table.columns)}}}{{@{{}}l}}{{\emph{{{title}}}}} \\"]
        lines += [" & ".join(map(_latex_cell, row)) + r" \\" for row in group.rows]
    lines += [r"\bottomrule", r"\end{tabular}", rf"\end{{{environment}}}", ""]
    return "\n".join(lines)


def _latex_cell(cell: Cell) -> str:
    text = escape_latex(cell.text)
    return f"{text} {{\\scriptsize {escape_latex(cell.small)}}}" if cell.small else text


def rows(table: Table) -> Sequence[tuple[Cell, ...]]:
    """All rows, whatever group they are in."""
    return [row for group in table.groups for row in group.rows]
