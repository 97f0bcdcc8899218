"""`--serve-page`: a process beside the run, which ends with it and leaves the page."""

from __future__ import annotations

import argparse
import io
import socket
import urllib.request
from pathlib import Path

import pytest

from analysis.watch.kept import PAGE
from testbed.process.errors import TestbedError
from testbed.process.page_option import Place, place_of
from testbed.process.served_page import page_of
from tests.support.session_records import write_session
from traces.console import VisibleConsole


def test_a_run_is_watched_and_its_page_stays(tmp_path: Path) -> None:
    said = io.StringIO()
    console = VisibleConsole(file=said, width=200)
    with page_of(tmp_path, Place(0), console):
        address = said.getvalue().split()[1]
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert b"<title>Streambed</title>" in answer.read()
        write_session(tmp_path / "bba.jsonl")
    assert '"name":"bba"' in (tmp_path / PAGE).read_text()
    assert said.getvalue().endswith(f"page: {tmp_path / PAGE}\n")


def test_a_port_that_is_taken_is_said_before_anything_runs(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(TestbedError, match=f"--serve-page: --port {port} on 127.0.0.1: .*in use"),
            page_of(tmp_path, Place(port), VisibleConsole(file=io.StringIO())),
        ):
            raise AssertionError("nothing may run")
    assert list(tmp_path.iterdir()) == []


def test_what_kept_the_page_from_being_kept_is_said_and_an_older_one_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    said = io.StringIO()
    (tmp_path / PAGE).mkdir()  # which no file replaces
    with page_of(tmp_path, Place(0), VisibleConsole(file=said, width=200)):
        write_session(tmp_path / "bba.jsonl")
    fault, older = said.getvalue().splitlines()[-2:]
    assert fault.startswith("--serve-page: ") and PAGE in fault
    assert older == f"--serve-page: {tmp_path / PAGE} is of an earlier run"


def test_a_run_that_came_to_nothing_leaves_the_earlier_page_and_says_so(tmp_path: Path) -> None:
    (tmp_path / PAGE).write_text("earlier")
    said = io.StringIO()
    with page_of(tmp_path, Place(0), VisibleConsole(file=said, width=200)):
        pass
    assert said.getvalue().endswith(f"--serve-page: {tmp_path / PAGE} is of an earlier run\n")
    assert (tmp_path / PAGE).read_text() == "earlier"


def test_without_the_option_there_is_no_page(tmp_path: Path) -> None:
    said = io.StringIO()
    with page_of(tmp_path, None, VisibleConsole(file=said)):
        write_session(tmp_path / "bba.jsonl")
    assert said.getvalue() == ""
    assert not (tmp_path / PAGE).exists()


def test_a_place_is_a_port_or_an_address_and_a_port() -> None:
    assert place_of("8090") == Place(8090, "127.0.0.1")
    assert place_of("0.0.0.0:0") == Place(0, "0.0.0.0")
    assert place_of("[::1]:80") == Place(80, "::1")
    for wrong in ("", "a", "1.2.3.4", "1.2.3.4:", "65536", "-1", "²"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no port"):
            place_of(wrong)
