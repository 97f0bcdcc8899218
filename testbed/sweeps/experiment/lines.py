"""Which line of a TOML file something stands in (`tomllib` tells values, not places)."""

from __future__ import annotations

import re

Place = tuple[str | int, ...]
"""The way to a value: `("setting", 1, "rtt_ms")` is that key of the second `[[setting]]`."""

_HEADER = re.compile(r"\s*(?P<many>\[\[|\[)\s*(?P<name>[^\[\]]+?)\s*\]{1,2}\s*(#.*)?")
_KEY = re.compile(r"""\s*(?P<key>"[^"]*"|'[^']*'|[A-Za-z0-9_.-]+)\s*=""")


class Lines:
    """The lines of a file's tables and keys.

    Args:
        text: TOML that can be parsed. Tables may not be nested, except by inline ones.
    """

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._begins: dict[Place, int] = {}
        """Place -> its line, counted from 0."""
        table: Place = ()
        counts: dict[str, int] = {}
        for number, line in enumerate(self._lines):
            if header := _HEADER.fullmatch(line):
                name = header["name"].strip("\"'")
                if header["many"] == "[[":
                    table = (name, counts.get(name, 0))
                    counts[name] = counts.get(name, 0) + 1
                else:
                    table = (name,)
                self._begins.setdefault(table, number)
            elif key := _KEY.match(line):
                self._begins.setdefault((*table, key["key"].strip("\"'")), number)

    def of(self, place: Place, *words: object) -> int:
        """The line of a place, from 1; or of the first of the words that is found in it.

        What has no line of its own (an inline table's key) has that of the nearest thing around it.
        """
        around = next((place[:end] for end in range(len(place), 0, -1) if place[:end] in self._begins), None)
        if around is None:
            return 1
        begin = self._begins[around]
        later = (number for number in self._begins.values() if number > begin)
        end = min(later, default=len(self._lines))
        wanted = [str(one) for one in (*words, *reversed(place[len(around) :])) if isinstance(one, str)]
        for text in wanted:
            whole = re.compile(rf"(?<![\w-]){re.escape(text)}(?![\w-])")
            for number in range(begin, end):
                if whole.search(self._lines[number]):
                    return number + 1
        return begin + 1
