"""Files of several runs, sessions or lines: the one with most rows is read, unless another is named."""

from __future__ import annotations

from collections.abc import Mapping

_MOST_LISTED = 5


def chosen(rows: Mapping[str, int], asked: str | None, what: str, of_what: str) -> tuple[str, str, str]:
    """(the part taken, what was assumed, fault) of a file.

    Args:
        rows: how many rows each part has.
        asked: the part's name, or a part of it that no other has.
        what: the parts in words, such as `runs`.
        of_what: the rows in words, such as `seconds`.
    """
    longest = max(rows, key=lambda name: rows[name])
    if asked is not None:
        fits = [name for name in rows if name == asked] or [name for name in rows if asked in name]
        if len(fits) == 1:
            return fits[0], "", ""
        few = f"{len(fits)} of the {what}" if fits else f"none of the {what}"
        return "", "", f"--part {asked} names {few}: {_listed(rows)}"
    if len(rows) == 1:
        return longest, "", ""
    return (
        longest,
        f"{len(rows)} {what} in one file; read is {longest} with most {of_what} ({rows[longest]}); others by"
        f" --part: {_listed({name: count for name, count in rows.items() if name != longest})}",
        "",
    )


def _listed(rows: Mapping[str, int]) -> str:
    names = list(rows)[:_MOST_LISTED]
    more = f", and {len(rows) - len(names)} more" if len(rows) > len(names) else ""
    return ", ".join(names) + more
