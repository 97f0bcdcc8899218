"""The tree shows how data flows: no circles, small folders, short functions, no task in what serves any."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("traces", "player", "policies", "testbed", "analysis")
LARGEST_FOLDER, LONGEST_FUNCTION = 20, 40
MOST_ROOMS, MOST_ARROWS = 10, 20
"""Of the language model. Its tasks are one room, however many there are: each uses what is below it, and none
uses another."""
DATA = ("traces/formats", "traces/families", "player/video/built_in")
"""Folders of one kind of thing each, as many as there are."""
LLM = "policies.llm"
TASKS = f"{LLM}.tasks"
TASKLESS = ("model", "engine", "serving", "learning")
"""Rooms of the language model that name no task."""
COMPILER = "player.compiled.compiled"
"""numba as this project uses it, whatever is compiled."""


@cache
def modules() -> dict[str, Path]:
    """Module: its file."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = path
    return found


def is_command(module: str, path: Path) -> bool:
    """What one types: it may use every room, and no room uses it."""
    return path.name == "__main__.py" or (path.parent == ROOT / "testbed" and path.name != "__init__.py")


def imported(path: Path) -> set[str]:
    """Modules of ours that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = (f"{node.module}.{alias.name}" for alias in node.names)
            names |= {name if name in modules() else node.module for name in whole}
    return {name for name in names if name in modules() and modules()[name].stat().st_size}


@cache
def arrows() -> dict[str, set[str]]:
    """Module: those that it imports; commands left out."""
    return {name: imported(path) - {name} for name, path in modules().items() if not is_command(name, path)}


def room(module: str) -> str:
    return str(modules()[module].parent.relative_to(ROOT)).replace("/", ".")


def between_rooms() -> dict[str, set[str]]:
    """Folder: those that its files import from."""
    found: dict[str, set[str]] = {}
    for name, others in arrows().items():
        found.setdefault(room(name), set()).update({room(other) for other in others} - {room(name)})
    return found


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Nodes that lead back to themselves, each circle once."""
    reached = {node: _reached(graph, node) for node in graph}
    inside = [node for node in graph if node in reached[node]]
    found: list[list[str]] = []
    for node in inside:
        circle = sorted(other for other in inside if other in reached[node] and node in reached[other])
        if circle not in found:
            found.append(circle)
    return found


def _reached(graph: Mapping[str, set[str]], begin: str) -> set[str]:
    seen: set[str] = set()
    left = list(graph.get(begin, ()))
    while left:
        node = left.pop()
        if node not in seen:
            seen.add(node)
            left += graph.get(node, ())
    return seen


def test_a_circle_is_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_no_circle_of_files() -> None:
    assert circles(arrows()) == []


def test_no_circle_of_folders() -> None:
    assert circles(between_rooms()) == []


def test_no_room_imports_a_command() -> None:
    commands = {name for name, path in modules().items() if is_command(name, path)}
    assert {name: found for name, others in arrows().items() if (found := others & commands)} == {}


def test_folders_are_small() -> None:
    folders = Counter(
        str(path.parent.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    large = {name: files for name, files in folders.items() if files > LARGEST_FOLDER and name not in DATA}
    assert large == {}


def test_the_language_model_has_few_rooms_and_few_arrows() -> None:
    graph: dict[str, set[str]] = {}
    for name, others in between_rooms().items():
        if name.startswith(LLM):
            inside = {_in_llm(other) for other in others if other.startswith(LLM)}
            graph.setdefault(_in_llm(name), set()).update(inside - {_in_llm(name)})
    assert len(graph) <= MOST_ROOMS
    assert sum(map(len, graph.values())) <= MOST_ARROWS


def _in_llm(name: str) -> str:
    """A room of the language model; of a task, the room of all tasks."""
    return TASKS if name.startswith(f"{TASKS}.") else name


def test_no_task_uses_another() -> None:
    used = {
        (name, other)
        for name, others in between_rooms().items()
        for other in others
        if name.startswith(f"{TASKS}.") and other.startswith(f"{TASKS}.")
    }
    assert used == set()


@pytest.mark.parametrize("name", TASKLESS)
def test_what_serves_any_task_names_none(name: str) -> None:
    said = {}
    for path in sorted((ROOT / "policies" / "llm" / name).glob("*.py")):
        text = path.read_text(encoding="utf-8")
        words = re.findall(r"\b(ladder|PastChunk|VideoStep)\b", text)
        others = imported(path) - {COMPILER}
        words += [other for other in others if other.startswith((f"{LLM}.tasks", "player."))]
        if words:
            said[path.name] = words
    assert said == {}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and lines, the docstring not counted, of every function but kernels that are compiled."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if any("compiled" in ast.dump(decorator) for decorator in node.decorator_list):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            lines -= (first.end_lineno or first.lineno) - first.lineno + 1
        yield node.name, lines


def test_functions_are_short() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{name}": lines
        for path in modules().values()
        for name, lines in functions(path)
        if lines > LONGEST_FUNCTION
    }
    assert long == {}


def test_a_long_function_is_seen(tmp_path: Path) -> None:
    body = "\n".join(f"    x = {number}" for number in range(50))
    doc = '    """Says\n    what."""'
    (tmp_path / "a.py").write_text(f"def long():\n{doc}\n{body}\n\n\n@compiled\ndef kernel():\n{body}\n")
    assert list(functions(tmp_path / "a.py")) == [("long", 51)]
