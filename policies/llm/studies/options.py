"""The options of the studies. What takes long to import has no place here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from player.commands.options import add_scoring_options
from policies.llm.arithmetic import DTYPES, FLOAT32, INT8, add_dtype_option
from policies.llm.model.base import DEFAULT
from policies.llm.model.shape import FROZEN, FULL, LORA, Shape
from policies.llm.studies.control_list import CONTROLS
from traces.commands import add_json_option
from traces.numbers import count, counts, positive, whole, wholes

BASELINE = "robustmpc"
SEEN = ("fcc[0:40]", "envivio")
UNSEEN = ("4g[400:440]", "envivio")


def add_test(commands: Any) -> None:
    """The command line of `test`."""
    made = commands.add_parser("test", help="score an adapter beside other policies")
    what = made.add_argument_group("what to stream")
    what.add_argument("--adapter", type=Path, metavar="DIR", help="default: the shipped one")
    what.add_argument(
        *("--traces", "--trace"), nargs="+", metavar="SPEC",
        default=["fcc[400:440]", "3g[400:440]", "4g[400:440]"],
        help="each is a setting: 4g[0:100], a file, a folder (default: %(default)s)",
    )  # fmt: skip
    what.add_argument("--video", nargs="+", default=["envivio"], metavar="SPEC", help="(default: envivio)")
    what.add_argument("--starts", type=count, default=1, help="sessions on each trace (default: %(default)s)")
    what.add_argument(
        "--held-out", action="store_true", help="only traces of lines that training leaves out (data.py)"
    )
    against = made.add_argument_group("beside what")
    against.add_argument("--baseline", default=BASELINE, help="differences are to it (default: %(default)s)")
    against.add_argument(
        "--policy", default="robustmpc,genet,bba,hindsight", help="by commas (default: %(default)s)"
    )
    against.add_argument("--oracle", action="store_true", help="also the oracle, which takes its time")
    add_scoring_options(made)
    how = made.add_argument_group("how")
    how.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_dtype_option(how)
    how.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    add_json_option(made.add_argument_group("output"))


def add_controls(commands: Any) -> None:
    """The command line of `controls`."""
    names = ", ".join(control.name for control in CONTROLS)
    made = commands.add_parser("controls", help="the same data and steps without the language model")
    what = made.add_argument_group("what")
    what.add_argument("--pool", type=Path, required=True, metavar="DIR", help="what `collect` made")
    what.add_argument("--only", metavar="NAME,…", help=f"of {names} (default: all)")
    what.add_argument("--seeds", type=wholes, default="1,2", metavar="N,…", help="(default: %(default)s)")
    how = made.add_argument_group("how")
    how.add_argument("--steps", type=count, default=300, help="of each (default: %(default)s)")
    how.add_argument("--batch", type=count, default=8, help="sessions of a step (default: %(default)s)")
    how.add_argument("--validation-sessions", type=count, default=12, help="of a source (default: 12)")
    how.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    on = made.add_argument_group("scored on")
    on.add_argument(
        *("--traces", "--trace"),
        nargs="+",
        default=["fcc[400:500]", "3g[400:500]"],
        metavar="SPEC",
        help="(default: %(default)s)",
    )
    on.add_argument("--video", default="envivio", help="(default: %(default)s)")
    where = made.add_argument_group("output")
    where.add_argument("--out", type=Path, required=True, metavar="DIR", help="results.jsonl and each run")
    add_json_option(where)


def add_prompt(commands: Any) -> None:
    """The command line of `prompt`."""
    made = commands.add_parser("prompt", help="a control: the language model asked in words")
    what = made.add_argument_group("what")
    what.add_argument("--pool", type=Path, required=True, metavar="DIR", help="what `collect` made")
    what.add_argument("--base", default=DEFAULT, help="(default: %(default)s)")
    what.add_argument("--layers", type=count, help="of the base's first (default: all)")
    what.add_argument(
        *("--traces", "--trace"), default="fcc[400:410]", metavar="SPEC", help="(default: %(default)s)"
    )
    what.add_argument("--video", default="envivio", help="(default: %(default)s)")
    how = made.add_argument_group("how")
    how.add_argument("--steps", type=count, default=60, help="of tuning (default: %(default)s)")
    how.add_argument("--batch", type=count, default=8, help="prompts of a step (default: %(default)s)")
    how.add_argument("--rank", type=count, default=32, help="of LoRA (default: %(default)s)")
    how.add_argument("--lr", type=positive, default=5e-4, help="(default: %(default)s)")
    how.add_argument("--seed", type=whole, default=1)
    how.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    add_json_option(made.add_argument_group("output"))


def add_cost(commands: Any) -> None:
    """The command line of `cost`."""
    made = commands.add_parser("cost", help="LoRA beside full fine-tuning: memory and time of a step")
    what = made.add_argument_group("what")
    what.add_argument("--base", default=DEFAULT, help="(default: %(default)s)")
    what.add_argument("--layers", type=count, default=8, help="of the base's first (default: %(default)s)")
    what.add_argument("--rank", type=count, default=32, help="of LoRA (default: %(default)s)")
    what.add_argument("--tokens", type=count, default=1, help="a step makes (default: %(default)s)")
    what.add_argument("--train", choices=(LORA, FULL, FROZEN), help="one kind only, in this process")
    how = made.add_argument_group("how")
    how.add_argument("--batch", type=count, default=8, help="sessions of a step (default: %(default)s)")
    how.add_argument("--steps", type=count, default=10, help="measured (default: %(default)s)")
    how.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    how.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_json_option(made.add_argument_group("output"))


def add_scale(commands: Any) -> None:
    """The command line of `scale`."""
    command = commands.add_parser("scale", help="QoE and decision time against the number of layers")
    what = command.add_argument_group("what")
    what.add_argument(
        "--adapters", nargs="+", type=Path, required=True, metavar="DIR", help="one for each size"
    )
    for name, (traces, video) in (("seen", SEEN), ("unseen", UNSEEN)):
        what.add_argument(f"--{name}", default=traces, metavar="SPEC", help="traces (default: %(default)s)")
        what.add_argument(f"--{name}-video", default=video, metavar="NAME", help="default: %(default)s")
    how = command.add_argument_group("how")
    how.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: %(default)s")
    how.add_argument(
        "--threads", type=count, metavar="N", help="of the model on the CPU (default: one a core)"
    )
    output = command.add_argument_group("output")
    output.add_argument("--plot", type=Path, metavar="FILE", help="the picture, .png or .pdf")
    add_json_option(output)


def add_arithmetic(commands: Any) -> None:
    """The command line of `arithmetic`."""
    made = commands.add_parser("arithmetic", help="one model in two number formats: time and quality")
    what = made.add_argument_group("what")
    what.add_argument("--adapter", type=Path, metavar="DIR", help="default: the shipped one")
    add_dtype_option(what, INT8)
    what.add_argument("--beside", choices=DTYPES, default=FLOAT32, help="the other (default: %(default)s)")
    how = made.add_argument_group("time, through the server")
    how.add_argument("--sessions", type=counts, default=[1, 16], metavar="N[,N…]", help="(default: 1,16)")
    how.add_argument(
        "--rounds", type=whole, default=10, metavar="N", help="videos by each; 0: no times (default: 10)"
    )
    how.add_argument("--threads", type=count, default=1, metavar="N", help="of a server (default: 1)")
    how.add_argument("--avx2", action="store_true", help="keep the servers from newer instructions than AVX2")
    quality = made.add_argument_group("quality, simulated")
    quality.add_argument(
        *("--traces", "--trace"),
        nargs="*",
        default=["fcc[400:500]", "3g[400:500]"],
        metavar="SPEC",
        help="each is a setting (default: %(default)s)",
    )
    add_json_option(made.add_argument_group("output"))


def add_efficiency(commands: Any) -> None:
    """The command line of `efficiency`."""
    made = commands.add_parser("efficiency", help="how much data the language model saves")
    what = _add_study(made)
    what.add_argument("--only", metavar="KIND,…", help="pretrained, random, frozen, scratch (default: all)")
    what.add_argument(
        "--percent", type=percents, default="1,3,10,30,100", metavar="N,…", help="(default: %(default)s)"
    )
    what.add_argument("--layers", type=count, default=8, help="of the base's first (default: %(default)s)")
    made.add_argument("--steps", type=count, default=600, help="of each run (default: %(default)s)")


def add_layers(commands: Any) -> None:
    """The command line of `layers`."""
    made = commands.add_parser("layers", help="how many layers a decision needs")
    what = _add_study(made)
    what.add_argument(
        "--layers", type=counts, default="2,4,8,15,30", metavar="N,…", help="(default: %(default)s)"
    )
    made.add_argument("--steps", type=count, default=600, help="equal for all (default: %(default)s)")
    made.add_argument("--enough", type=count, default=1800, help="sufficient ones (default: %(default)s)")


def _add_study(made: Any) -> Any:
    """What studies of one pool share; the group of what is studied."""
    what = made.add_argument_group("what")
    what.add_argument("--pool", type=Path, required=True, metavar="DIR", help="what `collect` made")
    what.add_argument("--base", default=DEFAULT, help="(default: %(default)s)")
    what.add_argument("--seeds", type=wholes, default="1,2,3", metavar="N,…", help="(default: %(default)s)")
    how = made.add_argument_group("how")
    how.add_argument("--rank", type=count, default=32, help="of LoRA (default: %(default)s)")
    how.add_argument("--hidden", type=count, default=Shape.hidden, help="encoder's (default: %(default)s)")
    how.add_argument("--batch", type=count, default=16, help="sessions of a step (default: %(default)s)")
    how.add_argument("--validation-sessions", type=count, default=48, help="of a source (default: 48)")
    how.add_argument("--threads", type=count, default=1, help="cores to use (default: %(default)s)")
    where = made.add_argument_group("output")
    where.add_argument("--out", type=Path, required=True, metavar="DIR", help="results, figure, each run")
    add_json_option(where)
    return what


def percents(text: str) -> list[float]:
    """Shares of a pool, above 0 and at most 100, each once, rising.

    Raises:
        ArgumentTypeError: something else.
    """
    found = [positive(word) for word in text.split(",")]
    if max(found) > 100.0:
        raise argparse.ArgumentTypeError(f"{max(found):g}: a share of the pool is at most 100 %")
    return sorted(set(found))
