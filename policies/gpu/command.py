"""`python -m policies.llm gpu`, and `make gpu`: on a machine with CUDA, what can't be measured on another.

    decisions   the shipped adapter on the device, in float32 and bfloat16, beside the CPU in float32
    steps       what a batch takes for 1 to 1024 sessions at 8 and 30 layers and at half a billion parameters
                (random weights: time does not depend on what they know), and the model alone as a CUDA graph
    load        players in real time against a server on the device: all asked, routed, and nobody asked
    learning    a step of LoRA beside one of full fine-tuning

Writes gpu.json and gpu.md, a table for docs/results.md, into --out. Without CUDA it says what is missing and
ends with 1; `--device cpu` does the same small, so that the commands can be tried out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from player.video.built_in import load_video
from policies.gpu.decisions import answered, compared
from policies.gpu.shapes import shapes
from policies.gpu.table import markdown
from policies.gpu.timing import timed
from policies.llm.engine.engine import Engine
from policies.llm.studies.bench import session_steps
from policies.llm.task import NextSteps, Task, Vectors
from policies.llm.tasks.ladder.task import TASK
from traces.files import write_aside
from traces.ownership import make_directory
from traces.progress import say
from traces.temporary import temporary_folder

NO_CUDA = 1
"""Exit status where there is no CUDA."""
CONTEXT_STEPS = 64


def run(args: argparse.Namespace) -> dict[str, Any] | int:
    """Measure; what `--json` says, or the exit status where nothing can be measured.

    Raises:
        AdapterError, BaseError, ValueError: something is not there.
        OSError: the folder can't be written.
    """
    if args.device == "cuda" and (missing := missing_cuda()):
        print(f"python -m policies.llm gpu: {missing}", file=sys.stderr)
        return NO_CUDA
    make_directory(args.out)
    report: dict[str, Any] = {"machine": machine(args.device), "parts": list(args.parts)}
    with temporary_folder("streambed-gpu-") as folder:
        for part in args.parts:
            say(f"{part}:")
            report[part] = PARTS[part](args, folder)
            write_aside(args.out / "gpu.json", json.dumps(report, indent=1) + "\n")
    table = markdown(report)
    write_aside(args.out / "gpu.md", table)
    if not args.json:
        print(table, end="")
    return report


def missing_cuda() -> str:
    """Why there is no CUDA, in a line with the way out; empty where there is."""
    if torch.cuda.is_available():
        return ""
    if torch.version.cuda is None:
        return (
            f"torch {torch.__version__} is built without CUDA; install one that is built with it, or try it"
            " out with --device cpu"
        )
    return (
        f"torch {torch.__version__} knows CUDA {torch.version.cuda} but sees no GPU; is there one, and its"
        " driver (nvidia-smi)? Or try it out with --device cpu"
    )


def machine(device: str) -> dict[str, Any]:
    """What it is measured on."""
    name = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
    return {"device": name, "torch": torch.__version__, "cuda": torch.version.cuda}


def decisions(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """The shipped adapter here and there."""
    sessions = fed(args.decision_sessions)

    def engine(device: str, dtype: str) -> Engine:
        return Engine(TASK, args.adapter, device=device, slots=len(sessions), dtype=dtype)

    here, found = answered(engine("cpu", "float32"), sessions), []
    for dtype in ("float32", "bfloat16"):
        there = engine(args.device, dtype)
        found.append(compared(TASK, sessions, here, answered(there, sessions), there).to_json())
        say(f"  {dtype}: {found[-1]['differ']} of {found[-1]['decisions']} decisions differ")
    return found


def fed(count: int) -> list[Vectors]:
    """(steps, width) of simulated sessions."""
    video = load_video("envivio")
    context = TASK.usual_context(video)
    return [
        TASK.fill([NextSteps(session_steps(video, seed), TASK.empty, context)])[0] for seed in range(count)
    ]


def steps(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Each shape at each number of sessions."""
    found: list[dict[str, Any]] = []
    dtype = "bfloat16" if args.device == "cuda" else "float32"
    for shape in shapes(TASK, args.shapes, folder, args.base, args.large):
        for count in args.sessions:
            found += timed_shape(TASK, shape.adapter, args.device, dtype, [count], args.repeats)
            found[-1] |= {"shape": shape.name, "layers": shape.layers, "dtype": dtype}
            say(f"  {shape.name}, {count} sessions: {found[-1]['engine_ms']:.2f} ms")
    return found


def timed_shape(
    task: Task, adapter: Path, device: str, dtype: str, sessions: list[int], repeats: int
) -> list[dict[str, Any]]:
    """One shape's rows."""

    def make(slots: int) -> Engine:
        return Engine(task, adapter, device=device, slots=slots, max_steps=CONTEXT_STEPS, dtype=dtype)

    return [each.to_json() for each in timed(task, make, sessions, repeats)]


def load(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Players against a server on the device."""
    words = ["load", "--sessions", ",".join(map(str, args.load_sessions)), "--device", args.device]
    words += ["--duration-s", str(args.load_s), "--ramp-s", str(args.load_s / 5.0)]
    rows = asked_of(words + adapter_words(args))["rows"]
    return list(rows)


def learning(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """LoRA beside full fine-tuning."""
    words = ["cost", "--base", args.base, "--layers", str(args.learning_layers), "--steps", str(args.repeats)]
    return asked_of([*words, "--device", args.device])


def adapter_words(args: argparse.Namespace) -> list[str]:
    """The adapter, as another command is told it."""
    return [] if args.adapter is None else ["--adapter", str(args.adapter)]


def asked_of(words: list[str]) -> dict[str, Any]:
    """What another command says, in a process of its own: its memory is its own.

    Raises:
        ValueError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "policies.llm", *words, "--json"], capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["ended without a word"])[-1]
        raise ValueError(f"policies.llm {words[0]}: {last}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


PARTS = {"decisions": decisions, "steps": steps, "load": load, "learning": learning}
