"""What may be claimed, from rows alone.

`generalist`: with one LoRA for all tasks no task is behind its own adapter, by an interval that draws seeds
and clusters. `transfer`: with the frozen LoRA of the other tasks, encoder and head of the last are ahead of
the same on frozen random weights, on 1 % and on 10 % of its pool, in every task. Both need all seeds; what is
missing leaves the claim open, and one task that fails refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policies.generalist.plan import (
    CLAIMED_AT,
    FROZEN_RANDOM,
    OWN,
    PRETRAINED,
    SEEDS,
    SHARED,
    TRANSFER,
    WHOLE,
    Run,
)
from policies.generalist.rows import Gains, Rows
from policies.generalist.scores import AHEAD, WITHIN, Interval, interval, less

CLAIMED, REFUSED, OPEN = "claimed", "not claimed", "open"
Makes = Callable[[int], Run]
"""The run of a seed."""


@dataclass(frozen=True)
class Finding:
    """One comparison that a claim rests on."""

    task: str
    percent: float
    found: Interval | None
    """None where no seed has both rows."""
    missing: tuple[int, ...]
    """Seeds without both."""
    holds: bool

    def __str__(self) -> str:
        at = "" if self.percent == WHOLE else f" at {self.percent:g} %"
        if self.found is None:
            return f"{self.task}{at} not run"
        seeds = f", seeds {', '.join(map(str, self.missing))} missing" if self.missing else ""
        return f"{self.task}{at} {self.found.word} {self.found}{seeds}"


@dataclass(frozen=True)
class Verdict:
    """Whether something may be claimed, and by what."""

    claim: str
    findings: tuple[Finding, ...]

    @property
    def word(self) -> str:
        """Claimed, refused, or open."""
        if any(each.found is not None and not each.missing and not each.holds for each in self.findings):
            return REFUSED
        if not self.findings or any(each.missing for each in self.findings):
            return OPEN
        return CLAIMED

    def __str__(self) -> str:
        return f"{self.claim}: {self.word} ({'; '.join(map(str, self.findings)) or 'no rows'})"


def gains_of(rows: Rows, makes: Makes, task: str, seeds: Sequence[int] = SEEDS) -> dict[int, Gains]:
    """By seed, of those runs that are done."""
    found = {seed: rows.of(makes(seed), task) for seed in seeds}
    return {seed: row.gains for seed, row in found.items() if row is not None}


def compared(rows: Rows, mine: Makes, other: Makes, task: str) -> Interval | None:
    """What one kind of run has more than another in a task; None where no seed has both."""
    both = less(gains_of(rows, mine, task), gains_of(rows, other, task))
    return interval(both, rows.tasks[task]) if both else None


def generalist(rows: Rows) -> Verdict:
    """Is one LoRA as good as one a task?"""
    tasks = tuple(rows.tasks)
    findings = [
        _finding(rows, task, WHOLE, shared_by(tasks), own_of(task), (AHEAD, WITHIN)) for task in tasks
    ]
    return Verdict("generalist", tuple(findings) if len(tasks) > 1 else ())


def transfer(rows: Rows) -> Verdict:
    """Is what other tasks have taught worth anything where the last has few sessions?"""
    tasks = tuple(rows.tasks)
    findings = [
        _finding(
            rows,
            task,
            percent,
            transferred(tasks, task, percent),
            own_of(task, FROZEN_RANDOM, percent),
            (AHEAD,),
        )
        for task in tasks
        for percent in CLAIMED_AT
    ]
    return Verdict("transfer", tuple(findings) if len(tasks) > 1 else ())


def shared_by(tasks: tuple[str, ...], backbone: str = PRETRAINED) -> Makes:
    """One LoRA for all."""
    return lambda seed: Run(SHARED, backbone, tasks, seed)


def own_of(task: str, backbone: str = PRETRAINED, percent: float = WHOLE) -> Makes:
    """A task alone."""
    return lambda seed: Run(OWN, backbone, (task,), seed, percent)


def transferred(tasks: tuple[str, ...], task: str, percent: float) -> Makes:
    """With the LoRA of all others."""
    others = tuple(each for each in tasks if each != task)
    return lambda seed: Run(TRANSFER, PRETRAINED, (task,), seed, percent, others)


def _finding(
    rows: Rows, task: str, percent: float, mine: Makes, other: Makes, good: Sequence[str]
) -> Finding:
    found = compared(rows, mine, other, task)
    have = gains_of(rows, mine, task).keys() & gains_of(rows, other, task).keys()
    missing = tuple(seed for seed in SEEDS if seed not in have)
    return Finding(task, percent, found, missing, found is not None and found.word in good)
