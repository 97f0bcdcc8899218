"""From a word to traces: `4g`, `4g/17`, `4g[0:100]`, `4g-fast/17`, a file, a directory.

A family's name comes before a file of the same name: write `./4g` for the file. A family that was fitted
to one's own logs is named by its data file, `mine.json`, `mine.json/17`, `mine.json[0:10]`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from traces import formats
from traces.families.fast_layer import LAYER_OF, SUFFIX, fast_families, load_layer
from traces.families.generator import member
from traces.families.model import FamilyModel, parse_model, read_model
from traces.formats.reading import as_words
from traces.trace import Trace, TraceError
from traces.words import counted, nearest

FAMILIES = ("3g", "4g", "lte", "5g", "fcc", "wifi", "rural", "bursty")

DEFAULT_VIDEO = {
    "3g": "envivio",
    "4g": "envivio",
    "lte": "uhd",
    "5g": "uhd",
    "fcc": "envivio",
    "wifi": "uhd",
    "rural": "envivio",
    "bursty": "envivio",
}
"""The video whose ladder the family's rates can stress."""
FALLBACK_VIDEO = "envivio"
MAX_SLICE = 10_000
"""So many members at once."""
MAX_FAST_SLICE = 1_000
"""… of a family with a fast layer: 30,000 steps each, a megabyte."""

_MODEL = re.compile(r'\s*\{\s*"schema"\s*:')
"""How a family's data file begins."""
_PASSED_OVER = re.compile(
    r"(readme|licen[cs]e|copying|citation|changelog|makefile)\b.*|.*\.(md|rst|py|sh|pdf|png|jpg)", re.I
)
"""Names of files that lie beside traces and are none."""
_OPEN = re.compile(r"(?P<base>[^\[\]]+)\[(?P<begin>\d*)(?P<colon>:?)(?P<end>\d*)\]?")

_NUMBERED = re.compile(
    r"(?P<base>[^\[\]]+?)(/(?P<index>-?\d+)|\[(?P<begin>-?\d*):(?P<end>-?\d*)\])", re.ASCII
)
"""As `_SPEC`, with numbers that are negative or of any length."""
_MOST_DIGITS = 9
_SPEC = re.compile(r"(?P<base>.+?)(/(?P<index>\d{1,9})|\[(?P<begin>\d{0,9}):(?P<end>\d{0,9})\])?")


@dataclass(frozen=True)
class Family:
    """Where members come from: a model, and over it a fast layer or none."""

    model: FamilyModel
    layer: str | None = None

    @property
    def name(self) -> str:
        return self.model.family + (SUFFIX if self.layer else "")

    @property
    def most(self) -> int:
        """Members at once."""
        return MAX_FAST_SLICE if self.layer else MAX_SLICE

    def member(self, index: int) -> Trace:
        """Member `index`.

        Raises:
            TraceError: as `generator.member`.
        """
        slow = member(self.model, index)
        if self.layer is None:
            return slow
        from traces.families.fast_members import (
            fast_member,  # numpy: not everybody who names a trace needs it
        )

        return fast_member(slow, load_layer(self.layer))


@dataclass(frozen=True)
class Spec:
    """A word taken apart."""

    base: str
    index: int | None
    part: tuple[int | None, int | None] | None
    """(begin, end) of a slice, None where left out."""


def families() -> tuple[str, ...]:
    """The names of the built-in families."""
    return FAMILIES


def default_video(family: str) -> str:
    """The video that fits a family's rates; `envivio` where the family is not known."""
    return DEFAULT_VIDEO.get(family.removesuffix(SUFFIX), FALLBACK_VIDEO)


@cache
def load_family(family: str) -> FamilyModel:
    """A built-in family's parameters.

    Raises:
        TraceError: there is no such family; names the nearest.
    """
    if family not in FAMILIES:
        raise _unknown(family)
    file = resources.files("traces.families") / f"{family}.json"
    return parse_model(file.read_text(encoding="utf-8"), f"traces/families/{family}.json")


def family_named(name: str) -> Family:
    """A built-in family, with its fast layer where the name ends in `-fast`, or that of a data file.

    Raises:
        TraceError: there is no such family; names the nearest.
    """
    if name.endswith(".json"):
        return Family(read_model(Path(name)))
    slow = name.removesuffix(SUFFIX)
    if slow == name:
        return Family(load_family(name))
    if slow in FAMILIES and slow not in LAYER_OF:
        raise TraceError(
            f"{name}: no fast layer is over {slow}, since no logs by the millisecond of such links were at"
            f" hand; there are {', '.join(fast_families())}"
        )
    if slow not in FAMILIES:
        raise _unknown(name)
    return Family(load_family(slow), LAYER_OF[slow])


def resolve(spec: str, format: str | formats.ReadOptions | None = None) -> Trace:
    """The one trace that a word names; a family alone is its first member.

    Args:
        spec: `4g`, `4g/17`, a family's data file with or without `/17`, or a trace file.
        format: the file's format; detected when None.

    Raises:
        TraceError: unknown, unreadable, or more than one.
    """
    word = _take_apart(spec)
    _check_format(format)
    family = _family(word)
    if family is not None and word.part is None:
        return family.member(word.index or 0)
    found = resolve_many(spec, format) if word.part else _files(spec, format)
    if len(found) != 1:
        raise TraceError(
            f"{spec}: {len(found)} traces where one is wanted; name one, such as {_example(word, found)}"
        )
    return found[0]


def resolve_many(spec: str, format: str | formats.ReadOptions | None = None) -> list[Trace]:
    """All traces that a word names, in order: as `resolve`, and slices and directories (files by name).

    Raises:
        TraceError: unknown, unreadable, or none.
    """
    word = _take_apart(spec)
    _check_format(format)
    family = _family(word)
    if family is None:
        if word.part is None:
            return _files(spec, format)
        begin, end = word.part
        found = _files(word.base, format)[begin:end]
    elif word.part is None:
        return [family.member(word.index or 0)]
    else:
        begin, end = word.part
        if end is None:
            raise TraceError(
                f"{spec}: a family has no last member; write where to end, such as {word.base}[0:100]"
            )
        if end - (begin or 0) > family.most:
            raise TraceError(f"{spec}: {end - (begin or 0)} members; {family.most} at once is the most")
        found = [family.member(index) for index in range(begin or 0, end)]
    if not found:
        raise TraceError(f"{spec}: the slice holds no traces; its end must be after its begin")
    return found


def placed(spec: str, folder: Path) -> str:
    """The word, with `folder` before it where its path is not here but there.

    Raises:
        TraceError: it is no word for traces.
    """
    base = _take_apart(spec).base
    if _built_in(base) or Path(base).exists() or not (folder / base).exists():
        return spec
    return str(folder / spec)


def _built_in(base: str) -> bool:
    """Whether a word's base names a built-in family, with a fast layer or without."""
    return base.removesuffix(SUFFIX) in FAMILIES


def _take_apart(spec: str) -> Spec:
    match = _SPEC.fullmatch(spec)
    if match is not None and match["begin"] is None and not Path(spec).exists():
        _refuse_number(spec)
        _refuse_open_slice(spec)
    if match is None:
        raise TraceError(f"no trace is named by {spec!r}; name a family ({', '.join(FAMILIES)}) or a file")
    part = None
    if match["begin"] is not None:
        begin, end = (int(text) if text else None for text in (match["begin"], match["end"]))
        part = begin, end
    return Spec(match["base"], int(match["index"]) if match["index"] else None, part)


def _refuse_number(spec: str) -> None:
    """Refuse a number that no member has.

    Raises:
        TraceError: says which numbers there are.
    """
    match = _NUMBERED.fullmatch(spec)
    if match is None or (match["index"] and not _built_in(match["base"])):  # /17 may be a file's name
        return
    for number in filter(None, match.group("index", "begin", "end")):
        if number.startswith("-") or len(number) > _MOST_DIGITS:
            shown = number if len(number) <= 30 else f"a number of {len(number)} digits"
            at_once = "" if match["index"] else f", {MAX_SLICE} at once at most"
            raise TraceError(f"{spec[:80]}: {shown}; traces are numbered 0 to {'9' * _MOST_DIGITS}{at_once}")


def _refuse_open_slice(spec: str) -> None:
    """Refuse a slice that is not whole, unless it is a file's name.

    Raises:
        TraceError: names the slice that was perhaps meant.
    """
    match = _OPEN.fullmatch(spec)
    if match is None:
        return
    end = match["end"] or str(int(match["begin"] or 0) + 1)
    meant = f"{match['base']}[{match['begin'] or 0}:{end}]"
    what = "a slice has a begin and an end" if spec.endswith("]") else "the bracket is not closed"
    raise TraceError(f"{spec}: {what}; write it as {meant}")


def _family(word: Spec) -> Family | None:
    """The family that a word's base names, built in or in a data file; None if it names no family."""
    if _built_in(word.base):
        return family_named(word.base)
    path = Path(word.base)
    if path.suffix != ".json" or not path.is_file():
        return None
    text = formats.read_content(path).text
    return Family(read_model(path)) if _MODEL.match(text) else None


def _check_format(format: str | formats.ReadOptions | None) -> None:
    """A family needs none, and whoever names one that isn't there has mistyped it all the same.

    Raises:
        TraceError: there is no such format.
    """
    asked = formats.reading_of(format).format
    if asked is not None:
        formats.format_named(asked)


def _files(name: str, format: str | formats.ReadOptions | None) -> list[Trace]:
    try:
        return _read(name, format)
    except TraceError as error:
        if isinstance(format, formats.ReadOptions):
            raise
        raise TraceError(as_words(str(error))) from error


def _read(name: str, format: str | formats.ReadOptions | None) -> list[Trace]:
    path = Path(name)
    if path.is_dir():
        files = trace_files(path)
        if not files:
            raise TraceError(f"{name}: {what_it_holds(path)}; name one that holds traces")
        return _all_of(name, files, format)
    if not path.exists():
        raise _unknown(name)
    return [formats.load(path, format)]


def _all_of(name: str, files: Sequence[Path], format: str | formats.ReadOptions | None) -> list[Trace]:
    """The traces in all files.

    Raises:
        TraceError: the first that can't be read, and how many more can't.
    """
    found, refused = [], []
    for file in files:
        try:
            found.append(formats.load(file, format))
        except TraceError as error:
            refused.append(error)
    if len(refused) > 1:
        raise TraceError(
            f"{refused[0]}; and {len(refused) - 1} more of {len(files)} files can't be read, which"
            f" `python -m traces lint {name}` names"
        )
    if refused:
        raise refused[0]
    return found


def trace_files(directory: Path) -> list[Path]:
    """The files of a directory by name; hidden ones, its own directories, and what lies beside traces
    (README, LICENSE, scripts, pictures) are passed over.

    Raises:
        TraceError: it can't be listed.
    """
    try:
        return sorted(
            file
            for file in directory.iterdir()
            if file.is_file() and not file.name.startswith(".") and not _PASSED_OVER.fullmatch(file.name)
        )
    except OSError as error:
        raise TraceError(f"{directory}: {error.strerror or error}") from error


def what_it_holds(directory: Path) -> str:
    """Why a directory has no file that may be a trace."""
    passed_over = [file for file in directory.iterdir() if file.is_file() and file.name[0] != "."]
    if not passed_over:
        return "no files in this directory"
    names = sorted(file.name for file in passed_over)
    few = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"none of the {counted(len(names), 'file')} in this directory can be a trace ({few})"


def _unknown(name: str) -> TraceError:
    if target := dangling(name):
        return TraceError(f"{name}: a link to {target}, which is not there")
    base = re.split(r"[/\[]", name)[0]
    near = nearest(base.lower(), (*FAMILIES, *fast_families()), 0.5) or file_like(name)
    hint = f"; did you mean {near!r}?" if near else "."
    if len(several := name.split(",")) > 1 and all(several):
        hint = f"; several are separated by blanks: {' '.join(several)}."
    return TraceError(f"no family and no file is named {name!r}{hint} Families: {', '.join(FAMILIES)}")


def dangling(name: str) -> str:
    """Where a symbolic link leads that leads to nothing; empty for anything else."""
    path = Path(name)
    return str(path.readlink()) if path.is_symlink() and not path.exists() else ""


def file_like(name: str) -> str | None:
    """The file or directory whose name is nearest, where the directory is there."""
    path = Path(name)
    try:
        names = sorted(each.name for each in path.parent.iterdir() if each.name != path.name)
    except (OSError, ValueError):
        return None
    near = nearest(path.name, names, 0.75)
    return str(path.parent / near) if near else None


def _example(word: Spec, found: list[Trace]) -> str:
    if _family(word) is not None:
        return f"{word.base}/{word.part[0] or 0}" if word.part else word.base
    return str(Path(word.base) / found[0].name) if found else word.base
