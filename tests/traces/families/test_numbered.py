"""Words that ask for members by their numbers."""

from __future__ import annotations

import pytest

from traces.families.numbered import MOST, numbered


@pytest.mark.parametrize(
    ("spec", "base", "wanted", "ranged"),
    [
        ("heads", "heads", range(1), False),
        ("tpch/3", "tpch", range(3, 4), False),
        ("tpch[2:5]", "tpch", range(2, 5), True),
        ("tpch[:4]", "tpch", range(4), True),
        ("a/folder[1:13]", "a/folder", range(1, 13), True),
    ],
)
def test_members_are_asked_for_by_their_numbers(spec: str, base: str, wanted: range, ranged: bool) -> None:
    asked = numbered(spec, "sequences", "[0:48]")
    assert asked is not None and (asked.base, asked.wanted, asked.ranged) == (base, wanted, ranged)


@pytest.mark.parametrize("spec", ["tpch[5:5]", "tpch[7:2]", f"tpch[0:{MOST + 1}]", "tpch[0:999999999]"])
def test_none_or_too_many_are_refused_with_a_way_out(spec: str) -> None:
    with pytest.raises(ValueError, match=rf"sequences; ask for 1 to {MOST}, such as tpch\[0:48\]"):
        numbered(spec, "sequences", "[0:48]")


def test_nothing_is_of_no_form() -> None:
    assert numbered("", "videos", "[0:20]") is None
