"""`prepare`: have the default base model's weights ready; quick when they are."""

from __future__ import annotations

import argparse
from typing import Any

from policies.llm.model.base import DEFAULT
from traces.commands import add_json_option


def add_parser(commands: Any) -> None:
    """The command line of `prepare`."""
    made = commands.add_parser("prepare", help="convert the default base model's weights, once")
    add_json_option(made.add_argument_group("output"))


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Prepare; what `--json` says.

    Raises:
        BaseError: the package is missing, or the cache cannot be written.
    """
    from policies.llm.model.base_gguf import converted

    return {"base": DEFAULT, "folder": str(converted())}
