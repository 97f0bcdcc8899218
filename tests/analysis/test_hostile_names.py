"""Names in records may hold anything; none of it reaches a terminal, a page or a picture as it is."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from analysis import style
from analysis.__main__ import main
from tests.support.session_records import write_session

HOSTILE = "\x1b[2J\x1b]0;x\x07\u202egpj\r\n\x9b31m$x^{$\x7f"
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for policy in ("bba", "rate"):
        for trace in ("t0", "t1"):
            write_session(
                tmp_path / f"{policy}-{trace}.jsonl",
                policy + HOSTILE,
                trace + HOSTILE,
                family="4g" + HOSTILE,
                video="v" + HOSTILE,
            )
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("compare",),
        ("table",),
        ("power",),
        ("collect", "--out", "x.csv"),
        *(("plot", "--what", what, "--out", f"{what}.png") for what in ("cdf", "bars", "box", "scatter")),
        ("plot", "--what", "timeline", "--out", "t.pdf"),
        ("report", "--jobs", "1"),
    ],
    ids=lambda words: "-".join(words[:3]),
)
def test_what_is_shown_of_a_name_can_be_seen(
    folder: Path,
    words: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that no font has
        assert main([words[0], str(folder), *words[1:]]) == 0
    said = capsys.readouterr()
    assert UNSEEN.search(said.out + said.err) is None
    assert not re.search(r"(^|[ │|])\\x9b31m", said.out + said.err, re.MULTILINE), "a second line of a name"
    page = folder / "report" / "index.html"
    if page.exists():
        assert UNSEEN.search(page.read_text()) is None and "\\x1b[2J" in page.read_text()


def test_a_record_that_cant_be_read_is_left_out_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad\nerror: gone.jsonl").write_text("{\n")
    assert main(["compare", str(folder)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and told[0].startswith(f"left out: {folder}/bad\\nerror: gone.jsonl:1: ")


def test_a_letter_that_no_font_has_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    with warnings.catch_warnings(), matplotlib.rc_context(style.RC):
        warnings.simplefilter("error")
        for _ in range(2):
            figure = Figure()
            figure.suptitle("\N{CJK UNIFIED IDEOGRAPH-6F22}")
            assert set(style.rendered(figure, ("png", "pdf", "svg", "eps"))) == {"png", "pdf", "svg", "eps"}
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("figures: the font has no \N{CJK UNIFIED IDEOGRAPH-6F22}; ")
