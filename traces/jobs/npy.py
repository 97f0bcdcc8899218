"""Arrays of numpy's `.npy` files, read without executing anything that they name.

A pickle may name any function of any module and have it called. Here three names are known, those by which
numpy says "an array with one object in it", and each stands for a small class of our own; any other name is
a fault. Format: numpy's NEP 1.
"""

from __future__ import annotations

import ast
import io
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traces.jobs.job import JobError
from traces.safe_reading import BadFileError, read_bytes

MOST_BYTES = 16 << 20
_MAGIC = b"\x93NUMPY"
_PLAIN = ("<f8", "<f4", "<i8", "<i4", "|b1", "|u1")
_MOST_NUMBERS = 1_000_000


class _Object:
    """Stands for the array that a pickle builds; what it is told is the array's content."""

    content: Any = None

    def __setstate__(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[4], list)):
            raise pickle.UnpicklingError("an array of another layout")
        (self.content,) = state[4] if len(state[4]) == 1 else (None,)


class _Kind:
    """Stands for `numpy.dtype`: nothing is kept of it."""

    def __init__(self, *told: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _new_array(*told: object) -> _Object:
    return _Object()


_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _new_array,
    ("numpy._core.multiarray", "_reconstruct"): _new_array,
    ("numpy", "ndarray"): _Object,
    ("numpy", "dtype"): _Kind,
}


class _Reader(pickle.Unpickler):
    """Knows four names."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """What a name stands for.

        Raises:
            UnpicklingError: any other.
        """
        found = _KNOWN.get((module_name, global_name))
        if found is None:
            raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, which data has no need of")
        return found

    def persistent_load(self, pid: Any) -> Any:
        """Raises UnpicklingError: nothing lies outside the file."""
        raise pickle.UnpicklingError("it names something outside the file")


def read_numbers(path: Path) -> NDArray[np.float64]:
    """The numbers of a `.npy` file.

    Raises:
        JobError: it is none, or holds something else.
    """
    kind, shape, body = _taken_apart(path)
    if kind not in _PLAIN:
        raise JobError(f"{path}: holds {kind}; expected numbers")
    count = math.prod(shape)
    if count > _MOST_NUMBERS or len(body) != count * np.dtype(kind).itemsize:
        raise JobError(f"{path}: {len(body)} bytes for {count} numbers; it was cut off")
    return np.frombuffer(body, kind).reshape(shape).astype(np.float64)


def read_object(path: Path) -> Any:
    """The one object of a `.npy` file: dicts, lists, numbers and words.

    Raises:
        JobError: it is none, or names what is not data.
    """
    kind, shape, body = _taken_apart(path)
    if kind != "|O" or shape != ():
        raise JobError(f"{path}: holds {kind} of shape {shape}; expected one object")
    try:
        found = _Reader(io.BytesIO(body), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError,
            MemoryError, OverflowError, UnicodeError, RecursionError) as error:  # fmt: skip
        raise JobError(f"{path}: {error or 'no pickle'}; nothing of it was executed") from None
    if not isinstance(found, _Object):
        raise JobError(f"{path}: no array of one object")
    return found.content


def _taken_apart(path: Path) -> tuple[str, tuple[int, ...], bytes]:
    """Kind, shape and body of the array.

    Raises:
        JobError: no such file, or no array.
    """
    try:
        content = read_bytes(path, MOST_BYTES)
    except BadFileError as error:
        raise JobError(str(error)) from None
    except OSError as error:
        raise JobError(f"{path}: {error.strerror or error}") from None
    if content[:6] != _MAGIC or len(content) < 12:
        raise JobError(f"{path}: no .npy file")
    wide = content[6] >= 2
    begin = 12 if wide else 10
    end = begin + int.from_bytes(content[8:begin], "little")
    try:
        header = ast.literal_eval(content[begin:end].decode("latin1").strip())
        kind, shape, fortran = header["descr"], header["shape"], header["fortran_order"]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        raise JobError(f"{path}: its header is none of .npy") from None
    whole = isinstance(shape, tuple) and all(isinstance(size, int) and size >= 0 for size in shape)
    if not isinstance(kind, str) or not whole or fortran:
        raise JobError(f"{path}: an array of {kind}, {shape}; expected one in C order")
    return kind, shape, content[end:]
