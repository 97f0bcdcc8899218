"""How long one waits: `python -m tests.startup_benchmark` on a quiet machine, as root.

Seconds of each `--help`, and of `run.py` over one chunk beyond the video's own length: with one rule, and
with the default policies. Exit status 1 where a bound is broken.
"""

from __future__ import annotations

import argparse
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
    *(["-m", *words.split()] for words in HELPS),
)
RUNS = (("one rule", ["--policy", "bba"], ONE_RULE_BOUND_S), ("the defaults", [], DEFAULTS_BOUND_S))


def took_s(words: list[str]) -> float:
    """Wall time of a command that has to succeed."""
    begun = time.monotonic()
    subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begun


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
    good = [
        told(
            " ".join((*words, "--help")),
            [took_s([*words, "--help"]) for _ in range(args.repeat)],
            HELP_BOUND_S,
        )
        for words in COMMANDS
    ]
    for name, words, bound_s in () if args.help_only else RUNS:
        seconds = []
        for _ in range(args.repeat):
            with tempfile.TemporaryDirectory(prefix="streambed-") as folder:
                run = ["testbed/run.py", "--trace", "4g", "--chunks", "1", "--out", f"{folder}/out", *words]
                seconds.append(took_s([*run, "--lanes", "5"]) - CHUNK_S)
        good.append(told(f"one chunk, {name}", seconds, bound_s))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
