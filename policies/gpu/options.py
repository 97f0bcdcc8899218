"""The options of `gpu`. What takes long to import has no place here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from policies.llm.model.base_names import DEFAULT
from traces.commands import add_json_option
from traces.numbers import count, counts, positive
from traces.safe_reading import BadFileError, read_json_object

PARTS = ("decisions", "steps", "load", "learning")
SESSIONS = "1,4,16,64,256,1024"
SHAPES = "8,30,0.5b"


def add_gpu(commands: Any) -> None:
    """The command line of `gpu`."""
    made = commands.add_parser("gpu", help="on a machine with CUDA: decisions, steps, load, learning")
    what = made.add_argument_group("what to measure")
    what.add_argument("--parts", type=_parts, default=",".join(PARTS), help="default: %(default)s")
    what.add_argument("--adapter", type=Path, metavar="DIR", help="default: the shipped one")
    what.add_argument("--base", default=DEFAULT, metavar="NAME", help="of the shapes (default: %(default)s)")
    what.add_argument(
        "--shapes", type=_shapes, default=SHAPES, metavar="N,…",
        help="numbers of the base's layers, and 0.5b (default: %(default)s)",
    )  # fmt: skip
    what.add_argument(
        "--large", type=_config, metavar="FILE", help="config.json of another shape in the place of 0.5b"
    )
    how = made.add_argument_group("how")
    how.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="default: %(default)s")
    how.add_argument("--sessions", type=counts, default=SESSIONS, metavar="N,…", help="default: %(default)s")
    how.add_argument("--repeats", type=count, default=30, help="steps of a median (default: %(default)s)")
    how.add_argument("--decision-sessions", type=count, default=32, help="compared (default: %(default)s)")
    how.add_argument(
        "--load-sessions", type=counts, default="16,256,1024", metavar="N,…", help="default: %(default)s"
    )
    how.add_argument("--load-s", type=positive, default=20.0, help="of each load (default: %(default)g)")
    how.add_argument(
        "--learning-layers", type=count, default=8, metavar="N", help="that learn (default: %(default)s)"
    )
    output = made.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, default=Path("results/gpu"), metavar="DIR",
        help="gpu.json and gpu.md (default: %(default)s)",
    )  # fmt: skip
    add_json_option(output)


def _parts(text: str) -> list[str]:
    found = text.split(",")
    if unknown := [each for each in found if each not in PARTS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]}: there are {', '.join(PARTS)}")
    return found


def _shapes(text: str) -> list[str]:
    found = text.split(",")
    if wrong := [each for each in found if each != "0.5b" and not (each.isdecimal() and int(each))]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r}: expected numbers of layers, and 0.5b")
    return found


def _config(text: str) -> Any:
    try:
        return read_json_object(Path(text))
    except (OSError, BadFileError) as error:
        raise argparse.ArgumentTypeError(f"no config.json of a model: {error}") from None
