"""One run: calls of others first, then rounds of the net's own calls, with all learned again each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from player.call.settings import CallSettings
from policies.call.gcc import GCC
from policies.call.small.collect import Drives, Watched, by_oracle_astray, by_rule, collected
from policies.call.small.learn import as_arrays, learn, new_net
from policies.call.small.net import SmallNet
from policies.call.small.policy import rule_of
from policies.call.small.settings import TrainSettings
from traces.trace import Trace


def train(
    sets: Sequence[Sequence[Trace]],
    overs: Sequence[float],
    settings: TrainSettings,
    say: Callable[[str], None],
) -> tuple[SmallNet, float]:
    """The net that a run comes to, and its error while it learned last, of the logarithm of rates.

    Args:
        sets: calls are drawn from all their traces, each from a moment that is drawn.
        overs: of each set what the square of an error upwards counts, of one downwards.
    """
    torch.set_num_threads(settings.threads)
    random, call = np.random.default_rng(settings.seed), CallSettings()
    net = new_net(settings.seed)
    traces = [trace for traces in sets for trace in traces]
    over = np.repeat(np.asarray(overs, np.float32), [len(each) for each in sets])

    def more(number: int, makes: Callable[[int], Drives]) -> Watched:
        places = random.integers(len(traces), size=number)
        drawn = [traces[place] for place in places]
        found = collected(drawn, call, random, makes, as_arrays(net), settings.threads, settings.margin)
        return replace(found, over=over[places])

    half = max(settings.calls // 2, 1)
    known = [
        more(half, partial(by_rule, GCC().compiled_rule(), call)),
        more(half, partial(by_oracle_astray, random)),
    ]
    for number in range(settings.rounds):
        error = learn(net, Watched.joined(known), settings.steps, random)
        say(f"seed {settings.seed}, before round {number + 1}: error {error:.4f} of log rate")
        mine = rule_of(as_arrays(net), 1.0)
        known.append(more(settings.calls, partial(by_rule, mine, call)))
    error = learn(net, Watched.joined(known), settings.last_steps, random)
    say(f"seed {settings.seed}, after {settings.rounds} rounds: error {error:.4f} of log rate")
    return as_arrays(net), error
