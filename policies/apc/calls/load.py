"""`load`: many calls in real time against the server, five decisions a second each.

Three ways to decide, as in `policies/apc/load/command.py`: `llm` asks the model for every decision, `apc`
routes and the server keeps a budget, `light` asks nobody. A question that no answer came to in time is the
light policy's rate.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from player.call.settings import CallSettings
from policies.apc.calls.policy import SHIPPED, make_scheduler
from policies.apc.calls.rehearsed import Rehearsal, rehearse
from policies.apc.dynamic import Price
from policies.apc.load.client import AsyncSession, Connections
from policies.apc.load.command import served
from policies.apc.load.players import Observed
from policies.apc.load.report import HEADER, line_of, row_of
from policies.apc.names import APC, LIGHT_ONLY, LLM, RESERVE_MS
from policies.apc.policy import BY_LIGHT
from policies.llm.model.adapter import read
from policies.llm.serving.conversation import ServerError
from policies.llm.serving.protocol import BY_LLM
from policies.llm.tasks.call.task import TASK
from traces.families.catalogue import resolve_many
from traces.temporary import temporary_folder

LLM_DEADLINE_S = 5.0
"""Without a budget; a call goes on asking at its own times, so that its questions wait for each other."""


@dataclass(frozen=True)
class Load:
    """Who calls, and how long."""

    sessions: int
    ramp_s: float
    duration_s: float
    seed: int

    @property
    def counted_from_s(self) -> float:
        """Decisions before are not counted: not everybody is there."""
        return self.ramp_s


def run_load(args: argparse.Namespace, say: Any) -> dict[str, Any]:
    """Play every load in every way; what `--json` says.

    Raises:
        ValueError, OSError: something named can't be used, or the server does not start.
    """
    if not 0.0 < args.ramp_s < args.duration_s:
        raise ValueError(
            f"--ramp-s {args.ramp_s:g}, --duration-s {args.duration_s:g}: expected 0 < ramp < duration"
        )
    traces = [trace for spec in args.traces for trace in resolve_many(spec)]
    rehearsals = rehearse(traces, args.light, args.duration_s, args.seed, args.threads)
    held = read(args.adapter, TASK)
    adapter, layers = (args.adapter or held.folder).absolute(), held.shape.layers
    rows: list[dict[str, Any]] = []
    say(HEADER)
    with temporary_folder("streambed-load-") as folder:
        for way in args.ways:
            for row in _loads(args, way, rehearsals, adapter, layers, folder):
                rows.append(row)
                say(line_of(row))
    cores = len(os.sched_getaffinity(0))
    return {"rows": rows, "light": args.light, "budget_ms": args.budget_ms, "cores": cores}


def _loads(
    args: argparse.Namespace,
    way: str,
    rehearsals: Sequence[Rehearsal],
    adapter: Path,
    layers: int,
    folder: Path,
) -> Any:
    """A way to decide at every load."""
    path, most = folder / f"{way}.sock", max(args.sessions)
    budget_ms = None if way == LLM else args.budget_ms
    asked_ms = args.budget_ms - min(RESERVE_MS, args.budget_ms / 10.0)
    deadline_s = LLM_DEADLINE_S if way == LLM else asked_ms / 1000.0
    context: Any = contextlib.nullcontext()
    if way != LIGHT_ONLY:
        context = served(path, adapter, most, args.threads, "cpu", budget_ms, task=TASK.name)
    with context:
        for sessions in args.sessions:
            load = Load(sessions, args.ramp_s, args.duration_s, args.seed)
            observed = asyncio.run(
                _play(load, way, args, rehearsals, None if way == LIGHT_ONLY else path, deadline_s)
            )
            yield row_of(observed, load, way, layers, False, args.budget_ms)


async def _play(
    load: Load,
    way: str,
    args: argparse.Namespace,
    rehearsals: Sequence[Rehearsal],
    path: Path | None,
    deadline_s: float,
) -> Observed:
    """All calls of a load at the same time."""
    observed, connections = Observed(), None if path is None else Connections(path)
    dice = np.random.default_rng(load.seed)
    arrivals = np.sort(dice.uniform(0.0, load.ramp_s, load.sessions))
    kind = {LLM: "always", LIGHT_ONLY: "never"}.get(way, "rule")
    file = Path(args.thresholds) if args.thresholds else SHIPPED
    callers = []
    for number in range(load.sessions):
        scheduler = make_scheduler(kind, args.light, 0.5, file)
        scheduler.reset(number)
        price = Price(args.budget_ms) if way == APC else None
        remote = (
            None if connections is None else AsyncSession(connections, TASK, TASK.context_of(CallSettings()))
        )
        rehearsal = rehearsals[number % len(rehearsals)]
        callers.append(_Caller(rehearsal, scheduler, price, remote, deadline_s, observed))
    begun_s = time.monotonic() + 0.1
    try:
        await asyncio.gather(
            *(
                caller.call(begun_s + at, begun_s + load.duration_s, begun_s + load.counted_from_s)
                for caller, at in zip(callers, arrivals, strict=True)
            )
        )
    finally:
        if connections is not None:
            connections.close()
    return observed


class _Caller:
    """One call, decision by decision at its own times."""

    def __init__(
        self,
        rehearsal: Rehearsal,
        scheduler: Any,
        price: Price | None,
        remote: AsyncSession | None,
        deadline_s: float,
        observed: Observed,
    ) -> None:
        self._rehearsal, self._scheduler, self._price = rehearsal, scheduler, price
        self._remote, self._deadline_s, self._observed = remote, deadline_s, observed

    async def call(self, due_s: float, until_s: float, counted_from_s: float) -> None:
        """Until the load is over; who is late asks late, and catches up."""
        every_s = CallSettings().decide_every_ms / 1000.0
        for number in range(len(self._rehearsal.steps)):
            due_s += every_s
            if max(due_s, time.monotonic()) >= until_s:
                break
            await asyncio.sleep(max(due_s - time.monotonic(), 0.0))
            awake_s = time.monotonic()
            by = await self._decide(number)
            if due_s >= counted_from_s:
                self._observed.delays_ms.append(1000.0 * (time.monotonic() - awake_s))
                self._observed.lags_ms.append(1000.0 * max(awake_s - due_s, 0.0))
                self._observed.by[by] = self._observed.by.get(by, 0) + 1
        if self._remote is not None:
            await self._remote.end()

    async def _decide(self, number: int) -> str:
        """Who decided."""
        begun_s, by = time.monotonic(), BY_LIGHT
        price = 1.0 if self._price is None else self._price.value
        routing = self._scheduler.route(self._rehearsal.facts[number], price)
        asked = routing.to_llm and self._remote is not None
        if asked:
            assert self._remote is not None
            try:
                answer = await self._remote.decide(self._rehearsal.steps[: number + 1], self._deadline_s)
                by = answer.by
            except ServerError as error:
                why = " ".join(word for word in str(error).split() if word.isalpha())[:40]
                self._observed.faults[why] = self._observed.faults.get(why, 0) + 1
        took_ms = 1000.0 * (time.monotonic() - begun_s)
        if by == BY_LLM:
            self._scheduler.heard(took_ms)
        if self._price is not None:
            self._price.decided(took_ms, refused=asked and by != BY_LLM)
        self._observed.asked += asked
        return by
