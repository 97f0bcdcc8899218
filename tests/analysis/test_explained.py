"""The strip beside the chosen level: drawn where an explanation stands beside the record, and only if it is
the record's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from analysis import style
from analysis.__main__ import main
from analysis.explained.strip import MOST_MODALITIES, RECENT, TITLE, strip_of
from analysis.sessions import SessionRecord
from analysis.timeline import draw_timeline
from player.explained.file import FORMAT, Explanation, WhyLevel, explanation_path, write_explanation
from player.record import read_record
from tests.support.session_records import write_session
from traces.safe_reading import sha256_of

ESCAPE = "\x1b[31m"


def explain(record: Path, *, names: tuple[str, ...] = ("levels", "link"), **changes: Any) -> Path:
    """One of a record of three chunks: the first modality speaks for each level, the second against it."""
    why = tuple(
        WhyLevel(
            chunk=chunk, level=0, recorded=0, by="llm", margin=1.0, runner_up=1,
            modalities={name: 2.0 - 3.0 * place for place, name in enumerate(names[:2])},
            chunks={"0": -0.5} if chunk else {},
        )
        for chunk in (0, 2)
    )  # fmt: skip
    facts = {"format": FORMAT, "record_sha256": sha256_of(record), "modalities": names, "decisions": why}
    return write_explanation(record, Explanation(**(facts | changes)))


def drawn(*paths: Path) -> Any:
    with matplotlib.rc_context(style.RC):
        return draw_timeline([SessionRecord(read_record(path)) for path in paths])


def test_a_strip_has_a_row_for_each_modality_and_one_for_recent_chunks(tmp_path: Path) -> None:
    path = write_session(tmp_path / "a.jsonl")
    assert strip_of(str(path), read_record(path).chunks) is None
    explain(path)
    strip = strip_of(str(path), read_record(path).chunks)
    assert strip is not None and strip.names == ("levels", "link", RECENT)
    assert (strip.values[0, [0, 2]] > 0).all() and (strip.values[1, [0, 2]] < 0).all()
    assert np.isnan(strip.values[:, 1]).all() and np.isnan(strip.values[2, 0])
    assert np.nanmax(np.abs(strip.values)) <= 1.0


def test_a_figure_has_strips_where_somebody_is_explained(tmp_path: Path) -> None:
    one, other = write_session(tmp_path / "a.jsonl"), write_session(tmp_path / "b.jsonl", "robustmpc")
    plain = drawn(one, other)
    assert len(plain.axes) == 6
    explain(other)
    figure = drawn(one, other)
    assert len(figure.axes) == 8 and figure.get_size_inches()[1] > plain.get_size_inches()[1]
    strips = [axes for axes in figure.axes if axes.collections and len(axes.get_yticklabels()) == 3]
    assert any([label.get_text() for label in axes.get_yticklabels()][-1] == RECENT for axes in strips)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "spoke for the level" in labels
    explain(one)
    assert TITLE in [axes.get_ylabel() for axes in drawn(one, other).axes]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"record_sha256": "0" * 64}, "of another record"),
        ({"format": 99}, "format 99"),
        ({"decisions": (WhyLevel(chunk=-1, level=0),)}, "without a chunk"),
        ({"decisions": (WhyLevel(chunk=0, level=0, modalities={"a": 1e300}),)}, "no contribution"),
        ({"decisions": (WhyLevel(chunk=0, level=0, chunks={"0": ESCAPE}),)}, "no contribution"),  # type: ignore[dict-item]
    ],
)
def test_what_cannot_be_taken_is_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], word: str
) -> None:
    path = write_session(tmp_path / "a.jsonl")
    explain(path, **changes)
    assert main(["plot", str(path), "--what", "timeline", "--out", str(tmp_path / "a.png")]) == 0
    said = capsys.readouterr().err
    assert word in said and said.count("\n") == 1 and "\x1b" not in said
    assert len(drawn(path).axes) == 3


def test_names_of_somebodys_are_shortened_and_cannot_fill_a_figure(tmp_path: Path) -> None:
    path = write_session(tmp_path / "a.jsonl")
    explain(path, names=tuple(f"$\\frac{{{ESCAPE}}}$ {number}" for number in range(100)))
    strip = strip_of(str(path), read_record(path).chunks)
    assert strip is not None and len(strip.names) == MOST_MODALITIES + 1
    assert main(["plot", str(path), "--what", "timeline", "--out", str(tmp_path / "a.svg")]) == 0
    assert "\x1b" not in (tmp_path / "a.svg").read_text()


def test_chunks_that_the_record_lacks_are_not_drawn(tmp_path: Path) -> None:
    path = write_session(tmp_path / "a.jsonl")
    explain(path, decisions=(WhyLevel(chunk=9, level=0, modalities={"levels": 1.0}),))
    assert strip_of(str(path), read_record(path).chunks) is None
    explain(path, decisions=())
    assert strip_of(str(path), read_record(path).chunks) is None


def test_a_report_says_what_the_strip_is(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for policy in ("bba", "robustmpc"):
        for trace in ("t0", "t1"):
            explain(write_session(tmp_path / "in" / f"{trace}_{policy}.jsonl", policy, trace))
    assert main(["report", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "index.html").read_text()
    assert "The strip below the bitrate" in page
    assert explanation_path(tmp_path / "in" / "t0_bba.jsonl").exists()
