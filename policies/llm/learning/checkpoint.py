"""A run of `adapt` on disk, so that a killed one goes on as if it had not been."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from policies.llm.learning.settings import AdaptError, LearningSettings
from policies.llm.model.model import Model
from traces.files import aside
from traces.words import of_a_fault

CHECKPOINT = "checkpoint.pt"
OF_THE_MACHINE = ("threads", "device")
"""Settings that a run may go on with others of."""


@dataclass
class RunState:
    """What changes while a run goes on."""

    step: int = 0
    round: int = 0
    best: float = -math.inf
    best_step: int = 0
    target: float | None = None
    seconds: float = 0.0


def identity(settings: LearningSettings, model: Model, facts: Mapping[str, Any]) -> str:
    """What makes two runs the same one."""
    parts = [asdict(settings), asdict(model.shape), dict(facts), model.base.sha256]
    return json.dumps(parts, sort_keys=True)


def save(path: Path, named: str, state: RunState, model: Model, optimizer: torch.optim.Optimizer) -> None:
    """Write a checkpoint, which appears when it is complete.

    Raises:
        OSError: it can't be written.
    """
    held = {
        "identity": named,
        "state": asdict(state),
        "learned": model.learned_state(),
        "optimizer": optimizer.state_dict(),
    }
    with aside(path) as partial:
        torch.save(held, partial)


def load(
    path: Path, named: str, model: Model, optimizer: torch.optim.Optimizer, place: torch.device
) -> RunState:
    """Put a checkpoint back.

    Raises:
        AdaptError: it is none, or another run's.
    """
    try:
        held = torch.load(path, weights_only=True, map_location=place)
    except Exception as error:
        raise AdaptError(f"{path}: no checkpoint: {of_a_fault(error)}; name another --out") from None
    if not _same_run(held["identity"], named):
        raise AdaptError(
            f"{path}: a run with other settings or another pool; name another --out, or delete the folder"
        )
    model.load_learned(held["learned"])
    optimizer.load_state_dict(held["optimizer"])
    return RunState(**held["state"])


def _same_run(held: str, named: str) -> bool:
    both = json.loads(held), json.loads(named)
    for each in both:
        for name in OF_THE_MACHINE:
            each[0].pop(name, None)
    return bool(both[0] == both[1])
