"""One run: calls of others first, then rounds of the net's own calls, and all of it learned again each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from player.call.settings import CallSettings
from policies.call.gcc import GCC
from policies.call.small.collect import Drives, Watched, by_oracle_astray, by_rule, collected
from policies.call.small.learn import as_arrays, learn, new_net
from policies.call.small.net import SmallNet
from policies.call.small.policy import rule_of
from traces.commands import option
from traces.numbers import count, whole
from traces.trace import Trace


@dataclass(frozen=True)
class TrainSettings:
    """What a run does; two runs with equal settings and traces are equal on one machine."""

    seed: int = option(1, whole, "of all that is drawn")
    calls: int = option(384, count, "before the first round, and in each")
    rounds: int = option(3, whole, "of the net's own calls")
    steps: int = option(2500, count, "of the optimizer, before the first round and after each but the last")
    last_steps: int = option(8000, count, "after the last round")
    threads: int = option(1, count, "cores to use")


def train(traces: Sequence[Trace], settings: TrainSettings, say: Callable[[str], None]) -> SmallNet:
    """The net that a run comes to.

    Args:
        traces: calls are drawn from them, each from a moment that is drawn.
    """
    torch.set_num_threads(settings.threads)
    random, call = np.random.default_rng(settings.seed), CallSettings()
    net = new_net(settings.seed)

    def more(number: int, makes: Callable[[int], Drives]) -> Watched:
        drawn = [traces[place] for place in random.integers(len(traces), size=number)]
        return collected(drawn, call, random, makes, as_arrays(net), settings.threads)

    half = max(settings.calls // 2, 1)
    known = [
        more(half, lambda calls: by_rule(GCC().compiled_rule(), call, calls)),
        more(half, lambda calls: by_oracle_astray(random, calls)),
    ]
    for number in range(settings.rounds + 1):
        last = number == settings.rounds
        error = learn(net, Watched.joined(known), settings.last_steps if last else settings.steps, random)
        say(f"seed {settings.seed}, round {number} of {settings.rounds}: error {error:.4f} (log rate)")
        if not last:
            mine = rule_of(as_arrays(net), 1.0)
            known.append(more(settings.calls, lambda calls, mine=mine: by_rule(mine, call, calls)))  # type: ignore[misc]
    return as_arrays(net)
