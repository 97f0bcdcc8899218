"""Versions of what is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def package_version(package: str) -> str:
    """The installed version of a package, `unknown` without one."""
    try:
        return version(package)
    except PackageNotFoundError:  # a source tree that was never installed
        return "unknown"
