"""What a policy of a user's own consists of: its file, and the modules that it imports from its folder.

Nothing is run to find out: imports are read from the source. What a file imports by other means, or reads, is
not seen; weights are the policy's own to tell of (`weights_sha256`).
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from traces.safe_reading import BadFileError, read_bytes

OURS = frozenset({"traces", "player", "policies", "testbed", "analysis"})
"""Streambed's own packages, which go before a user's of the same name: the commit tells of them."""
MOST_FILES = 200
"""A policy of more modules is a package of its own, with a version."""


@dataclass(frozen=True)
class PolicySources:
    """A policy's files, and the packages that they import."""

    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 by the path from the policy's folder; the policy's own first."""
    packages: tuple[str, ...] = ()
    """Modules that lie elsewhere and are not Python's own, by the first part of their names; sorted."""


@dataclass(frozen=True)
class _Import:
    """A name that a file imports, `a.b` of `import a.b` and of `from a import b`."""

    level: int
    """Dots before it."""
    name: str


def policy_sources(file: Path) -> PolicySources:
    """The sources of the policy in a file; of what can't be read nothing."""
    folder = file.resolve().parent
    files: dict[str, str] = {}
    packages: set[str] = set()
    left = [file.resolve()]
    while left and len(files) < MOST_FILES:
        path = left.pop(0)
        name = str(path.relative_to(folder))
        read = _read(path)
        if name in files or read is None:
            continue
        files[name], imports = read
        for one in imports:
            found = list(_modules(one, path, folder))
            left += found
            first = one.name.partition(".")[0]
            if not found and not one.level and first not in sys.stdlib_module_names | OURS:
                packages.add(first)
    return PolicySources(files, tuple(sorted(packages)))


def file_sha256(file: Path) -> str | None:
    """Hash of a file's content; None of what can't be read."""
    read = _read(file.resolve())
    return None if read is None else read[0]


def _read(path: Path) -> tuple[str, tuple[_Import, ...]] | None:
    """A file's hash and its imports."""
    try:
        status = path.stat()
        return _read_once(path, status.st_mtime_ns, status.st_size, status.st_ino)
    except (OSError, BadFileError):
        return None


@functools.lru_cache(maxsize=MOST_FILES)
def _read_once(path: Path, *identity: int) -> tuple[str, tuple[_Import, ...]]:
    content = read_bytes(path)
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return hashlib.sha256(content).hexdigest(), ()
    return hashlib.sha256(content).hexdigest(), tuple(dict.fromkeys(_imports(tree)))


def _imports(tree: ast.AST) -> Iterator[_Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (_Import(0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield _Import(node.level, ".".join(filter(None, (node.module, alias.name))))


def _modules(one: _Import, path: Path, folder: Path) -> Iterator[Path]:
    """The files of a module that lie in the folder: its own, and those of the packages that it is in. What is
    loaded from elsewhere under that name is not one of them."""
    place = folder if not one.level else path.parents[one.level - 1]
    if not place.is_relative_to(folder):
        return
    parts = one.name.split(".")
    if not one.level and _loaded_elsewhere(parts[0], folder):
        return
    for count in range(1, len(parts) + 1):
        module = place.joinpath(*parts[:count])
        for file in (module.with_name(f"{module.name}.py"), module / "__init__.py"):
            if file.is_file() and file.resolve().is_relative_to(folder):
                yield file.resolve()


def _loaded_elsewhere(name: str, folder: Path) -> bool:
    """Whether a module of this name is Python's own, or ours, or is loaded from another place."""
    if name in sys.stdlib_module_names | OURS:
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return isinstance(file, str) and not Path(file).resolve().is_relative_to(folder)
