"""`python -m analysis watch`: a page of a folder of records, served while it changes, or kept as a file."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path

from aiohttp import web

from analysis.sessions import AnalysisError
from analysis.watch.access import Access
from analysis.watch.board import Board
from analysis.watch.kept import PAGE
from analysis.watch.page import page_of
from analysis.watch.server import WatchServer
from traces.commands import tell_line
from traces.files import write_aside

NICE = 10
"""Links are measured on this machine: whoever looks on comes last."""
STDIN = 0
ANY = ("0.0.0.0", "::")
"""Every address that this machine has."""


def watch(args: argparse.Namespace) -> int:
    """Carry it out; the exit status.

    Raises:
        AnalysisError: no such folder, nothing in it, or an address that can't be listened on.
        OSError: the file can't be written.
    """
    folder: Path = args.folder
    if not folder.is_dir():
        raise AnalysisError(f"{folder}: no such folder; name that of a run's or a sweep's records")
    board = Board(folder)
    if args.out:
        if not keep(board, args.out):
            raise AnalysisError(f"{folder} holds no records (*.jsonl); name that of a run or a sweep")
        tell_line(f"page: {args.out}")
        return 0
    with contextlib.suppress(OSError):
        os.nice(NICE)
    asyncio.run(_serve(board, args))
    return 0


def keep(board: Board, file: Path) -> bool:
    """Write the page as a file that needs nothing else; whether there was anything to show.

    Raises:
        OSError: it can't be written.
    """
    board.turn(whole=True)
    while board.behind:
        board.turn()
    if board.empty:
        return False
    write_aside(file, page_of(board.whole(), live=False))
    return True


async def _serve(board: Board, args: argparse.Namespace) -> None:
    """Serve the page, until Ctrl-C, or until whoever started us is done: then it is kept.

    Raises:
        AnalysisError: the address can't be listened on.
        OSError: it can't be kept.
    """
    access = Access.to(args.listen)
    server = WatchServer(board, access)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, args.listen, args.port).start()
        except OSError as error:
            why = error.strerror or str(error)
            raise AnalysisError(f"--port {args.port} on {args.listen}: {why}; name another one") from None
        tell_line(f"watch: {_address(runner, access)}")
        sys.stdout.flush()
        if args.with_parent:
            await _parent_left()
            await server.over(lambda: PAGE if keep(board, args.folder / PAGE) else "")
        else:
            await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _address(runner: web.AppRunner, access: Access) -> str:
    host, port = runner.addresses[0][:2]
    if host in ANY:
        host = socket.gethostname()
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={access.token}" if access.token else "")


async def _parent_left() -> None:
    """Wait for the end of standard input."""
    left = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heard() -> None:
        if not os.read(STDIN, 4096):
            loop.remove_reader(STDIN)
            left.set()

    loop.add_reader(STDIN, heard)
    await left.wait()
