"""A file of qualities is read or refused in a line, and sessions are scored by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.qoe import FILE, FileQoE, QoE, Scoring
from player.video.quality import QualityTable, read_quality, write_quality
from traces.safe_reading import BadFileError

LADDER = (300, 1200)
VALUES = ((40.0, 80.0), (50.0, 90.0), (60.0, 95.0))


def table(tmp_path: Path, text: str) -> QualityTable:
    file = tmp_path / "vmaf.csv"
    file.write_text(text)
    return read_quality(file)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=5))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[float, float]]
) -> None:
    found = table(tmp_path_factory.mktemp("q"), write_quality(tuple(values)))
    assert found.name == "vmaf.csv"
    for read, row in zip(found.values, values, strict=True):
        assert read == pytest.approx(row, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected chunk,level,quality"),
        ("chunk,level\n0,0\n", "expected chunk,level,quality"),
        ("chunk,level,quality\n", "it has no chunk"),
        ("chunk,level,quality\n0,0,nan\n", "quality .nan.; expected a number"),
        ("chunk,level,quality\n0,-1,3\n", "expected a chunk, a level and a number"),
        ("chunk,level,quality\n0,0,1\n0,0,2\n", "vmaf.csv:3: chunk 0 of level 0 stands there twice"),
        ("chunk,level,quality\n0,0,1\n1,1,2\n", "chunk 0 of level 1 is missing"),
    ],
)
def test_what_is_no_such_file_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=said):
        table(tmp_path, text)


def test_a_chunk_s_quality_is_the_file_s(tmp_path: Path) -> None:
    found = table(tmp_path, write_quality(VALUES))
    qoe = Scoring(FILE, table=found).on(LADDER)
    assert isinstance(qoe, FileQoE)
    assert qoe.mu == pytest.approx((80 + 90 + 95) / 3)  # what the top level is worth
    assert qoe.quality(LADDER) == pytest.approx((50, 265 / 3))
    (second, third) = qoe.per_chunk([0, 1, 1], [0.0, 0.0, 0.5], LADDER)
    assert second == pytest.approx(90 - (90 - 40))
    assert third == pytest.approx(95 - 0.5 * qoe.mu - (95 - 90))
    assert qoe.in_words(LADDER).startswith("quality by vmaf.csv, mu 88.3333 (the ladder's top)")
    assert qoe.to_json()["quality_sha256"] == found.sha256
    assert Scoring(FILE, 10.0, table=found).on(LADDER).mu == 10


def test_other_levels_and_longer_sessions_are_refused(tmp_path: Path) -> None:
    scoring = Scoring(FILE, table=table(tmp_path, write_quality(VALUES)))
    with pytest.raises(ValueError, match=r"vmaf.csv has 2 levels, and the ladder 3"):
        scoring.on((1, 2, 3))
    with pytest.raises(ValueError, match=r"vmaf.csv has 3 chunks, and the session 4"):
        scoring.on(LADDER).per_chunk([0] * 4, [0.0] * 4, LADDER)
    with pytest.raises(ValueError, match="QoE kind 'file'"):
        QoE(FILE)
