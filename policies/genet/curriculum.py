"""Where does the learner trail the baseline most? Bayesian optimisation over environments (optuna).

Genet's rule (Xia et al., SIGCOMM 2022, section 4): the environment to train on next is the one where
a rule-based baseline is furthest ahead of the present policy, for there it shows that better is possible.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import optuna

from player.simulated.batch.library import Library
from player.simulated.batch.sessions import Setup
from policies.genet.environment import Environment, build, make_trace, video_index, videos
from policies.genet.net import Actor
from policies.genet.score import by_actor, by_baseline, mean_qoe

SESSIONS = 16
"""Of each environment that is tried."""


@dataclass(frozen=True)
class WidestGap:
    """The environment with the largest gap."""

    environment: Environment
    gap: float
    """Baseline's mean QoE less the actor's."""


def gap(actor: Actor, environment: Environment, baseline: str, seed: int, sessions: int = SESSIONS) -> float:
    """How far the baseline is ahead in an environment, in mean QoE a chunk; negative where it trails."""
    random = np.random.default_rng(seed)
    traces = [make_trace(environment, random, str(number)) for number in range(sessions)]
    library = Library(traces, [videos()[video_index(environment)]])
    setup = Setup.of(
        sessions, trace=np.arange(sessions), rtt_ms=environment.rtt_ms, cap_ms=environment.cap_s * 1000.0
    )
    ahead = mean_qoe(library, setup, by_baseline(baseline)) - mean_qoe(library, setup, by_actor(actor))
    return float(ahead.mean())


def search(actor: Actor, baseline: str, trials: int, seed: int) -> WidestGap:
    """The environment with the largest gap of `trials` that a tree-structured Parzen estimator proposes."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=max(trials // 3, 1), multivariate=True
        )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    tried: list[Environment] = []

    def trial_gap(trial: optuna.Trial) -> float:
        environment = build(
            lambda name, span: trial.suggest_float(name, span.low, span.high, log=span.log),
            trial.suggest_categorical,
        )
        tried.append(environment)
        return gap(actor, environment, baseline, seed + trial.number)

    study.optimize(trial_gap, n_trials=trials)
    return WidestGap(tried[study.best_trial.number], study.best_value)
