"""The command line of `python -m policies.genet`. What takes long to import has no place here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from policies.genet.data import FAMILIES
from traces.commands import Parser, add_json_option

PROG = "python -m policies.genet"
BASELINES = ("robustmpc", "bba")
"""Rules that the curriculum and the score set the network beside."""
WEIGHTS = ("genet", "udr")
"""Those that come along."""
DESCRIPTION = """`python -m policies.genet`: train the network, or score a weight file beside the rules.

    python -m policies.genet train --seeds 1,2,3            the shipped weights' recipe (resumes by itself)
    python -m policies.genet train --udr --seeds 1,2,3      the same budget without the curriculum
    python -m policies.genet train --traces my/logs         with logs of one's own in the mix
    python -m policies.genet score --traces my/logs         means with intervals, and paired differences

Exit status: 0 done, 2 bad input, 130 interrupted (the same command goes on from the last iteration).
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = Parser(
        prog=PROG,
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="train|score")
    _add_train(commands)
    _add_score(commands)
    return top


def _add_train(commands: Any) -> None:
    train = commands.add_parser("train", help="train one network a seed")
    what = train.add_argument_group("what to train on")
    what.add_argument(
        *("--traces", "--trace"),
        nargs="+",
        default=[],
        metavar="DIR",
        help="logs beside the built-in families; one group of lines or trips in four only validates",
    )
    what.add_argument(
        "--families",
        default=",".join(FAMILIES),
        metavar="NAME,…",
        help="built-in families to train on (default: %(default)s)",
    )
    how = train.add_argument_group("how")
    how.add_argument("--udr", action="store_true", help="uniform environments, no curriculum")
    how.add_argument("--seed", type=int, help="one seed (default: 1)")
    how.add_argument("--seeds", metavar="N,N,…", help="several, one after the other")
    how.add_argument(
        "--baseline", choices=BASELINES, default="robustmpc", help="the curriculum's (default: %(default)s)"
    )
    how.add_argument("--no-warm-start", action="store_true", help="PPO from nothing, no imitation before it")
    how.add_argument("--iterations", type=int, default=40, help="of PPO (default: %(default)s)")
    how.add_argument("--sessions", type=int, default=512, help="of an iteration (default: %(default)s)")
    how.add_argument("--trials", type=int, default=15, help="of a search (default: %(default)s)")
    how.add_argument("--members", type=int, help="at most so many members of each family, for a quick trial")
    train_out = train.add_argument_group("output")
    train_out.add_argument(
        "--out", type=Path, default=Path("results/genet"), help="a folder a seed (default: %(default)s)"
    )
    add_json_option(train_out)


def _add_score(commands: Any) -> None:
    score = commands.add_parser("score", help="score weights over traces, from each one's beginning")
    over = score.add_argument_group("what to stream")
    over.add_argument(
        *("--traces", "--trace"), nargs="+", required=True, metavar="SPEC", help="4g[0:100], a file, a folder"
    )
    over.add_argument(
        "--video", default="envivio", help="of 6 levels up to 4300 kbit/s (default: %(default)s)"
    )
    over.add_argument(
        "--weights",
        nargs="+",
        default=list(WEIGHTS),
        metavar="FILE",
        help="genet, udr or safetensors files (default: both)",
    )
    score_out = score.add_argument_group("output")
    add_json_option(score_out)
