"""`python -m analysis collect`: the ending decides the form, and a row a chunk says what the record says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.tables.chunk_rows import CHUNK_COLUMNS
from analysis.tables.collect import COLUMNS
from analysis.tables.table_file import ENDINGS, NUMBER, TEXT, TEXTS, TRUTH, WHOLE, TableFileError, write_table
from player.record import read_record
from tests.support.session_records import change_manifest, write_session
from tests.support.tables import read_table as read
from traces.commands import next_step


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    write_session(folder / "a.jsonl", "bba", levels=(0, 2, 1), stalls_s=(0, 0.5, 0))
    write_session(
        folder / "b.jsonl",
        'my, "odd" one',
        valid=False,
        simulated=False,
        link_check={"reasons": ["rate differs", "queue; late"], "steps": 7},
    )
    return folder


def collect(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(["collect", *map(str, words)]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("chunks", [False, True])
def test_the_ending_decides_the_form(
    results: Path, tmp_path: Path, ending: str, chunks: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / f"x{ending}"
    said = collect(capsys, results, "--out", out, *(["--chunks"] if chunks else []))
    rows = read(out)
    assert list(rows[0]) == list(CHUNK_COLUMNS if chunks else COLUMNS)
    assert len(rows) == (6 if chunks else 2) and str(out) in said
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    magic = {".parquet": b"PAR1", ".csv.gz": b"\x1f\x8b"}.get(ending, b'"record"')
    assert out.read_bytes().startswith(magic)


@pytest.mark.parametrize("name", ["x.xlsx", "x", "x.csv.bz2", ".csv", "x.parquet.csv.txt"])
def test_another_ending_is_refused_with_those_that_there_are(
    results: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / name
    with pytest.raises(SystemExit) as ended:
        main(["collect", str(results), "--out", str(out)])
    told = capsys.readouterr()
    assert ended.value.code == 2 and told.out == "" and told.err.count("\n") == 1
    assert f"{out}:" in told.err and "end the name in .parquet, .csv or .csv.gz" in told.err
    assert not out.parent.exists()


def test_csv_and_parquet_say_the_same(results: Path, tmp_path: Path) -> None:
    for name in ("x.csv", "x.parquet"):
        assert main(["collect", str(results), "--out", str(tmp_path / name)]) == 0
    texts, values = read(tmp_path / "x.csv"), read(tmp_path / "x.parquet")
    for text, value in zip(texts, values, strict=True):
        for column, kind in COLUMNS.items():
            found, wanted = text[column], value[column]
            if wanted is None:
                assert found == "", column
            elif kind == TRUTH:
                assert found == str(wanted).lower(), column
            elif kind in (NUMBER, WHOLE):
                assert float(found) == wanted, column
            else:
                assert found == ("; ".join(wanted) if kind == TEXTS else wanted), column
    assert texts[1]["policy"] == 'my, "odd" one'
    assert texts[1]["invalid_reasons"] == "rate differs; queue; late"


def test_a_row_a_chunk_is_what_the_record_says(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(collect(capsys, results, "--chunks", "--json"))
    assert report == {
        "table": str(results / "chunks.parquet"),
        "rows": 6,
        "sessions": 2,
        "unreadable": [],
    }
    rows = read(results / "chunks.parquet")
    mine = [row for row in rows if row["record"] == "a.jsonl"]
    for row, chunk in zip(mine, read_record(results / "a.jsonl").chunks, strict=True):
        assert {name: row[name] for name in vars(chunk)} == vars(chunk)
    # by hand: level + 1, less 4.3 a second of stall, less the change
    assert [row["qoe"] for row in mine] == [None, pytest.approx(3 - 4.3 * 0.5 - 2), pytest.approx(2 - 1)]
    assert {(row["policy"], row["trace"], row["valid"]) for row in rows} == {
        ("bba", "t0", True),
        ('my, "odd" one', "t0", False),
    }


def test_what_has_no_row_makes_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_session(tmp_path / "a.jsonl", levels=(), outcome="origin-lost")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "b.jsonl").write_text("{}\n")
    for place, said in (
        (tmp_path / "a.jsonl", "no chunk is in any of 1 records"),
        (broken, "none of 1 records"),
    ):
        out = tmp_path / "new" / "x.csv"
        assert main(["collect", str(place), "--chunks", "--out", str(out)]) == 2
        assert said in capsys.readouterr().err
        assert not out.parent.exists()


def test_a_spreadsheet_takes_no_name_for_a_formula(tmp_path: Path) -> None:
    row = {"a": "=1+1", "b": -1, "c": ["@x", "y"]}
    for name in ("x.csv", "x.parquet"):
        write_table(tmp_path / name, {"a": TEXT, "b": WHOLE, "c": TEXTS}, [[row]])
    assert read(tmp_path / "x.csv") == [{"a": "'=1+1", "b": "-1", "c": "'@x; y"}]
    assert read(tmp_path / "x.parquet") == [row]


def test_a_value_that_its_column_cannot_hold_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    with pytest.raises(TableFileError, match=r"x\.csv: "):
        write_table(out, {"a": TEXT, "b": WHOLE}, [[{"a": "p", "b": 1}], [{"a": "q", "b": "two"}]])
    assert list(tmp_path.iterdir()) == []


def over_a_real_network(folder: Path, policy: str, number: int) -> None:
    """A record that no trace belongs to."""
    started_at = f"2026-03-01T12:0{number}:00+00:00"
    path = write_session(folder / f"{policy}{number}.jsonl", policy, simulated=False, started_at=started_at)
    change_manifest(path, trace=None, link=None)


@pytest.mark.parametrize("chunks", [(), ("--chunks",)])
def test_the_next_command_runs_on_what_was_collected(
    tmp_path: Path, chunks: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """`report` for sessions over traces, `unpaired` for those over a real network, else none."""

    def last_line() -> str:
        return collect(capsys, tmp_path, *chunks).splitlines()[-1]

    write_session(tmp_path / "bad.jsonl", "bba", valid=False, simulated=False)
    assert last_line().startswith("no session here counts in a comparison yet")
    for number, policy in enumerate(("a", "b", "a")):
        over_a_real_network(tmp_path, policy, number)
    assert last_line().startswith("no session here counts in a comparison yet")  # of `b` one is too few
    over_a_real_network(tmp_path, "b", 3)
    assert last_line() == next_step("-m", "analysis", "unpaired", str(tmp_path))
    assert main(["unpaired", str(tmp_path)]) == 0
    capsys.readouterr()
    write_session(tmp_path / "good.jsonl", "bba", simulated=True)
    assert last_line() == next_step("-m", "analysis", "report", str(tmp_path))
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "page")]) == 0
