"""Recorded sessions are decided as they were: what moves code may not move a decision."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from player.qoe import QoE
from player.registry import load_policy
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from traces.families.catalogue import resolve_many

DECIDED: dict[str, list[str]] = json.loads(
    (Path(__file__).parent / "golden_decisions.json").read_text(encoding="utf-8")
)["decided"]
TRACES = ("4g[0:1]", "3g[1:2]", "wifi[2:3]", "fcc[3:4]")
MODELS = ("netllm", "small", "apc")
CLOSE = 0.05
"""Share of a model's decisions whose best two are so close that another processor's rounding, or another
number format, may choose the other; what follows in the session may differ then."""


def decided(name: str) -> list[str]:
    """The levels of each session."""
    policy = load_policy(f"{name}:server=none" if name in MODELS else name).policy
    levels = []
    for seed, word in enumerate(TRACES):
        (trace,) = resolve_many(word)
        rows, _ = simulate(
            load_video("envivio"),
            trace,
            policy,
            seed=seed,
            qoe=QoE(),
            link=PublishedLink(),
            start_index=1,
            chunks=48,
        )
        levels.append("".join(str(row.level) for row in rows))
    return levels


@pytest.mark.parametrize("name", [name for name in DECIDED if name not in MODELS])
def test_what_only_adds_and_compares_decides_as_before(name: str) -> None:
    assert decided(name) == DECIDED[name]


@pytest.mark.parametrize("name", MODELS)
def test_models_decide_as_before(name: str) -> None:
    pairs = [
        (now, before)
        for mine, kept in zip(decided(name), DECIDED[name], strict=True)
        for now, before in zip(mine, kept, strict=True)
    ]
    assert sum(now != before for now, before in pairs) <= CLOSE * len(pairs)
