"""The pages hold: links lead somewhere, paths exist, quick commands run, lines are short."""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.tables.chunk_rows import CHUNK_COLUMNS, OF_THE_SESSION
from analysis.tables.collect import COLUMNS, NUMBER, TEXT, TEXTS, TRUTH, WHOLE
from player.record import ChunkRow, EndRow, read_record
from testbed.link.log import LinkRow
from testbed.verdict.judge import Verdict

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("player/**/*.md")])
TOPICS = [page for page in PAGES if page.parent.name == "docs"]
CARDS = sorted(ROOT.glob("policies/**/card.md"))
LONGEST_LINE, LARGEST_README = 160, 10_000
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:traces|player|policies|testbed|analysis|tests|docs)/[\w./-]*)`")
FENCE = re.compile(r"^```sh run\n(.*\n)```\n(?:\n((?: {4}.*\n)+))?", re.MULTILINE)
"""A command that is run here, and what of its output is shown below it."""


def shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchor(heading: str) -> str:
    """What a heading is linked by."""
    kept = re.sub(r"[^\w\s-]", "", heading.strip().lower())
    return re.sub(r"\s", "-", kept)


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {anchor(line.lstrip("#")) for line in text.splitlines() if line.startswith("#")}


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=shown)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        name, _, place = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (place and place not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=shown)
def test_every_path_that_is_named_exists(page: Path) -> None:
    named = set(PATH.findall(page.read_text(encoding="utf-8")))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_lines_are_short(page: Path) -> None:
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
    assert [number for number, line in lines if len(line) > LONGEST_LINE] == []


def test_the_readme_is_read_in_five_minutes() -> None:
    assert (ROOT / "README.md").stat().st_size <= LARGEST_README


@pytest.mark.parametrize("page", TOPICS, ids=shown)
def test_a_page_begins_with_what_its_reader_can_do_then(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    _, opening, *_ = re.split(r"\n\n", text)
    assert opening.startswith(("After this page you can", "After this page you know"))
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    contents = re.findall(r"^\* \[(.+?)\]\(#(.+?)\)$", text, re.MULTILINE)
    assert contents == [(heading, anchor(heading)) for heading in headings]


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    listed = set(LINK.findall(index))
    assert listed == {page.name for page in TOPICS if page.name != "README.md"}


COMMANDS = [(page, *found) for page in PAGES for found in FENCE.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    ("page", "command", "output"),
    COMMANDS,
    ids=[f"{shown(page)}: {words.strip()}" for page, words, _ in COMMANDS],
)
def test_quick_commands_run_and_say_what_is_shown(page: Path, command: str, output: str) -> None:
    words = shlex.split(command)
    assert words[0] in ("python", "python3")
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    for line in output.splitlines():
        assert line.strip() in ("", "…") or line[4:] in done.stdout, line


def test_there_are_quick_commands() -> None:
    assert len(COMMANDS) >= 5


def section(page: str, heading: str) -> str:
    """The text under a heading of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def backticked(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


@pytest.mark.parametrize(
    ("heading", "row"), [("A line a chunk", ChunkRow), ("The end", EndRow), ("The link log", LinkRow)]
)
def test_every_field_of_a_row_is_explained(heading: str, row: type) -> None:
    fields = {field.name for field in dataclasses.fields(row)}
    assert fields - set(backticked(section("records.md", heading))) == set()


def test_every_field_of_the_verdict_is_explained() -> None:
    fields = {field.name for field in dataclasses.fields(Verdict)}
    assert fields - set(backticked(section("records.md", "The end"))) == set()


def test_every_column_of_the_table_is_explained_and_no_other() -> None:
    rows = re.findall(r"^\| (`.+?`) \| (.+?) \|", section("records.md", "The table"), re.MULTILINE)
    kinds = {TEXT: "text", WHOLE: "whole number", NUMBER: "number", TRUTH: "true or false", TEXTS: "texts"}
    written = {name: kind for names, kind in rows for name in backticked(names)}
    assert written == {name: kinds[kind] for name, kind in COLUMNS.items()}


def test_every_column_of_the_chunk_table_is_explained() -> None:
    assert set(OF_THE_SESSION) | {"qoe"} <= set(backticked(section("records.md", "The table")))
    rest = set(CHUNK_COLUMNS) - set(OF_THE_SESSION) - {"qoe"}
    assert rest == {field.name for field in dataclasses.fields(ChunkRow)}


def test_every_field_of_a_manifest_is_explained(tmp_path: Path) -> None:
    words = [
        "testbed/simulate.py",
        "--trace",
        "4g",
        "--policy",
        "bba",
        "--chunks",
        "2",
        "--out",
        str(tmp_path),
    ]
    subprocess.run([sys.executable, *words], check=True, capture_output=True, cwd=ROOT)
    manifest = read_record(next(tmp_path.glob("*.jsonl"))).manifest
    parts = ("video", "policy", "told_qoe", "player", "trace", "link")
    fields = {*manifest, *(field for part in parts for field in manifest[part])}
    assert fields - set(backticked(section("records.md", "The manifest"))) == set()
