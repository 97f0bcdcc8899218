"""Which code runs: the versions of packages that were loaded, the commit of Streambed's own tree, and where
in it a command was typed.

Nothing is imported to ask about it, and the tree is asked once a process.
"""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Where Streambed lies."""
HERE = "."
"""That folder, where a command's directory is told."""
UNKNOWN = "unknown"
DECIDERS = {
    **{name: name for name in ("numpy", "scipy", "numba", "torch", "transformers", "peft", "safetensors")},
    **{name: name for name in ("tokenizers", "onnx", "onnxruntime", "tensorflow", "jax", "gymnasium")},
    "llama_cpp": "llama-cpp-python",
    "sklearn": "scikit-learn",
    "stable_baselines3": "stable-baselines3",
}
"""Modules whose version may change a decision, and the packages that they come with."""
GIT_WITHIN_S = 5.0
"""A tree on a disk that sleeps is not waited for."""


@dataclass(frozen=True)
class CodeVersion:
    """The state of Streambed's tree; None where nobody knows (no git, or no checkout)."""

    commit: str | None = None
    """Hex digits."""
    dirty: bool | None = None
    """Whether a file that git keeps differs from the commit."""


def package_version(package: str) -> str:
    """The installed version of a package, `unknown` without one."""
    try:
        return version(package)
    except PackageNotFoundError:  # a source tree that was never installed
        return UNKNOWN


def module_version(module: str) -> str | None:
    """The version of a module that was loaded; None of one that wasn't, or has none."""
    loaded = sys.modules.get(module)
    if loaded is None:
        return None
    said = getattr(loaded, "__version__", None)
    return str(said) if isinstance(said, str) else _installed(DECIDERS.get(module, module))


@functools.cache
def _installed(package: str) -> str | None:
    found = package_version(package)
    return None if found == UNKNOWN else found


def loaded_versions(besides: Iterable[str] = ()) -> dict[str, str]:
    """Python's and Streambed's versions, and those of all that was loaded and may decide.

    Args:
        besides: more modules to ask about.
    """
    found = {"python": platform.python_version(), "streambed": _installed("streambed") or UNKNOWN}
    for module in (*DECIDERS, *besides):
        loaded = module_version(module)
        if loaded is not None:
            found[DECIDERS.get(module, module)] = loaded
    return found


def version_here(name: str) -> str | None:
    """What this machine has of something that a record has the version of; None: nothing."""
    known = {"python": platform.python_version, "kernel": platform.release}
    if name in known:
        return known[name]()
    modules = [module for module, package in DECIDERS.items() if package == name]
    return module_version(modules[0] if modules else name) or _installed(name)


@functools.cache
def code_version() -> CodeVersion:
    """The commit of Streambed's tree, and whether it has been changed since."""
    if not (ROOT / ".git").exists():
        return CodeVersion()
    words = ("-c", f"safe.directory={ROOT}", "-c", "core.fsmonitor=false", "--no-optional-locks", "status")
    try:
        done = subprocess.run(
            ("git", "-C", str(ROOT), *words, "--porcelain=v2", "--branch", "--untracked-files=no"),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=GIT_WITHIN_S,
            check=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        )
    except (OSError, subprocess.SubprocessError):
        return CodeVersion()
    return _of_status(done.stdout.decode(errors="replace").splitlines())


def _of_status(lines: list[str]) -> CodeVersion:
    """What `git status --porcelain=v2 --branch` says."""
    oids = [line.split()[-1] for line in lines if line.startswith("# branch.oid ")]
    if not oids or oids[0] == "(initial)":
        return CodeVersion()
    return CodeVersion(oids[0], any(not line.startswith("#") for line in lines))


def typed_in() -> str:
    """The working directory: seen from Streambed's folder where it is in there, else absolute."""
    try:
        place = Path.cwd()
    except FileNotFoundError:  # somebody has removed it
        return HERE
    return str(place.relative_to(ROOT)) if place.is_relative_to(ROOT) else str(place)
