"""Whether occlusion ranks as the exact ablation does, which computes every session without a thing anew.

For each decision two rankings of the same modalities and chunks, by what they contribute; all pairs of all
decisions are counted. The exact ablation has no cache and takes nothing over: inputs, contexts and outputs
are made from the session's first step on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.bootstrap import percentile_interval
from policies.explain.occlusion import Mask, Occluded, modality_masks, without_chunk
from policies.explain.replayed import TaskSteps
from policies.llm.engine.engine import Engine
from policies.llm.serving.transcript import Transcript
from policies.llm.task import Vectors
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.wire import VideoStep


@dataclass(frozen=True)
class DecisionPairs:
    """One decision's pairs of things, ranked by both."""

    session: int
    same: int
    """Pairs in the same order."""
    pairs: int
    correlation: float
    """Of ranks (Spearman)."""
    seconds: float
    """That the exact ablation took, …"""
    cheap_s: float
    """… and occlusion."""


def exactly(engine: Engine, session: TaskSteps, chunk: int, like: Occluded) -> Occluded:
    """A decision's scores with everything and without the same things, each from nothing."""
    masks, steps = modality_masks(engine), session.steps[: chunk + 1]
    vector, whole = _scores(engine, session, steps, None, None)
    modalities = {name: _scores(engine, session, steps, masks[name], vector)[1] for name in like.modalities}
    chunks = {}
    for each in like.chunks:
        without = without_chunk(session, each)
        assert without is not None
        chunks[each] = _scores(engine, session, without[: chunk + 1], None, vector)[1]
    return Occluded(vector, whole, modalities, chunks)


def _scores(
    engine: Engine, session: TaskSteps, steps: Sequence[VideoStep], mask: Mask | None, vector: Vectors | None
) -> tuple[Vectors, Vectors]:
    """The last step's input, and its scores, of a session told from nothing.

    Args:
        vector: the input that says which options may be taken; the step's own where None.
    """
    rows = Transcript(TASK, session.context, engine.info.target).features(steps)
    slot = engine.open()
    try:
        (output,) = engine.recompute([(slot, mask(rows) if mask else rows)])
    finally:
        engine.close(slot)
    seen = rows[-1] if vector is None else vector
    return seen, TASK.scores(output, seen)


def compared(
    engine: Engine, session: TaskSteps, chunk: int, cheap: Occluded, cheap_s: float, of: int
) -> DecisionPairs | None:
    """One decision's two rankings; None where there is nothing to rank.

    Args:
        cheap: by occlusion, which took `cheap_s`.
        of: the session's number.
    """
    began_s = time.perf_counter()
    exact = exactly(engine, session, chunk, cheap)
    took_s = time.perf_counter() - began_s
    one, other = (
        np.array([*modalities.values(), *chunks.values()])
        for modalities, chunks in (cheap.contributions(), exact.contributions())
    )
    if len(one) < 2:
        return None
    upper = np.triu_indices(len(one), 1)
    orders = [np.sign(each[:, None] - each[None, :])[upper] for each in (one, other)]
    same = int((orders[0] == orders[1]).sum())
    return DecisionPairs(of, same, len(orders[0]), _spearman(one, other), took_s, cheap_s)


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    ranks = [np.argsort(np.argsort(each)).astype(float) for each in (one, other)]
    return float(np.corrcoef(ranks)[0, 1])


def agreement(found: Sequence[DecisionPairs]) -> dict[str, float | int | list[float]]:
    """Share of pairs in the same order, with an interval over sessions, and the mean rank correlation."""
    same, pairs = (np.array([getattr(each, name) for each in found], float) for name in ("same", "pairs"))
    low, high = percentile_interval(same / pairs, [each.session for each in found])
    return {
        "decisions": len(found),
        "pairs": int(pairs.sum()),
        "same_order": float(same.sum() / pairs.sum()),
        "same_order_ci95": [low, high],
        "rank_correlation": float(np.mean([each.correlation for each in found])),
        "exact_ms": 1000.0 * float(np.mean([each.seconds for each in found])),
        "occlusion_ms": 1000.0 * float(np.mean([each.cheap_s for each in found])),
    }
