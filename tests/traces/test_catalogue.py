"""From a word to traces, and what is said when the word names none."""

from __future__ import annotations

from pathlib import Path

import pytest

from traces import formats
from traces.families import catalogue
from traces.trace import TraceError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Three traces of 2 s and a hidden file."""
    for index in range(3):
        (tmp_path / f"t{index}.log").write_text(f"0 1\n1 {index + 1}\n2 1\n")
    (tmp_path / ".hidden").write_text("not a trace")
    return tmp_path


def test_a_family_alone_is_its_first_member() -> None:
    assert catalogue.families() == ("3g", "4g", "lte", "5g", "fcc", "wifi", "rural", "bursty")
    assert catalogue.resolve("4g") == catalogue.resolve("4g/0")
    assert catalogue.resolve("4g/17").name == "4g/17"
    assert [trace.name for trace in catalogue.resolve_many("4g")] == ["4g/0"]


def test_slices() -> None:
    assert [trace.name for trace in catalogue.resolve_many("fcc[2:5]")] == ["fcc/2", "fcc/3", "fcc/4"]
    assert [trace.name for trace in catalogue.resolve_many("fcc[:2]")] == ["fcc/0", "fcc/1"]
    assert catalogue.resolve("fcc[3:4]").name == "fcc/3"


def test_files_and_directories(directory: Path) -> None:
    assert catalogue.resolve(str(directory / "t1.log")).rate_mbps == (1.0, 2.0, 1.0)
    found = catalogue.resolve_many(str(directory))
    assert [trace.name for trace in found] == ["t0.log", "t1.log", "t2.log"]
    assert [trace.name for trace in catalogue.resolve_many(f"{directory}[1:]")] == ["t1.log", "t2.log"]
    assert catalogue.resolve(str(directory / "t1.log"), "cooked").duration_s == 2.0


def test_a_file_may_have_a_number_for_a_name(tmp_path: Path) -> None:
    (tmp_path / "17").write_text("0 1\n5 1\n")
    assert catalogue.resolve(str(tmp_path / "17")).duration_s == 5.0


def test_ones_own_family_is_named_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(catalogue.load_family("3g").to_json())
    assert catalogue.resolve(f"{file}/5").sha256 == catalogue.resolve("3g/5").sha256
    assert len(catalogue.resolve_many(f"{file}[0:2]")) == 2
    file.write_text('{"schema": 99}')
    with pytest.raises(TraceError, match=r"mine\.json: schema 99, not 1"):
        catalogue.resolve(str(file))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("5gg", "did you mean '5g'"),
        ("wfi/3", "did you mean 'wifi'"),
        ("LTE", "did you mean 'lte'"),
        ("no/such/file", "no family and no file is named 'no/such/file'. Families: 3g, 4g"),
        ("", "no trace is named by ''"),
        ("4g[5:5]", "holds no traces"),
        ("4g[5:]", r"write where to end, such as 4g\[0:100\]"),
        ("4g[0:99999]", "10000 at once"),
        ("4g[0:1000000000]", r"1000000000; traces are numbered 0 to 999999999, 10000 at once at most"),
        ("4g[5:-1]", r"-1; traces are numbered 0 to 999999999"),
        ("4g/1000000000", r"1000000000; traces are numbered 0 to 999999999$"),
        ("4g/-1", r"-1; traces are numbered 0 to 999999999$"),
        ("4g[0:2", r"4g\[0:2: the bracket is not closed; write it as 4g\[0:2\]"),
        ("4g[", r"the bracket is not closed; write it as 4g\[0:1\]"),
        ("4g[3]", r"a slice has a begin and an end; write it as 4g\[3:4\]"),
    ],
)
def test_words_that_name_nothing(spec: str, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        catalogue.resolve_many(spec)


def test_a_file_of_nearly_that_name_is_named(directory: Path) -> None:
    near = directory / "t0.log"
    with pytest.raises(TraceError, match=f"did you mean '{near}'"):
        catalogue.resolve(str(directory / "t0.lgo"))


def test_what_lies_beside_traces_is_passed_over(directory: Path) -> None:
    before = len(catalogue.resolve_many(str(directory)))
    for name in ("README.md", "LICENSE", "plot.py", "map.png"):
        (directory / name).write_text("no trace\n")
    assert len(catalogue.resolve_many(str(directory))) == before


def test_a_directory_says_how_many_files_cant_be_read(directory: Path) -> None:
    for name in ("x1", "x2"):
        (directory / name).write_text("no trace\n")
    with pytest.raises(
        TraceError, match=r"x1:1: not a known trace format .*; and 1 more of \d+ files can't be read"
    ):
        catalogue.resolve_many(str(directory))


def test_an_object_of_json_is_a_family_only_where_it_says_so(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('{"speeds": [1, 2]}')
    with pytest.raises(TraceError, match=r"x\.json:1: not a JSON list but an object of 'speeds'; a trace is"):
        catalogue.resolve(str(file))


def test_one_trace_is_wanted(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(TraceError, match="3 traces where one is wanted; name one, such as 4g/2"):
        catalogue.resolve("4g[2:5]")
    with pytest.raises(TraceError, match=r"3 traces where one is wanted; name one, such as .*t0\.log"):
        catalogue.resolve(str(directory))
    with pytest.raises(TraceError, match="no files in this directory"):
        catalogue.resolve(str(tmp_path_factory.mktemp("empty")))
    pages = tmp_path_factory.mktemp("pages")
    for name in ("a.md", "README"):
        (pages / name).touch()
    with pytest.raises(TraceError, match=r"none of the 2 files in .* can be a trace \(README, a\.md\)"):
        catalogue.resolve(str(pages))
    with pytest.raises(TraceError, match="named '4g,3g'; several are separated by blanks: 4g 3g"):
        catalogue.resolve("4g,3g")


def test_default_videos_fit_the_rates() -> None:
    videos = {family: catalogue.default_video(family) for family in catalogue.families()}
    assert videos == {
        "3g": "envivio",
        "4g": "envivio",
        "lte": "uhd",
        "5g": "uhd",
        "fcc": "envivio",
        "wifi": "uhd",
        "rural": "envivio",
        "bursty": "envivio",
    }
    assert catalogue.default_video("") == "envivio"


def test_an_unknown_family_has_no_parameters() -> None:
    with pytest.raises(TraceError, match="did you mean '4g'"):
        catalogue.load_family("4gg")


def test_the_way_out_is_one_that_the_command_has(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("time_s,a_mbps,b_mbps\n0,1,2\n1,1,-\n2,1,3\n")
    with pytest.raises(TraceError, match=r"say which: --format :column=NAME"):
        catalogue.resolve(str(file))
    with pytest.raises(TraceError, match=r"--format :idle=hold \(the rate before\), zero or drop"):
        catalogue.resolve(str(file), ":column=b_mbps")
    with pytest.raises(TraceError, match=r"say which: --column NAME"):
        catalogue.resolve(str(file), formats.ReadOptions())
    assert catalogue.resolve(str(file), ":column=b_mbps,idle=hold").rate_mbps[1:] == (2.0, 3.0)


@pytest.mark.parametrize("spec", ["4g", "4g/3", "4g[0:2]"])
def test_a_format_that_there_is_not_is_refused_though_a_family_needs_none(spec: str) -> None:
    with pytest.raises(TraceError, match=r"unknown format 'cvs'; did you mean 'csv'\?"):
        catalogue.resolve_many(spec, "cvs")
    assert catalogue.resolve_many(spec, "csv") == catalogue.resolve_many(spec)
