"""`load`: many simulated calls in real time against the server, each with a decision every 200 ms.

All calls of a load are one batch, which is stepped on the wall clock, a feedback interval at a time; a call's
decisions come at its own interval of four, and its questions at its own place within it. What the server has
not answered in time is the light policy's; an answer is in force from the next feedback on. As for videos
`llm` asks for every decision, first come, first served; `apc` routes, and the server keeps a budget; `light`
asks nobody.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from player.call.path import CallPath
from player.call.settings import CallSettings
from player.call.simulated.batch import SimulatedCalls
from policies.apc.call_facts import CallFacts
from policies.apc.calls.batch import Heard
from policies.apc.calls.policy import SHIPPED, make_scheduler
from policies.apc.dynamic import Price
from policies.apc.load.client import AsyncSession, Connections
from policies.apc.load.command import LLM_DEADLINE_S, served
from policies.apc.load.players import Observed
from policies.apc.load.report import HEADER, line_of, row_of
from policies.apc.names import APC, LIGHT_ONLY, LLM, RESERVE_MS
from policies.apc.policy import BY_LIGHT
from policies.apc.scheduler import Scheduler
from policies.llm.model.adapter import read
from policies.llm.serving.conversation import ServerError
from policies.llm.serving.protocol import BY_LLM
from policies.llm.tasks.call.task import TASK
from policies.llm.tasks.call.wire import CallStep
from traces.families.catalogue import resolve_many
from traces.progress import say
from traces.temporary import temporary_folder

OVER_S = 1.0
"""Calls are longer than they are watched by this."""


@dataclass(frozen=True)
class CallsWatched:
    """How many calls there are, and how long they are watched."""

    sessions: int
    counted_from_s: float
    """Decisions before are not counted: caches and step times are cold."""
    duration_s: float


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Play every load in every way; what `--json` says.

    Raises:
        ValueError, OSError: something named can't be used, or the server does not start.
    """
    rows = []
    say(HEADER)
    with temporary_folder("streambed-load-") as folder:
        for way in args.ways:
            for row in _loads(args, way, folder):
                rows.append(row)
                say(line_of(row))
    return {"rows": rows, "light": args.light, "budget_ms": args.budget_ms, "traces": args.traces}


def _loads(args: argparse.Namespace, way: str, folder: Path) -> Iterator[dict[str, Any]]:
    """A way to decide at every load."""
    own = read(args.adapter, TASK)
    adapter, path = (args.adapter or own.folder).absolute(), folder / f"{way}.sock"
    asked_ms = args.budget_ms - min(RESERVE_MS, args.budget_ms / 10.0)
    deadline_s = LLM_DEADLINE_S if way == LLM else asked_ms / 1000.0
    budget_ms = None if way == LLM else args.budget_ms
    context = (
        contextlib.nullcontext(None)
        if way == LIGHT_ONLY
        else served(path, adapter, max(args.sessions), args.threads, "cpu", budget_ms, task=TASK.name)
    )
    with context:
        for sessions in args.sessions:
            watched = CallsWatched(sessions, args.duration_s / 4.0, args.duration_s)
            observed = asyncio.run(_play(args, way, watched, None if way == LIGHT_ONLY else path, deadline_s))
            yield row_of(observed, watched, way, own.shape.layers, False, args.budget_ms)


async def _play(
    args: argparse.Namespace, way: str, watched: CallsWatched, path: Path | None, deadline_s: float
) -> Observed:
    connections = None if path is None else Connections(path)
    try:
        load = CallsInRealTime(args, way, watched, connections, deadline_s)
        return await load.play()
    finally:
        if connections is not None:
            connections.close()


class CallsInRealTime:
    """All calls of one load."""

    def __init__(
        self,
        args: argparse.Namespace,
        way: str,
        watched: CallsWatched,
        connections: Connections | None,
        deadline_s: float,
    ) -> None:
        traces, count, dice = resolve_many(args.traces), watched.sessions, np.random.default_rng(args.seed)
        self._call = CallSettings(duration_s=watched.duration_s + OVER_S, warm_up_s=0.0)
        over = [traces[n % len(traces)] for n in range(count)]
        starts = [float(dice.uniform(0.0, trace.duration_s)) for trace in over]
        calls = SimulatedCalls(self._call, over, CallPath(), range(count), starts, 1)
        self._heard = Heard(calls, args.light)
        self._watched, self._deadline_s = watched, deadline_s
        kind = {LLM: "always", LIGHT_ONLY: "never"}.get(way, "rule")
        self._schedulers: list[Scheduler] = [
            make_scheduler(kind, args.light, 0.5, SHIPPED) for _ in range(count)
        ]
        self._prices = [Price(args.budget_ms) if way == APC else None for _ in range(count)]
        self._remotes = [
            None if connections is None else AsyncSession(connections, TASK, TASK.context_of(self._call))
            for _ in range(count)
        ]
        self._steps: list[list[CallStep]] = [[] for _ in range(count)]
        self._asking: dict[int, asyncio.Task[None]] = {}
        self._held = np.full(count, np.nan)
        """(calls,) the model's rate where it holds."""
        self._observed = Observed()
        self._begun_s = 0.0

    async def play(self) -> Observed:
        """Until the watch is over."""
        interval_s, every = self._call.feedback_ms / 1000.0, self._call.intervals_a_decision
        count = self._watched.sessions
        self._begun_s = time.monotonic() + 0.1
        for heard in range(round(self._watched.duration_s / interval_s)):
            due_s = self._begun_s + heard * interval_s
            await _sleep_until(due_s)
            self._heard.next()
            for n in range(heard % every, count, every):
                self._decide(n, due_s + interval_s * n / count, due_s)
            self._held[:] = self._heard.set(self._held)
        await asyncio.gather(*self._asking.values())
        await asyncio.gather(*(each.end() for each in self._remotes if each is not None))
        return self._observed

    def _decide(self, n: int, ask_at_s: float, due_s: float) -> None:
        """Call `n` has a decision to make; one that still waits for the last one's answer makes none."""
        self._steps[n].append(self._heard.step(n))
        if n in self._asking:
            return
        price = self._prices[n]
        facts = CallFacts(*self._heard.facts(n))
        routing = self._schedulers[n].route(facts, 1.0 if price is None else price.value)
        if routing.to_llm:
            self._asking[n] = asyncio.ensure_future(self._ask(n, ask_at_s))
            return
        self._held[n] = np.nan
        self._count(n, BY_LIGHT, 0.0, due_s, asked=False)

    async def _ask(self, n: int, at_s: float) -> None:
        await _sleep_until(at_s)
        awake_s, remote, by = time.monotonic(), self._remotes[n], BY_LIGHT
        assert remote is not None
        try:
            answer = await remote.decide(tuple(self._steps[n]), self._deadline_s)
            self._held[n], by = answer.value.kbps, BY_LLM
        except ServerError as error:
            self._held[n] = np.nan
            why = " ".join(word for word in str(error).split() if word.isalpha())[:40]
            self._observed.faults[why] = self._observed.faults.get(why, 0) + 1
        self._count(n, by, 1000.0 * (time.monotonic() - awake_s), at_s, asked=True, awake_s=awake_s)
        del self._asking[n]

    def _count(
        self, n: int, by: str, took_ms: float, due_s: float, asked: bool, awake_s: float | None = None
    ) -> None:
        if asked and by == BY_LLM:
            self._schedulers[n].heard(took_ms)
        if (price := self._prices[n]) is not None:
            price.decided(took_ms, refused=asked and by != BY_LLM)
        self._observed.asked += asked
        if due_s - self._begun_s < self._watched.counted_from_s:
            return
        self._observed.delays_ms.append(took_ms)
        self._observed.lags_ms.append(1000.0 * ((awake_s or time.monotonic()) - due_s))
        self._observed.by[by] = self._observed.by.get(by, 0) + 1


async def _sleep_until(at_s: float) -> None:
    left_s = at_s - time.monotonic()
    if left_s > 0:
        await asyncio.sleep(left_s)
