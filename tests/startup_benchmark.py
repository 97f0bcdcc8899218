"""How long one waits: `python -m tests.startup_benchmark` on a quiet machine, as root.

Seconds of each `--help`, and of `run.py` over one chunk beyond the video's own length: with one rule, and
with the default policies. Each is run once before it is measured, so that Python's bytecode and compiled
code are kept, as on a machine that was set up; they are kept in a folder of the benchmark's own. Exit
status 1 where a bound is broken.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.test_startup import HELPS

ROOT = Path(__file__).resolve().parents[1]
HELP_BOUND_S, ONE_RULE_BOUND_S, DEFAULTS_BOUND_S = 0.5, 3.0, 7.0
CHUNK_S = 4.0
COMMANDS = (
    *(["testbed/run.py"], ["testbed/simulate.py"], ["testbed/sweep.py"], ["testbed/origin.py"]),
    *(["testbed/doctor.py"], ["testbed/fidelity.py"], ["testbed/tamper.py"], ["testbed/link_models.py"]),
    ["testbed/clients.py"],
    *(["-m", *words.split()] for words in HELPS),
)
RUNS = (("one rule", ["--policy", "bba"], ONE_RULE_BOUND_S), ("the defaults", [], DEFAULTS_BOUND_S))


def keeping(folder: str) -> dict[str, str]:
    """The environment of commands that keep what is compiled in a folder."""
    kept = {"PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "NUMBA_CACHE_DIR": f"{folder}/compiled"}
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | kept


def took_s(words: list[str], environment: dict[str, str]) -> float:
    """Wall time of a command that has to succeed."""
    begun = time.monotonic()
    subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begun


def each_s(words: list[str], repeat: int, environment: dict[str, str], out: bool = False) -> list[float]:
    """Wall times of a command, its first not among them.

    Args:
        out: it makes a folder of records, a new one each time.
    """
    seconds = []
    for _ in range(1 + repeat):
        with tempfile.TemporaryDirectory(prefix="streambed-") as folder:
            seconds.append(took_s([*words, *(["--out", f"{folder}/out"] if out else [])], environment))
    return seconds[1:]


def told(name: str, seconds: list[float], bound_s: float) -> bool:
    """Print a line; whether the median is within the bound."""
    middle = statistics.median(seconds)
    verdict = "" if middle <= bound_s else "  over"
    print(f"{name:40} {middle:6.2f} s (worst {max(seconds):.2f}), bound {bound_s:g}{verdict}", flush=True)
    return middle <= bound_s


def main() -> int:
    """Measure; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.startup_benchmark", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="of each (default: 3)")
    parser.add_argument("--help-only", action="store_true", help="no emulated runs; needs no root")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="streambed-") as folder:
        kept = keeping(folder)
        good = [
            told(
                " ".join((*words, "--help")),
                each_s([*words, "--help"], args.repeat, kept),
                HELP_BOUND_S,
            )
            for words in COMMANDS
        ]
        for name, words, bound_s in () if args.help_only else RUNS:
            run = ["testbed/run.py", "--trace", "4g", "--chunks", "1", "--lanes", "5", *words]
            seconds = [one - CHUNK_S for one in each_s(run, args.repeat, kept, out=True)]
            good.append(told(f"one chunk, {name}", seconds, bound_s))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
