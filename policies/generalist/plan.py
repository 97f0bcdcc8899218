"""Which runs there are, the most telling first.

    own         encoder, LoRA and head of one task
    shared      one LoRA under the encoders and heads of all tasks; batches alternate between them
    transfer    LoRA of the other tasks, frozen; encoder and head of the last learn on a share of its pool

and what the language model is in each:

    pretrained      LoRA on its first layers
    random          the same on weights drawn at random
    frozen          no LoRA: encoder and head alone learn
    frozen-random   the same on random weights
    scratch         a 2-layer transformer, width 256, from nothing, every weight learns
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

OWN, SHARED, TRANSFER, SPECIALIST = "own", "shared", "transfer", "specialist"
PRETRAINED, RANDOM, SCRATCH = "pretrained", "random", "scratch"
FROZEN_BASE, FROZEN_RANDOM = "frozen", "frozen-random"
BACKBONES = (PRETRAINED, RANDOM, FROZEN_BASE, FROZEN_RANDOM, SCRATCH)
SHARED_BACKBONES = (PRETRAINED, RANDOM, SCRATCH)
"""Where nothing but encoders and heads learns, nothing is shared."""
WHOLE = 100.0
"""Per cent of a pool."""
SEEDS = (1, 2, 3)
PERCENTS = (1.0, 10.0, WHOLE)
CLAIMED_AT = (1.0, 10.0)
"""Shares at which transfer has to beat frozen random weights."""


@dataclass(frozen=True)
class Run:
    """One adaptation."""

    setup: str
    backbone: str
    tasks: tuple[str, ...]
    """Learned together."""
    seed: int
    percent: float = WHOLE
    """Of each pool's sessions that are learned from."""
    sources: tuple[str, ...] = ()
    """Of `TRANSFER`: the tasks whose LoRA is taken."""

    @property
    def key(self) -> str:
        """Its folder, and its file of rows."""
        told = f"-from-{'+'.join(self.sources)}" if self.sources else ""
        return f"{self.setup}-{self.backbone}-{'+'.join(self.tasks)}{told}-{self.percent:g}-{self.seed}"

    @property
    def source(self) -> Run | None:
        """The run that its LoRA is taken from."""
        if not self.sources:
            return None
        return Run(SHARED if len(self.sources) > 1 else OWN, self.backbone, self.sources, self.seed)


def planned(tasks: Sequence[str], seeds: Sequence[int], percents: Sequence[float]) -> list[Run]:
    """All runs in the order in which they are worth their time: those that decide whether one LoRA serves
    all; task by task those that decide whether it helps another; then larger shares, and the controls."""
    tasks = tuple(sorted(tasks))
    few = [percent for percent in percents if percent in CLAIMED_AT]
    found = [run for seed in seeds for run in _together(PRETRAINED, tasks, seed)]
    for some in (few, percents):
        found += [run for task in tasks for seed in seeds for run in _moved(tasks, task, seed, some)]
    found += [
        Run(OWN, FROZEN_BASE, (task,), seed, percent)
        for seed, task, percent in product(seeds, tasks, reversed(percents))
    ]
    found += [run for kind in (RANDOM, SCRATCH) for seed in seeds for run in _together(kind, tasks, seed)]
    return list(dict.fromkeys(found))


def _together(backbone: str, tasks: tuple[str, ...], seed: int) -> Iterator[Run]:
    """Each task alone, and all with one LoRA."""
    yield from (Run(OWN, backbone, (task,), seed) for task in tasks)
    if len(tasks) > 1:
        yield Run(SHARED, backbone, tasks, seed)


def _moved(tasks: tuple[str, ...], task: str, seed: int, percents: Sequence[float]) -> Iterator[Run]:
    """A task with the LoRA of the others, and on frozen random weights."""
    others = tuple(each for each in tasks if each != task)
    for percent in percents if others else ():
        yield Run(TRANSFER, PRETRAINED, (task,), seed, percent, others)
        yield Run(OWN, FROZEN_RANDOM, (task,), seed, percent)
