"""Words of `--beside` and `--cross`, and what is refused of them."""

from __future__ import annotations

import pytest

from testbed.cross.asked import Beside, Companion, CrossFlow, companions_of, flows_of
from testbed.process.errors import TestbedError


def test_companions_keep_their_options() -> None:
    found = companions_of(["call:gcc,video:bba:reservoir_s=5", "video:my.py:Mine"])
    assert found == (
        Companion("call", "gcc"),
        Companion("video", "bba:reservoir_s=5"),
        Companion("video", "my.py:Mine"),
    )
    assert [one.words for one in found] == ["call:gcc", "video:bba:reservoir_s=5", "video:my.py:Mine"]


@pytest.mark.parametrize("text", ["gcc", "call:", "calls:gcc", ":gcc", "call:gcc,"])
def test_no_companion(text: str) -> None:
    with pytest.raises(TestbedError, match="--beside"):
        companions_of([text])


def test_flows_one_by_one() -> None:
    assert flows_of(["cubic:2,bbr:1@10-40", "reno@5-"]) == (
        CrossFlow("cubic"),
        CrossFlow("cubic"),
        CrossFlow("bbr", 10.0, 40.0),
        CrossFlow("reno", 5.0),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cubic:0", "expected 1 to 64 flows"),
        ("cubic:60,bbr:5", "expected 1 to 64 flows, all together"),
        ("cubic:x", "expected flows as cubic"),
        ("", "expected flows as cubic"),
        ("cubic@40-10", "ends at 10 s, and begins at 40 s"),
        ("cubic@1.2.3-", "'1.2.3' is no time"),
        ("cubic@0-1e9", "expected flows as cubic"),
        ("CUBIC", "expected flows as cubic"),
    ],
)
def test_no_flow(text: str, words: str) -> None:
    with pytest.raises(TestbedError) as raised:
        flows_of([text])
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_all_in_words() -> None:
    asked = Beside(companions_of(["call:gcc"]), flows_of(["cubic,bbr@10-40"]))
    assert asked.words == ("call:gcc", "cubic", "bbr from 10 s to 40 s")
    assert asked and not Beside()
