"""How far sessions are is said in few lines on a pipe, and by a bar that knows its whole on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from testbed.simulated.computing_pace import ComputingPace
from testbed.simulated.progress import LINES, ComputedForecast, SessionsProgress, left_words


class Says:
    """A forecast that says one thing."""

    def __init__(self, words: str) -> None:
        self.words = words

    def left(self) -> str:
        return self.words


def piped(total: int, done: int, ended: list[int], words: str) -> list[str]:
    out = io.StringIO()
    with SessionsProgress(Console(file=out, width=200), Says(words)) as progress:
        progress.begin(total, done)
        for count in ended:
            progress.ended(count)
    return out.getvalue().splitlines()


def test_on_a_pipe_each_session_of_few_has_a_line() -> None:
    said = piped(3, 0, [1, 1, 1], "about 9 s left")
    assert said == ["1 of 3 sessions, about 9 s left", "2 of 3 sessions, about 9 s left", "3 of 3 sessions"]


def test_on_a_pipe_many_sessions_have_few_lines() -> None:
    said = piped(1000, 0, [1] * 1000, "")
    assert len(said) == LINES
    assert (said[0], said[-1]) == ("50 of 1000 sessions", "1000 of 1000 sessions")


def test_what_was_over_before_is_counted_and_not_told_again() -> None:
    assert piped(4, 3, [1], "") == ["4 of 4 sessions"]


def test_the_bar_knows_how_many_there_are_though_it_is_begun_later() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with SessionsProgress(console, Says("about 5 s left")) as progress:
        progress.begin(8, 2)
        progress.ended()
    assert "3 of 8 sessions" in out.getvalue() and "about 5 s left" in out.getvalue()


@pytest.mark.parametrize(("left_s", "words"), [(0.0, ""), (2.0, ""), (90.0, "about 90 s left")])
def test_what_is_over_soon_needs_no_words(left_s: float, words: str) -> None:
    assert left_words(left_s) == words


def test_a_forecast_follows_what_ended() -> None:
    pace = ComputingPace(known={"bba": 1.0})
    forecast = ComputedForecast(pace, {"bba": 100, "mine": 100}, 2)
    assert forecast.left() == "no forecast yet"
    forecast.ended("mine", 100, 400.0)
    assert forecast.left() in ("about 50 s left", "about 49 s left")  # 100 chunks of 1 s by two processes
    forecast.ended("bba", 100, 300.0)
    assert forecast.left() == ""
