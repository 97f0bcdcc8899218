"""Links of known rates: GCC keeps the bounds that were asked of it, and the command tells them."""

from __future__ import annotations

import json

import pytest

from player.call.path import CallPath
from player.call.settings import CallSettings
from policies.call.__main__ import main, rule_of
from policies.call.constant import on_constant_links, seconds_to_give_way

CALL = CallSettings(max_kbps=4000.0)


@pytest.mark.parametrize("jitter_ms", [0.0, 2.0])
def test_gcc_uses_a_constant_link_with_a_short_queue_and_no_loss(jitter_ms: float) -> None:
    for row in on_constant_links(
        rule_of("gcc"), (1.0, 1.5, 2.0, 3.0), CALL, CallPath(media_jitter_ms=jitter_ms)
    ):
        assert 0.80 <= row.share <= 0.98
        assert row.queue_p95_ms < 60.0
        assert row.dropped_packets == 0


def test_gcc_gives_way_to_a_link_that_halves_within_a_second() -> None:
    assert seconds_to_give_way(rule_of("gcc"), 2.0, CALL, CallPath()) <= 1.0


def test_a_fixed_rate_never_gives_way_and_fills_the_queue() -> None:
    rule = rule_of("fixed:1500")
    assert seconds_to_give_way(rule, 2.0, CALL, CallPath()) == float("inf")
    (row,) = on_constant_links(rule, (1.0,), CALL, CallPath())
    assert row.share == pytest.approx(1500 / (1000 * 1200 / 1242))
    assert row.queue_p50_ms > 150.0 and row.dropped_packets > 1000


def test_the_command_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--policy", "gcc", "--duration-s", "35", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["link_mbps"] for row in told["constant"]["gcc"]] == [1.0, 1.5, 2.0, 3.0]
    assert main(["--policy", "gcc", "--duration-s", "35"]) == 0
    assert "target below what is left after" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policy", "oracle"], "it is no compiled rule"),
        (["--policy", "gc"], "did you mean gcc"),
        (["--duration-s", "10"], "duration 10 s; expected over 31 s"),
    ],
)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
