"""`cost`: what a step of adaptation takes, LoRA beside full fine-tuning and training the head alone.

Each kind runs in a process of its own, with the same batch, precision, optimizer and threads and no
checkpointing of activations, so that its peak memory is its own. Beside it stands what it would cost to
play a step's sessions anew with the model, as learning online does; offline they are collected once (NetLLM's
Figure 2).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from player.defaults import CHUNKS
from policies.llm.engine.engine import Engine, pick_device
from policies.llm.model import adapter
from policies.llm.model.base import resolve
from policies.llm.model.model import Model
from policies.llm.model.shape import FROZEN, FULL, LORA, Shape
from policies.llm.task import Task
from policies.llm.tasks.ladder.sets import SessionSet, engine_qoe
from policies.llm.tasks.ladder.task import TASK

KIB_PER_MIB = 1024.0


def measure(task: Task, shape: Shape, batch: int, steps: int, threads: int, device: str) -> dict[str, Any]:
    """Steps of one kind in this process."""
    torch.set_num_threads(threads)
    place = pick_device(device)
    base = resolve(shape.base)
    before_mib = _peak_mib(place)
    model = Model(base, shape, task.modalities, task.head).to(place)
    optimizer = torch.optim.AdamW(model.learned(), 1e-4)
    vectors = torch.randn(batch, CHUNKS, task.width, device=place)
    wanted = torch.zeros(batch * CHUNKS, dtype=torch.long, device=place)
    times, spent = [], []
    for _ in range(steps + 1):
        began, began_cpu = time.perf_counter(), time.process_time()
        loss = torch.nn.functional.cross_entropy(model(vectors).flatten(0, 1), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for a GPU, too
        times.append(time.perf_counter() - began)
        spent.append(time.process_time() - began_cpu)
    learned = sum(each.numel() for each in model.learned())
    everything = sum(each.numel() for each in model.parameters())
    return {
        "train": shape.train,
        "layers": shape.layers,
        "learned": learned,
        "share": learned / everything,
        "step_s": statistics.median(times[1:]),
        "step_cpu_s": statistics.median(spent[1:]),
        "peak_mib": _peak_mib(place),
        "imports_mib": before_mib,
    }


def playing_s(task: Task, shape: Shape, batch: int, threads: int, device: str) -> float:
    """Seconds that a batch of whole sessions takes to be played by the model."""
    base = resolve(shape.base)
    with tempfile.TemporaryDirectory() as folder:
        model = Model(base, shape, task.modalities, task.head)
        adapter.write(
            Path(folder),
            model.learned_state(),
            task=task,
            shape=shape,
            base=base,
            objective="none",
            target=None,
            notes={},
        )
        del model
        engine = Engine(task, Path(folder), device=device, slots=batch, max_steps=CHUNKS, threads=threads)
    setting = SessionSet.on("4g[0:8]", "envivio")
    setting = replace(setting, setup=setting.setup.part(np.arange(batch) % len(setting.setup)))
    engine_qoe(engine, setting)  # compiles
    began = time.perf_counter()
    engine_qoe(engine, setting)
    return time.perf_counter() - began


def _peak_mib(place: torch.device) -> float:
    if place.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure; what `--json` says.

    Raises:
        BaseError, ValueError: something is not there.
    """
    shape = Shape(args.base, args.layers, args.train or LORA, args.rank, 2.0 * args.rank, tokens=args.tokens)
    if args.train:
        return measure(TASK, shape, args.batch, args.steps, args.threads, args.device)
    rows = [_in_process(args, kind) for kind in (LORA, FULL, FROZEN)]
    played_s = playing_s(TASK, shape, args.batch, args.threads, args.device)
    full = rows[1]
    report = {
        "base": args.base,
        "layers": args.layers,
        "rank": args.rank,
        "batch": args.batch,
        "tokens_a_session": CHUNKS * args.tokens,
        "threads": args.threads,
        "dtype": "float32",
        "kinds": rows,
        "lora_memory_saved": 1.0 - rows[0]["peak_mib"] / full["peak_mib"],
        "lora_time_saved": 1.0 - rows[0]["step_s"] / full["step_s"],
        "lora_cpu_time_saved": 1.0 - rows[0]["step_cpu_s"] / full["step_cpu_s"],
        "playing_a_batch_s": played_s,
        "playing_share_online": played_s / (played_s + rows[0]["step_s"]),
    }
    if not args.json:
        print(f"{args.base}, {args.layers} layers, {args.batch} sessions of {CHUNKS} steps, float32")
        print("trained     learned   share  s a step   of CPU  peak MiB  (imports alone)")
        for row in rows:
            print(
                f"{row['train']:<8}{row['learned'] / 1e6:9.2f} M {row['share']:7.2%}"
                f"{row['step_s']:9.2f}{row['step_cpu_s']:9.2f}"
                f"{row['peak_mib']:10.0f}  ({row['imports_mib']:.0f})"
            )
        memory, spent = -report["lora_memory_saved"], -report["lora_time_saved"]
        print(f"LoRA against full: memory {memory:+.1%}, time {spent:+.1%}")
        print(f"playing a step's sessions anew would add {played_s:.2f} s")
    return report


def _in_process(args: argparse.Namespace, kind: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "policies.llm", "cost", "--train", kind, "--json"]
    for name in ("task", "base", "layers", "rank", "tokens", "batch", "steps", "threads", "device"):
        command += [f"--{name}", str(getattr(args, name))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(
            f"cost of {kind}: {(done.stderr.strip().splitlines() or ['ended without a word'])[-1]}"
        )
    return dict(json.loads(done.stdout))
