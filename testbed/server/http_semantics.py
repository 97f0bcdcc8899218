"""The parts of HTTP that a resumed download rests on: validators, conditions and byte ranges.

Pure functions after RFC 9110, sections 8.8 (validators), 13 (conditions) and 14 (ranges).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime

from player.video.byte_range import ByteRange


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one version of a resource from another."""

    etag: str
    """Strong, with its quotes."""
    modified_s: int | None = None
    """Unix time of the last change; None where there is none to tell."""

    @property
    def last_modified(self) -> str | None:
        """As a header has it."""
        return None if self.modified_s is None else formatdate(self.modified_s, usegmt=True)


class RangeNotSatisfiable(ValueError):
    """No byte of the resource is asked for, or the header is no range; answered with 416."""


_ETAG = re.compile(r'(?:W/)?("[^"]*")')


def _names(header: str, etag: str) -> bool:
    """Whether a list of entity tags (or `*`) holds this one, by the weak comparison."""
    return header.strip() == "*" or etag in _ETAG.findall(header)


def unchanged(headers: Mapping[str, str], validators: Validators) -> bool:
    """Whether If-None-Match, or without it If-Modified-Since, asks for a 304."""
    tags = headers.get("If-None-Match")
    if tags is not None:
        return _names(tags, validators.etag)
    since_s = _date_s(headers.get("If-Modified-Since"))
    return since_s is not None and validators.modified_s is not None and validators.modified_s <= since_s


def precondition_failed(headers: Mapping[str, str], validators: Validators) -> bool:
    """Whether If-Match asks for a 412 (a strong comparison: a weak tag never matches)."""
    tags = headers.get("If-Match")
    if tags is None or tags.strip() == "*":
        return False
    return validators.etag not in [tag.strip() for tag in tags.split(",")]


def _date_s(text: str | None) -> int | None:
    """Unix time of an HTTP date; None when it is none."""
    if text is None:
        return None
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (TypeError, ValueError, OverflowError):
        return None


def asked_range(headers: Mapping[str, str], validators: Validators, size_bytes: int) -> ByteRange | None:
    """The part of a resource that a GET asks for.

    Returns:
        None for the whole: no Range, a unit other than bytes, an If-Range that names another
        version, or several ranges at once, which a server may answer with the whole (14.2).

    Raises:
        RangeNotSatisfiable: a range that is malformed or holds no byte of the resource.
    """
    header = headers.get("Range")
    if header is None or not _if_range_holds(headers.get("If-Range"), validators):
        return None
    unit, equals, specifiers = header.partition("=")
    if not equals:
        raise RangeNotSatisfiable(f"Range {header[:60]!r} is malformed; expected bytes=FIRST-LAST")
    if unit.strip().lower() != "bytes":
        return None
    words = [word.strip() for word in specifiers.split(",") if word.strip()]
    ranges = [_parsed(word, size_bytes) for word in words]
    if not words or not any(ranges):
        raise RangeNotSatisfiable(f"Range {header[:60]!r} holds none of the {size_bytes} bytes")
    return ranges[0] if len(ranges) == 1 else None


def _parsed(word: str, size_bytes: int) -> ByteRange | None:
    """One range of the list; None when it lies beyond the end."""
    match = re.fullmatch(r"([0-9]*)-([0-9]*)", word, re.ASCII)
    if not match or not any(match.groups()):
        raise RangeNotSatisfiable(f"Range {word[:60]!r} is malformed; expected FIRST-LAST, FIRST- or -COUNT")
    if not match[1]:
        count = min(_bounded(match[2]), size_bytes)
        return ByteRange(size_bytes - count, size_bytes - 1) if count else None
    first = _bounded(match[1])
    last = _bounded(match[2]) if match[2] else size_bytes - 1
    if match[2] and last < first:
        raise RangeNotSatisfiable(f"Range {word[:60]!r} ends before it begins")
    return ByteRange(first, min(last, size_bytes - 1)) if first < size_bytes else None


_DIGITS = 18
"""A position with more digits lies beyond every resource; Python refuses to read thousands of them."""


def _bounded(digits: str) -> int:
    digits = digits.lstrip("0")
    return 10**_DIGITS if len(digits) > _DIGITS else int(digits or "0")


def _if_range_holds(header: str | None, validators: Validators) -> bool:
    """Whether Range counts: no If-Range, or one that names exactly this version (13.1.5)."""
    if header is None:
        return True
    if '"' in header:
        return header.strip() == validators.etag
    return validators.last_modified is not None and _date_s(header) == validators.modified_s
