"""`python -m analysis report`: numbers are those of compare, what is missing is said, the page is safe."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import analysis.report
from analysis.__main__ import main
from analysis.clusters import ClusterRule
from analysis.report.parts.planned import read_sweep
from analysis.report.parts.session_rows import SessionRow, row_of
from analysis.report.parts.study import Study, study_of
from analysis.report.parts.table_rendering import RowGroup, Table, escape_latex, rows, to_csv, to_latex, word
from analysis.report.sections import headline, missing
from analysis.report.sections.deciding import deciders_table, fallback_table, timing
from analysis.report.sections.links import fidelity_table, reasons_table
from analysis.report.sections.sharing import shared_links
from player.qoe import Scoring
from tests.support.chromium import find_browser, look
from tests.support.report_sweeps import INVALID_REASON, SEEN, UNSEEN, small_sweep
from tests.support.session_records import write_session

HOSTILE = '<script>alert("x")</script>&_%'
"""A policy's name in the sweep of these tests; shown as it is, and nothing else."""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_sweep(tmp_path_factory.mktemp("sweep") / "results", HOSTILE)


@pytest.fixture(scope="module")
def study(sweep: Path) -> Study:
    found = [row_of(path, Scoring()) for path in sorted(sweep.glob("*.jsonl"))]
    return study_of(
        [one for one in found if isinstance(one, SessionRow)],
        [one for one in found if not isinstance(one, SessionRow)],
        Scoring(),
        sweep=read_sweep(sweep),
        baseline="robustmpc",
        baseline_asked=False,
        rule=ClusterRule(),
    )


@pytest.fixture(scope="module")
def made(sweep: Path) -> Path:
    """The report of the sweep, in which a file was cut off."""
    assert main(["report", str(sweep), "--jobs", "1"]) == 1
    return sweep / "report"


def said(capsys: pytest.CaptureFixture[str], *words: str | Path, status: int = 0) -> dict[str, Any]:
    """The object that a command prints, which is all that is on stdout."""
    assert main([*map(str, words), "--json"]) == status
    out: dict[str, Any] = json.loads(capsys.readouterr().out)
    return out


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(["report", *map(str, words)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "Traceback" not in err
    return err


def column(table: Table, name: str) -> list[Any]:
    """A CSV column's values, one a row."""
    names = [each for column in table.columns for each in column.csv]
    return [[value for cell in row for value in cell.values][names.index(name)] for row in rows(table)]


# ---- numbers -----------------------------------------------------------------------------------


def test_the_tables_numbers_are_those_of_compare(
    made: Path, sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sweep / "cut.jsonl").rename(sweep / "cut.aside")  # compare refuses what it cannot read
    try:
        compared = said(capsys, "compare", sweep, "--by", "setting", "--baseline", "robustmpc")
    finally:
        (sweep / "cut.aside").rename(sweep / "cut.jsonl")
    with (made / "tables" / "headline.csv").open(newline="") as file:
        lines = {(line["setting"], line["policy"]): line for line in csv.DictReader(file)}
    assert len(lines) == 6
    for group in compared["groups"]:
        for one in group["policies"]:
            line = lines[group["group"], one["policy"]]
            assert int(line["cases"]) == one["cases"] and int(line["sessions"]) == one["sessions"]
            for measure in ("qoe", "bitrate_mbps", "stall_ratio", "startup_s", "switches"):
                interval = [float(line[f"{measure}_low"]), float(line[f"{measure}_high"])]
                assert float(line[measure]) == pytest.approx(one[measure], abs=1e-12)
                assert interval == pytest.approx(one[f"{measure}_ci95"], abs=1e-12)
        for pair in group["pairs"]:
            line = lines[group["group"], pair["policy"]]
            assert float(line["difference"]) == pytest.approx(pair["difference"], abs=1e-12)
            assert float(line["difference_high"]) == pytest.approx(pair["ci95"][1], abs=1e-12)
            assert (line["verdict"], int(line["pairs"])) == (pair["verdict"], pair["cases"])
            assert float(line["holm_p"]) == pytest.approx(pair["holm_p"])


def test_in_short_a_tie_is_a_tie_and_counts_are_given(study: Study) -> None:
    sentences = dict(headline.in_short(study))
    assert sentences[HOSTILE] == (
        f"ahead of robustmpc in 1 of 2 settings, 1 seen and 0 unseen ({SEEN});"
        f" a tie with robustmpc in 1 of 2 settings, 0 seen and 1 unseen ({UNSEEN})."
    )
    assert "behind robustmpc in 2 of 2" in sentences["bba"] and "robustmpc" not in sentences


def test_decision_times_are_pooled_and_deciders_counted(study: Study) -> None:
    mine = [row for row in study.rows if row.outcome.policy == HOSTILE and row.link and row.shared is None]
    found = timing(mine, study.rule)
    assert found is not None and found.decisions == 12
    # 4 x 1 ms, 4 x 2 ms, then 100 to 400 ms: the 6th and the 12th of 12
    assert (found.p50_ms.mean, found.p99_ms.mean) == (pytest.approx(2.0), pytest.approx(400.0))
    assert found.p99_ms.low is not None and found.p99_ms.low < 400
    table = deciders_table(study)
    shares = dict(zip(column(table, "policy"), column(table, "chunks_by_llm"), strict=True))
    assert shares == {"bba": 0, "robustmpc": 0, HOSTILE: 4}
    fallback = fallback_table(study)
    assert fallback is not None and column(fallback, "reason") == ["the policy took longer than 5 s"]


def test_a_simulated_session_has_no_decision_time(tmp_path: Path) -> None:
    row = row_of(write_session(tmp_path / "a.jsonl"), Scoring())
    assert isinstance(row, SessionRow) and timing([row], ClusterRule()) is None


def test_shared_links_are_fair_or_not_and_used_in_part(study: Study) -> None:
    shared = shared_links(study)
    assert len(shared.links) == 11 and shared.broken == 0
    of_mine = sorted(one.jain for one in shared.links if one.policy == HOSTILE)
    # bitrates of 2 or 3 Mbit/s beside 1
    assert of_mine == pytest.approx([16 / 20, 16 / 20, 9 / 10, 9 / 10])
    # 2 x 3 chunks of 1 Mbit in 4 s, as the second began 1 s later, at 2 Mbit/s
    assert [one.utilisation for one in shared.links] == pytest.approx([6 / 8] * 11)


def test_a_shared_link_whose_player_lacks_is_left_out(study: Study) -> None:
    without = [row for row in study.rows if Path(row.path).name != "b-0-0-1.jsonl"]
    partial = study_of(
        without, (), Scoring(), sweep=None, baseline="robustmpc", baseline_asked=True, rule=ClusterRule()
    )
    shared = shared_links(partial)
    assert len(shared.links) == 10 and shared.broken == 1


# ---- what is missing ---------------------------------------------------------------------------


def test_invalid_sessions_are_counted_with_their_reason_and_are_in_no_result(study: Study) -> None:
    table, why = fidelity_table(study), reasons_table(study)
    assert table is not None and why is not None
    assert column(table, "setting") == [SEEN, UNSEEN]
    assert column(table, "invalid") == [1, 0] and column(table, "valid") == [11, 22]
    assert column(why, "reason") == [INVALID_REASON] and column(why, "record") == ["a-2-3.jsonl"]
    (bba,) = [mean for mean in study.conditions[0].means if mean.policy == "bba"]
    assert (bba.sessions, bba.invalid) == (3, 1)


def test_what_is_missing_is_said(study: Study) -> None:
    assert missing.state_sentence(study) == (
        "33 of 37 planned sessions are done, 1 never had a valid link, 1 failed for good, 2 are still to be"
        " run. The sweep is not complete; these are partial results."
    )
    table, lost = missing.planned_table(study.sweep), missing.not_good_table(study.sweep)
    assert table is not None and lost is not None
    assert column(table, "planned") == [4, 4, 4, 8, 8, 9] and column(table, "missing") == [0, 0, 0, 0, 0, 2]
    assert column(lost, "reason") == [INVALID_REASON, "the player died: no route"]
    other = " ".join(missing.left_out_sentences(study))
    assert "bba was not run with video uhd: its ladder is another." in other
    assert "bba lacks 2 of the traces" in other and "cut.jsonl is left out: 1: not JSON" in other


def test_a_sweep_that_has_just_begun_has_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_sweep(tmp_path / "begun")
    for path in folder.glob("*.jsonl"):
        if path.name != "a-0-0.jsonl":
            path.unlink()
    found = said(capsys, "report", folder, "--jobs", "1")
    assert (found["sessions"], found["baseline"], found["complete"]) == (1, None, False)
    page = (folder / "report" / "index.html").read_text()
    assert "robustmpc is the only policy" in page and "partial results" in page


def test_a_report_is_not_written_through_a_planted_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, elsewhere = small_sweep(tmp_path / "results"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "report").symlink_to(elsewhere)
    assert main(["report", str(folder), "--jobs", "1"]) == 2
    assert f"{folder / 'report'}" in capsys.readouterr().err
    assert not list(elsewhere.iterdir())
    assert said(capsys, "report", folder, "--jobs", "1", "--out", folder / "report", status=1)["sessions"]
    assert (elsewhere / "index.html").is_file()  # who names a link means it


def test_policies_without_a_common_trace_are_named_and_not_drawn(tmp_path: Path) -> None:
    for policy, trace in (("robustmpc", "t0"), ("bba", "t1")):
        write_session(tmp_path / f"{policy}.jsonl", policy, trace)
    assert main(["report", str(tmp_path), "--jobs", "1"]) == 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert "no trace is common to all of bba, robustmpc yet" in page and "no pair" in page


def test_what_cannot_be_reported_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no records" in refused(capsys, tmp_path)
    write_session(tmp_path / "a.jsonl", "bba", valid=False)
    assert "1 left out, its link was not what the manifest says" in refused(capsys, tmp_path)
    write_session(tmp_path / "b.jsonl", "bba")
    assert "--baseline good: no session" in refused(capsys, tmp_path, "--baseline", "good")
    assert "no record is of policy 'good'" in refused(capsys, tmp_path, "--policy", "good")
    assert "--jobs 0" in refused(capsys, tmp_path, "--jobs", "0")
    (tmp_path / "sweep.json").write_text('{"schema": 2}')
    assert "schema 2, where this version reads 1" in refused(capsys, tmp_path)
    (tmp_path / "sweep.json").write_text('{"schema": 1, "settings": 3}')
    assert "no sweep's state" in refused(capsys, tmp_path)
    assert not (tmp_path / "report").exists()


# ---- the page and its files --------------------------------------------------------------------


def test_names_are_text_wherever_they_stand(made: Path) -> None:
    page = (made / "index.html").read_text()
    assert "<script" not in page and "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;&amp;_%" in page
    latex = (made / "tables" / "headline.tex").read_text()
    assert r"\textless{}script\textgreater{}alert(\textquotedbl{}x\textquotedbl{})" in latex
    assert r"\&\_\%" in latex and re.search(r"(?<!\\)[&%_#](?=\S*script)", latex) is None


def test_latex_says_what_was_written() -> None:
    assert escape_latex("a_b & 5 % of $x^2 ~ {y}\\z\n#") == (
        r"a\_b \& 5 \% of \$x\textasciicircum{}2 \textasciitilde{} \{y\}\textbackslash{}z \#"
    )
    assert escape_latex("[1, 2]") == "{}[1, 2]"  # not the option of the line's end before it


def test_a_spreadsheet_takes_no_name_for_a_formula(study: Study) -> None:
    columns = headline.headline_table(study).columns[:1]
    changed = Table("t", "", columns, (RowGroup(None, ((word("=1+1"),),)),))
    assert to_csv(changed) == "policy\n'=1+1\n"


def test_latex_of_letters_that_it_may_not_know() -> None:
    assert escape_latex("Zoë’s Łódź") == "Zoë’s Łódź"
    assert escape_latex("漢") == r"\ifdefined\Umathcode 漢\else U+6F22\fi{}"  # pdfTeX stops at it


def test_latex_rows_have_as_many_cells_as_columns(study: Study) -> None:
    table = headline.headline_table(study)
    lines = [
        line for line in to_latex(table).splitlines() if line.endswith(r"\\") and "multicolumn" not in line
    ]
    assert len(lines) == 7
    assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {len(table.columns)}


def test_the_page_needs_no_other_file_and_no_network(made: Path) -> None:
    page = (made / "index.html").read_text()
    assert "default-src 'none'; img-src data:" in page and "http://" not in page and "https://" not in page
    sources = re.findall(r'(?:src|srcset|data)="([^"]{0,40})', page)
    assert sources and all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "@import" not in page and "url(" not in page
    links = re.findall(r'href="([^"]+)"', page)
    assert all(link.startswith(("#", "data:,")) or (made / link).is_file() for link in links)


def test_every_picture_and_table_has_its_files_and_words(made: Path) -> None:
    page = (made / "index.html").read_text()
    listed = json.loads((made / "report.json").read_text())["files"]
    assert all((made / name).is_file() for name in listed) and not list(made.rglob("*.partial"))
    for name in (
        "differences",
        "generalization",
        "cdf",
        "bitrate-stall",
        "decisions",
        "fairness",
        "fidelity",
    ):
        assert {f"figures/{name}.pdf", f"figures/{name}.png"} <= set(listed)
        assert f'id="figure-{name}"' in page
    assert (made / "figures" / "cdf.pdf").read_bytes().startswith(b"%PDF")
    pictures = re.findall(r'<img [^>]*alt="([^"]*)"', page)
    assert len(pictures) == page.count("<img ") == 10 and all(len(text) > 20 for text in pictures)
    for what in ("QoE of a chunk is", "mu 4.3", "order seed 7", "sha256sum --check records.sha256", "f" * 64):
        assert what in page
    assert len((made / "records.sha256").read_text().splitlines()) == 34


def test_figures_are_written_as_asked_for_and_linked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for policy, level in (("bba", 1), ("robustmpc", 2)):
        for trace in ("t0", "t1", "t2"):
            write_session(tmp_path / f"{policy}-{trace}.jsonl", policy, trace, levels=(0, level, level))
    assert main(["report", str(tmp_path), "--jobs", "1", "--format", "svg,eps"]) == 0
    figures = tmp_path / "report" / "figures"
    assert {path.suffix for path in figures.iterdir()} == {".svg", ".eps"}
    assert (figures / "cdf.svg").read_bytes().startswith(b"<?xml")
    assert (figures / "cdf.eps").read_bytes().startswith(b"%!PS-Adobe-3.0 EPSF")
    page = (tmp_path / "report" / "index.html").read_text()
    assert 'href="figures/cdf.eps">EPS</a>' in page and ".pdf" not in page
    assert "--format svg,eps" in page  # how to repeat it
    assert caplog.records == []  # EPS has no transparency, and nothing asks for it
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["report", str(tmp_path), "--format", "svg,gif"])
    assert "'gif' is no format of figures; there are png, pdf, svg, eps" in capsys.readouterr().err


def test_a_second_report_removes_what_only_the_first_had_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for policy in ("robustmpc", "bba"):
        for index in range(2):
            write_session(tmp_path / f"{policy}{index}.jsonl", policy, f"t{index}")
    out = tmp_path / "out"
    first = said(capsys, "report", tmp_path, "--out", out, "--jobs", "1")
    (out / "mine.txt").write_text("a reader's notes")
    assert first["seconds"] > 0 and first["peak_memory_mb"] > 0
    second = said(capsys, "report", tmp_path, "--out", out, "--jobs", "1", "--policy", "bba")
    gone = set(first["files"]) - set(second["files"])
    assert {"figures/timeline-02.pdf", "tables/verdicts.csv"} <= gone
    assert not any((out / name).exists() for name in gone) and (out / "mine.txt").exists()


def test_installed_reports_have_their_template() -> None:
    folder = Path(analysis.report.__file__).parent
    packaged = tomllib.loads((folder.parent.parent / "pyproject.toml").read_text())["tool"]["setuptools"]
    others = {path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".py"}
    assert others == set(packaged["package-data"]["analysis.report"])


def test_a_browser_shows_the_page_whole_and_complains_of_nothing(made: Path, tmp_path: Path) -> None:
    page = made / "index.html"
    found, wrong = asyncio.run(look(find_browser(), tmp_path / "profile", page))
    assert wrong == []
    assert found["title"] == "quick" and found["scripts"] == 0 and found["broken"] == 0
    assert len(found["pictures"]) == 10
    for complete, natural_width, width in found["pictures"]:
        assert complete and natural_width > 0 and width > 300
    assert found["overflow"] <= 0 and found["narrow_overflow"] <= 0
    assert found["fetched"] == 0 and found["requests"] == [page.as_uri()]
