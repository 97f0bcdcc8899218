"""The pages hold: links lead somewhere, paths exist, quick commands run, lines are short."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("player/**/*.md")])
TOPICS = [page for page in PAGES if page.parent.name == "docs"]
CARDS = sorted(ROOT.glob("policies/**/card.md"))
LONGEST_LINE, LARGEST_README = 160, 10_000
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:traces|player|policies|testbed|analysis|tests|docs)/[\w./-]*)`")
FENCE = re.compile(r"^```sh run\n([^\n]*\n)```\n(?:\n((?: {4}[^\n]*\n)+))?", re.MULTILINE)
"""Commands that are run here, and what of their output is shown below them."""


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
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    for line in output.splitlines():
        assert line.strip() in ("", "…") or line[4:] in done.stdout, line


def test_there_are_quick_commands() -> None:
    assert len(COMMANDS) >= 5
