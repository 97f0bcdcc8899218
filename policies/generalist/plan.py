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

from collections.abc import Iterable, Iterator, Sequence
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
    """All runs in the order in which they are worth their time: what is claimed, of the first seed, then of
    the others; then the controls."""
    tasks = tuple(sorted(tasks))
    few = [percent for percent in percents if percent in CLAIMED_AT]
    found = [run for seed in seeds for run in _claims(tasks, seed, few)]
    found += [run for seed in seeds for run in _claims(tasks, seed, percents)]
    found += [run for seed in seeds for run in _controls(tasks, seed, percents)]
    return list(dict.fromkeys(found))


def _claims(tasks: tuple[str, ...], seed: int, percents: Sequence[float]) -> Iterator[Run]:
    """What both verdicts are made of."""
    yield from _own(PRETRAINED, tasks, seed)
    if len(tasks) < 2:
        return
    yield Run(SHARED, PRETRAINED, tasks, seed)
    for task, percent in product(tasks, percents):
        yield Run(TRANSFER, PRETRAINED, (task,), seed, percent, _others(tasks, task))
        yield Run(OWN, FROZEN_RANDOM, (task,), seed, percent)


def _controls(tasks: tuple[str, ...], seed: int, percents: Sequence[float]) -> Iterator[Run]:
    for task, percent in product(tasks, percents):
        yield Run(OWN, FROZEN_BASE, (task,), seed, percent)
    for backbone in (RANDOM, SCRATCH):
        yield from _own(backbone, tasks, seed)
        if len(tasks) > 1:
            yield Run(SHARED, backbone, tasks, seed)


def _own(backbone: str, tasks: Iterable[str], seed: int) -> Iterator[Run]:
    return (Run(OWN, backbone, (task,), seed) for task in tasks)


def _others(tasks: Sequence[str], task: str) -> tuple[str, ...]:
    return tuple(each for each in tasks if each != task)
