"""Arrays of `.npy` files are read without executing anything that they name."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.jobs.job import JobError
from traces.jobs.npy import read_numbers, read_object


def saved(path: Path, value: object) -> Path:
    np.save(path, value, allow_pickle=True)  # type: ignore[arg-type]
    return path


def test_numbers_are_read(tmp_path: Path) -> None:
    matrix = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(read_numbers(saved(tmp_path / "a.npy", matrix)), matrix)
    assert read_numbers(saved(tmp_path / "b.npy", np.array([[1, 0]], np.int64))).tolist() == [[1.0, 0.0]]


def test_an_object_is_read_as_numpy_reads_it(tmp_path: Path) -> None:
    told = {0: {"first_wave": {2: [1, 2.5], 5: []}, "rest_wave": {}}}
    path = saved(tmp_path / "a.npy", told)
    assert read_object(path) == told == np.load(path, allow_pickle=True).item()


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def test_nothing_that_a_file_names_is_executed(tmp_path: Path) -> None:
    made = tmp_path / "made"
    path = saved(tmp_path / "a.npy", {0: Evil(f"touch {made}")})
    with pytest.raises(JobError, match=r"it names (posix|os)\.system"):
        read_object(path)
    assert not made.exists()
    np.load(path, allow_pickle=True)  # the file is what it seems
    assert made.exists()


@pytest.mark.parametrize("name", ["builtins.eval", "numpy.load", "numpy.core.multiarray.scalar"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    module, _, word = name.rpartition(".")
    body = f"c{module}\n{word}\n.".encode()
    head = saved(tmp_path / "a.npy", {}).read_bytes()
    start = 10 + int.from_bytes(head[8:10], "little")
    (tmp_path / "b.npy").write_bytes(head[:start] + body)
    with pytest.raises(JobError, match=f"it names {name}"):
        read_object(tmp_path / "b.npy")


def test_faults_are_told(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", np.arange(4.0))
    whole = path.read_bytes()
    for content, said in [
        (b"", "no .npy file"),
        (whole[:-3], "cut off"),
        (whole[:20], "header"),
        (whole.replace(b"<f8", b"<c8"), "expected numbers"),
    ]:
        path.write_bytes(content)
        with pytest.raises(JobError, match=said):
            read_numbers(path)
    with pytest.raises(JobError, match="No such file"):
        read_numbers(tmp_path / "none.npy")


@given(st.binary(max_size=200))
def test_any_pickle_is_data_or_a_fault(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.npy"
    file = io.BytesIO()
    np.save(file, np.array({}, object), allow_pickle=True)
    head = file.getvalue()
    start = 10 + int.from_bytes(head[8:10], "little")
    path.write_bytes(head[:start] + pickle.PROTO + b"\x02" + body)
    with pytest.raises(JobError):
        read_object(path)
