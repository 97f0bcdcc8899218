"""What can become of a file that was whole."""

from __future__ import annotations

import os
from pathlib import Path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def first_line_cut(path: Path) -> None:
    first, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(first[: len(first) // 2] + b"\n" + rest)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def zeroed(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def nested(path: Path) -> None:
    path.write_bytes(b"[" * 100_000)


def huge_number(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"chunk_s":', b'"chunk_s":' + b"9" * 400, 1))


def many_digits(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"level":', b'"level":' + b"1" * 4301, 1))


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nothing"))


DAMAGES = (
    cut,
    first_line_cut,
    emptied,
    zeroed,
    nested,
    huge_number,
    many_digits,
    a_pipe,
    a_folder,
    a_link_to_nothing,
)
