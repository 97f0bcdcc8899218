"""`@compiled`: numba as this project uses it, and where the machine code is kept.

No fast mathematics and no fused multiply-add: what is compiled has to equal Python's floats to the last
bit. The global interpreter lock is released, so that threads can share a batch (`threads.py`).

numba keeps machine code by the text of the one file that a function stands in, and would go on using
it when a compiled function that is called from another file, or an imported constant, has changed. So
the code is kept under a stamp of all these, in `__pycache__` beside this file; in the user's cache where
Python itself keeps no bytecode there or this folder cannot be written; under `NUMBA_CACHE_DIR` if that
is set. Under sudo it is kept in the caller's cache, where that is safe (`kept.py`).
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

from player.compiled.compiling import compiling_s
from player.compiled.kept import CallersCache, callers_folder

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
"""No `fastmath`; a division by 0 gives an infinity, as no division here is by 0."""

_FOLDER = Path(__file__).resolve().parent
_STAMPS: dict[str, str] = {}
"""The stamp of each compiled function, by module and name."""

compiling_s()  # the clock runs from here on


def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code, made at its first call."""
    stamp = stamp_of(function)
    _STAMPS[_name(function)] = stamp
    settings: Any = numba.config  # its attributes come from the environment
    before = settings.CACHE_DIR
    base = callers_folder(before) if under_sudo() else _base(before)
    if base is None:
        return numba.njit(**OPTIONS)(function)
    folder = base / f"numba-{stamp[:16]}"
    settings.CACHE_DIR = str(folder)
    try:
        made = numba.njit(cache=_can_be_kept(folder), **OPTIONS)(function)
        if under_sudo():
            made._cache = CallersCache(function)
        return made
    finally:
        settings.CACHE_DIR = before


def stamp_of(function: Callable[..., Any]) -> str:
    """Hex digest of all that decides a function's machine code.

    Its file, the constants that its module has by now, and the stamps of the compiled functions that
    its module has imported.
    """
    digest = hashlib.sha256(Path(function.__code__.co_filename).read_bytes())
    for name, value in sorted(function.__globals__.items()):
        if isinstance(value, Dispatcher):
            digest.update(f"{name} {_STAMPS[_name(value.py_func)]}\n".encode())
        elif not name.startswith("__") and (held := _constant(value)):
            digest.update(f"{name} {held}\n".encode())
    return digest.hexdigest()


def _constant(value: Any) -> str:
    """What machine code takes over from a module's value, in words; empty if nothing."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, tuple) and all(map(_constant, value)):
        return f"({' '.join(map(_constant, value))})"
    if isinstance(value, type) and issubclass(value, tuple) and hasattr(value, "_fields"):
        return f"fields {value._fields}"
    plain = isinstance(value, bool | int | float | complex | str | bytes | np.generic) or value is None
    return repr(value) if plain else ""


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _can_be_kept(folder: Path) -> bool:
    """Whether machine code may be written there. Where it may not, it is made anew in each process."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def under_sudo() -> bool:
    """Whether what is written here could be root's, among files of whoever typed sudo."""
    return bool(os.environ.get("SUDO_UID"))


def _base(chosen: str) -> Path:
    """The folder of kept machine code; `chosen` is the user's own, or empty."""
    if chosen:
        return Path(chosen)
    if os.access(_FOLDER, os.W_OK) and not sys.dont_write_bytecode:
        return _FOLDER / "__pycache__"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streambed"
