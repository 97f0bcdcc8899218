"""From the bytes of an MPD to its tree, and the attributes of its elements.

What is gzipped is unpacked, within bounds. What is no MPD but something that people fetch instead of one
(a web page, an HLS playlist, the media itself) is named.
"""

from __future__ import annotations

import re
import zlib
from fractions import Fraction
from xml.etree import ElementTree

MOST_BYTES = 32 * 1024 * 1024
"""Of an MPD, unpacked: `MAX_CHUNKS` segments with sizes of their own at ten levels are some 10 MB."""

XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
RESOLVE_TO_ZERO = "urn:mpeg:dash:resolve-to-zero:2013"
"""An `xlink:href` that says: as if the element were not there (5.5.3)."""

_MAX_INTEGER_DIGITS = 19
"""xs:unsignedLong has no more than 20; nobody needs the last one."""
_GZIP, _WITH_GZIP_HEADER = b"\x1f\x8b", 31
_ONE_BYTE_ENCODINGS = ("iso-8859-1", "windows-1252", "us-ascii")
"""Besides UTF-8 and UTF-16, what MPDs in the wild declare."""


class MpdError(ValueError):
    """An MPD that cannot be used; the message names what is missing or wrong."""


def parse(text: str | bytes) -> ElementTree.Element:
    """The XML tree. A DOCTYPE is refused, so that no entity can be defined nor expanded.

    Raises:
        MpdError: no XML; what it is instead, where that can be told.
    """
    if isinstance(text, bytes):
        text = _decoded(_unpacked(text))
    _refuse_other_things(text)
    if "<!DOCTYPE" in text:
        raise MpdError("the MPD has a DOCTYPE, which DASH has no use for and entity attacks need; remove it")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        why = re.sub(r"^not well-formed \((.*?)\):", r"\1,", str(error))  # expat's words for some faults
        raise MpdError(f"not well-formed XML: {why}") from None


def _unpacked(packed: bytes) -> bytes:
    """The bytes as they are, or what was gzipped into them."""
    if not packed.startswith(_GZIP):
        return packed
    unpacking = zlib.decompressobj(_WITH_GZIP_HEADER)
    try:
        text = unpacking.decompress(packed, MOST_BYTES + 1)
    except zlib.error as error:
        raise MpdError(f"gzipped, and damaged: {error}") from None
    if len(text) > MOST_BYTES:
        raise MpdError(f"gzipped, and over {MOST_BYTES // 2**20} MiB when unpacked; no MPD is as large")
    if not unpacking.eof:
        raise MpdError("gzipped, and cut off before its end; fetch it again")
    return text


def _decoded(text: bytes) -> str:
    """By the byte order mark, else as the XML declaration says, else UTF-8."""
    if text[4:8] in (b"ftyp", b"styp", b"moov", b"sidx"):
        raise MpdError("this is an MP4 file, not an MPD; name the manifest (.mpd) that lists such files")
    encoding = "utf-16" if text[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    declared = re.match(rb"""<\?xml[^>]*encoding=["']([A-Za-z0-9-]{1,20})["']""", text)
    if declared and declared[1].decode().lower() in _ONE_BYTE_ENCODINGS:
        encoding = declared[1].decode().lower()
    try:
        return text.decode(encoding)
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding == "utf-8-sig" else encoding.upper()
        raise MpdError(f"byte {error.start} is not {name}; save the MPD as UTF-8") from None


_BEFORE_ELEMENTS = r"(?:<\?xml[^>]*>\s*+)?(?:<!--(?:(?!-->).)*+-->\s*+)*+"
_OTHER_THINGS = (
    (re.compile(_BEFORE_ELEMENTS + r"(?:<!doctype\s+html|<html[\s>])", re.I | re.S), "an HTML page"),
    (re.compile(r"#EXTM3U"), "an HLS playlist"),
    (re.compile(r"[\[{]"), "JSON"),
)


def _refuse_other_things(text: str) -> None:
    """Name what was fetched instead of an MPD.

    Raises:
        MpdError: it is none.
    """
    start = text.lstrip("\ufeff \t\r\n")
    if not start:
        raise MpdError("the file is empty; an MPD was expected")
    for form, name in _OTHER_THINGS:
        if form.match(start):
            raise MpdError(f"this is {name}, not an MPD; name the manifest itself (it often ends in .mpd)")


def tag(element: ElementTree.Element) -> str:
    """Name without namespace: manifests in the wild get the namespace wrong."""
    return element.tag.rpartition("}")[2]


def children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """The child elements of that name, but for those that are to be taken as not there."""
    return [child for child in element if tag(child) == name and child.get(XLINK_HREF) != RESOLVE_TO_ZERO]


def refuse_elsewhere(element: ElementTree.Element, notes: list[str]) -> None:
    """What an element stands for may lie elsewhere; what it holds itself is then only for who can't fetch it.

    Raises:
        MpdError: it holds nothing itself.
    """
    href = element.get(XLINK_HREF)
    if href is None:
        return
    if len(element) == 0:
        raise MpdError(
            f"{where(element)} lies elsewhere (xlink:href {href[:80]!r}), and nothing is fetched from there;"
            " put what is there into the MPD"
        )
    notes.append(
        f"{where(element)} is taken as it stands in the MPD; xlink:href {href[:80]!r} is not fetched"
    )


def where(element: ElementTree.Element) -> str:
    """How a message names an element."""
    identity = element.get("id")
    return f"{tag(element)} {identity}" if identity is not None else tag(element)


def integer(element: ElementTree.Element, name: str, default: int | None = None) -> int:
    """A non-negative integer attribute.

    Raises:
        MpdError: it is none, or is not there and there is no default.
    """
    text = element.get(name)
    if text is None:
        if default is None:
            raise MpdError(f"{where(element)} has no @{name}")
        return default
    if not re.fullmatch(rf"\s*\+?[0-9]{{1,{_MAX_INTEGER_DIGITS}}}\s*", text, re.ASCII):
        raise MpdError(f"{where(element)}: @{name} is {text[:40]!r}; expected a whole number, 0 or more")
    return int(text)


_DURATION = re.compile(
    r"P(?:(?P<Y>[0-9]{1,9})Y)?(?:(?P<MONTHS>[0-9]{1,9})M)?(?:(?P<D>[0-9]{1,9})D)?"
    r"(?:T(?:(?P<H>[0-9]{1,9})H)?(?:(?P<M>[0-9]{1,9})M)?(?:(?P<S>[0-9]{1,12}(?:\.[0-9]{1,20})?)S)?)?"
)
_UNIT_S = {"D": 86_400, "H": 3_600, "M": 60, "S": 1}


def duration_s(element: ElementTree.Element, name: str) -> Fraction | None:
    """An xs:duration attribute in seconds; None where it is not there.

    Raises:
        MpdError: it is none, or has years or months, whose length varies (none of either is exact).
    """
    text = element.get(name)
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        raise MpdError(f"{where(element)}: @{name} is {text[:40]!r}; expected a duration such as PT192S")
    if int(match["Y"] or 0) or int(match["MONTHS"] or 0):
        raise MpdError(
            f"{where(element)}: @{name} is {text[:40]!r}; years and months vary in length, write days"
        )
    return sum((Fraction(match[unit]) * _UNIT_S[unit] for unit in _UNIT_S if match[unit]), Fraction(0))
