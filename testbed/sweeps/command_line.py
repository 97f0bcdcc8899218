"""The command line of `testbed/sweep.py`. What takes long to import has no place here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from player.defaults import DEVICES, LINK_MODELS
from testbed.link.settings import BACKENDS
from testbed.process.page_option import add_page_option
from traces.commands import Parser, add_json_option

EXAMPLES = (
    "python3 testbed/sweep.py testbed/sweeps/generalization.toml --simulate --plan",
    "python3 testbed/sweep.py testbed/sweeps/generalization.toml --simulate --out results/gen",
    "sudo python3 testbed/sweep.py testbed/sweeps/quick.toml --lanes 4 --out results/quick",
)
AUTO = "auto"
"""As many lanes as this machine holds."""
HERE, CLUSTER = "here", "ray"
"""Where sessions are carried out."""


def parser() -> Parser:
    """The command line."""
    command = Parser(
        prog="sweep.py",
        description="Run all sessions of an experiment that a file describes.",
        examples=EXAMPLES,
    )
    _add_what(command.add_argument_group("what is run"))
    _add_how(command.add_argument_group("how"))
    output = command.add_argument_group("output")
    output.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of records (default: results/NAME-emulated, or -simulated-LINK)",
    )
    add_page_option(output)
    add_json_option(output)
    return command


def _add_what(what: Any) -> None:
    what.add_argument("file", type=Path, metavar="FILE", help="the experiment (TOML), see testbed/sweeps/")
    what.add_argument(
        "--simulate",
        action="store_true",
        help="compute the sessions instead of emulating them; needs no root",
    )
    what.add_argument(
        "--link",
        choices=LINK_MODELS,
        help="with --simulate: the public simulators' arithmetic, or the emulator's TCP (default: published)",
    )
    what.add_argument(
        "--only",
        metavar="LABEL,…",
        help="run the sessions of these settings now; the same folder takes the others another time",
    )


def _add_how(how: Any) -> None:
    how.add_argument(
        "--lanes",
        default=AUTO,
        metavar="N|auto",
        help="emulated lanes at once; auto: as many as this machine holds with true links, which is measured"
        " once and kept (default: auto)",
    )
    how.add_argument(
        "--delay-backend",
        choices=BACKENDS,
        default="auto",
        help="who delays and loses: the kernel's netem or the user-space relay (default: netem if there)",
    )
    how.add_argument(
        "--device",
        choices=DEVICES,
        default="auto",
        help="where a policy's server puts its model (default: cuda if there, else cpu)",
    )
    how.add_argument("--jobs", type=int, metavar="N", help="with --simulate: processes (default: one a CPU)")
    how.add_argument(
        "--strict",
        action="store_true",
        help="no fallback: stop at a policy's first fault with its traceback, exit status 2 (who else decides"
        " what a policy doesn't is the file's key `fallback`: with another one it is another experiment)",
    )
    how.add_argument(
        "--engine",
        choices=(HERE, CLUSTER),
        default=HERE,
        help="where: on this machine, or on a Ray cluster (see testbed/sweeps/cluster.py; default: here)",
    )
    how.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of the Ray cluster (default: RAY_ADDRESS, or a Ray of its own)",
    )
    how.add_argument("--plan", action="store_true", help="print the plan and stop")
