"""The process that starts ours in lanes: it imports once what they are made of, and forks.

    python -m testbed.process.launcher MODULE…     the modules whose `main` it can run; one that has to make
                                                   something ready besides has a `prepare`

It is told on its standard input, a Unix socket of packets that `launching.py` holds the other end of; each
packet is an object in JSON:

    parent    {"module": …, "words": [argument, …], "pid": 4711, "variables": {…}}, with three descriptors:
              run `main(words)` in the namespaces of process `pid`, with these as standard input, output
              and error
    launcher  {"started": PID}, or {"refused": why}
    launcher  {"ended": PID, "status": 0}          once it has; of a signal the number, negative

What it has forked leads a session of its own, as if it had been started by itself, and dies with it; it ends
with its input.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import json
import os
import selectors
import signal
import socket
import stat
import struct
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from testbed.process.children import allow_many_files
from traces.bound_processes import die_with_parent
from traces.commands import exit_with, leave, refuse

MOST_BYTES = 1 << 16
"""Of a packet."""
DESCRIPTORS = 3
_NAMESPACES = (("net", 0x40000000), ("mnt", 0x00020000))
"""CLONE_NEWNET and CLONE_NEWNS of <linux/sched.h>: what Mininet's hosts have of their own."""
_PR_SET_MM, _PR_SET_MM_MAP = 35, 14
"""<linux/prctl.h>"""
_PRCTL_MM_MAP = struct.Struct("=12QIi")
"""struct prctl_mm_map: these addresses, then auxv, its size, a program (none of either: as they are)."""
_MM_MAP_FIELDS = (
    *("start_code", "end_code", "start_data", "end_data", "start_brk", "brk", "start_stack"),
    *("arg_start", "arg_end", "env_start", "env_end"),
)
_STAT_FIELDS = {
    "start_code": 26,
    "end_code": 27,
    "start_stack": 28,
    "start_data": 45,
    "end_data": 46,
    "start_brk": 47,
    "env_start": 50,
    "env_end": 51,
}
"""Where proc_pid_stat(5) has them."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.sbrk.restype = ctypes.c_void_p
_shown: list[Any] = []
"""What `ps` reads has to stay where it is."""


class Launcher:
    """Forks on demand, and tells of those that have ended."""

    def __init__(self, modules: Mapping[str, ModuleType], parent: socket.socket) -> None:
        self._modules = modules
        self._parent = parent
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(parent, selectors.EVENT_READ)

    def work(self) -> None:
        """Until the parent has gone."""
        while True:
            for key, _ in self._waiting.select():
                if key.fileobj is not self._parent:
                    self._ended(key.fd, key.data)
                elif not self._asked():
                    return

    def _asked(self) -> bool:
        """Take one order; False when there will be no more."""
        packet, descriptors, _, _ = socket.recv_fds(self._parent, MOST_BYTES, DESCRIPTORS)
        if not packet:
            return False
        try:
            self._start(json.loads(packet), descriptors)
        except OSError as error:  # no more processes, no more files: the others go on
            self._tell({"refused": error.strerror or str(error)})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _start(self, order: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        """Fork, and tell the parent of it.

        Raises:
            OSError: the machine has no room for one more; nothing of it is left.
        """
        hears, tells = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(hears)
            os.close(tells)
            raise
        if pid == 0:
            os.close(hears)
            self._leave_alone()
            _become(self._modules[order["module"]], order, descriptors, tells)
        os.close(tells)
        with os.fdopen(hears) as said:
            refused = said.read()
        if refused:
            os.waitpid(pid, 0)
            self._tell({"refused": refused})
            return
        try:
            self._waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
        except OSError:  # nobody would hear of its end
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self._tell({"started": pid})

    def _leave_alone(self) -> None:
        """In what was forked: close what is the launcher's."""
        for key in list(self._waiting.get_map().values()):
            if key.fd != self._parent.fileno():
                os.close(key.fd)
        self._waiting.close()
        self._parent.close()

    def _ended(self, descriptor: int, pid: int) -> None:
        self._waiting.unregister(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        self._tell({"ended": pid, "status": os.waitstatus_to_exitcode(status)})

    def _tell(self, what: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has gone: the next look says so
            self._parent.send(json.dumps(what).encode())


def _become(module: ModuleType, order: Mapping[str, Any], descriptors: Sequence[int], tells: int) -> NoReturn:
    """What a forked process does, from its first instruction to its last.

    Args:
        tells: closed once it is where it should be; what is written there is why it can't.
    """
    try:
        die_with_parent()
        os.setsid()
        _enter(order["pid"])
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
    except OSError as error:
        os.write(tells, str(error).encode())
        os._exit(1)
    os.close(tells)
    try:
        os.environ.update(order["variables"])
        sys.argv = [str(module.__file__), *order["words"]]
        _show_as([sys.executable, "-P", "-m", order["module"], *order["words"]])
        exit_with(lambda: int(module.main(order["words"])))
    except SystemExit as end:
        leave(end.code if isinstance(end.code, int) else 1)
    except BaseException as error:
        traceback.print_exc()
        leave(128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1)


def _enter(pid: int) -> None:
    """Go into the network and the mounts of a process, and stay in the working directory.

    Raises:
        OSError: it is gone, or we may not.
    """
    place = Path.cwd()
    opened = [(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), kind) for name, kind in _NAMESPACES]
    for descriptor, kind in opened:
        if _libc.setns(descriptor, kind) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot enter the namespaces of process {pid}: {os.strerror(number)}")
        os.close(descriptor)
    os.chdir(place)


def _show_as(words: Sequence[str]) -> None:
    """Let `ps` show these words; a kernel without CONFIG_CHECKPOINT_RESTORE shows the launcher's."""
    text = b"".join(os.fsencode(word) + b"\0" for word in words)
    block = ctypes.create_string_buffer(text, len(text))
    _shown.append(block)
    fields = ["", "", *Path("/proc/self/stat").read_text().rpartition(")")[2].split()]
    at = {name: int(fields[number - 1]) for name, number in _STAT_FIELDS.items()}
    at |= {"brk": _libc.sbrk(0), "arg_start": ctypes.addressof(block)}
    at["arg_end"] = at["arg_start"] + len(text)
    places = _PRCTL_MM_MAP.pack(*(at[name] for name in _MM_MAP_FIELDS), 0, 0, -1)
    zero = ctypes.c_ulong(0)
    _libc.prctl(_PR_SET_MM, ctypes.c_ulong(_PR_SET_MM_MAP), places, ctypes.c_ulong(len(places)), zero)


def main() -> int:
    """Import, then fork until there is nobody to fork for."""
    if not stat.S_ISSOCK(os.fstat(sys.stdin.fileno()).st_mode):
        return refuse("testbed.process.launcher", "run.py starts it; type testbed/run.py")
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as parent:
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, sys.stdin.fileno())
        os.close(nowhere)
        allow_many_files()
        modules = {name: importlib.import_module(place) for name, place in map(_place, sys.argv[1:])}
        for module in modules.values():
            getattr(module, "prepare", _nothing)()
        gc.collect()
        gc.freeze()  # a collection would write into every page that is shared with what is forked
        Launcher(modules, parent).work()
    return 0


def _nothing() -> None:
    """Of modules that need no more than to be imported."""


def _place(name: str) -> tuple[str, str]:
    """A module as it is typed after `python -m`, and where its `main` is."""
    found = importlib.util.find_spec(name)
    package = found is not None and found.submodule_search_locations is not None
    return name, f"{name}.__main__" if package else name


if __name__ == "__main__":
    leave(main())
