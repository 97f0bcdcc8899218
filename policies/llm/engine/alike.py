"""Rows that come out the same alone and in company, so that sessions may be decided together and the record
of each is as if it had been decided alone, to the last bit.

A matrix product of one to three rows goes another way through the library than one of more and adds up in
another order; from `LEAST_ROWS` on a row is the same whatever stands beside it (MKL and oneDNN, with and
without bfloat16). So fewer are filled up. Attention is computed for sessions of the same length at a
time, for a longer neighbour would change where its sums are cut. That a machine's libraries keep to this is
tried out, not believed (`same_in_company`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

LEAST_ROWS = 4
TRIED_STEPS = 3
"""Of the tried sessions: a first, a second, and one more."""
TRIED_ALONE = 4

Forward = Callable[[Sequence[tuple[int, NDArray[np.float32]]]], NDArray[np.float32]]


def filled(rows: torch.Tensor) -> torch.Tensor:
    """The rows, with zeros below where they are fewer than `LEAST_ROWS`."""
    lacking = LEAST_ROWS - len(rows)
    return rows if lacking <= 0 else functional.pad(rows, (0, 0) * (rows.dim() - 1) + (0, lacking))


def linear(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """`functional.linear` of (N, width) rows."""
    return functional.linear(filled(rows), weight, bias)[: len(rows)]


@dataclass(frozen=True)
class AlikeSessions:
    """Sessions of a batch that hold as many tokens and bring as many new ones."""

    rows: slice | torch.Tensor
    """Of the batch, session by session."""
    slots: slice | torch.Tensor
    count: int
    held: int
    new: int


def grouped(slots: Sequence[int], held: Sequence[int], counts: Sequence[int]) -> list[AlikeSessions]:
    """A batch's sessions, those that are alike together."""
    kinds: dict[tuple[int, int], list[int]] = {}
    for session, kind in enumerate(zip(held, counts, strict=True)):
        kinds.setdefault(kind, []).append(session)
    begins = [0, *np.cumsum(counts).tolist()]
    found = []
    for (before, new), sessions in kinds.items():
        rows = [row for session in sessions for row in range(begins[session], begins[session] + new)]
        places = _compact([slots[session] for session in sessions])
        found.append(AlikeSessions(_compact(rows), places, len(sessions), before, new))
    return found


def _compact(numbers: list[int]) -> slice | torch.Tensor:
    """Neighbours as a slice, which copies nothing."""
    if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return slice(numbers[0], numbers[0] + len(numbers))
    return torch.tensor(numbers)


def attend(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, groups: Sequence[AlikeSessions]
) -> torch.Tensor:
    """(N, heads x head width): each new token over its own session up to itself.

    Args:
        query: (N, heads, head width).
        keys, values: (slots, kv heads, most tokens, head width), the new ones among them.
    """
    heads, wide = query.shape[1:]
    mixed = torch.empty_like(query)
    for group in groups:
        longest = group.held + group.new
        seen_keys, seen_values = (cache[group.slots, :, :longest] for cache in (keys, values))
        asked, mask = query[group.rows], None
        if group.new == 1:  # the heads that share keys are as rows of one query
            asked = asked.view(group.count, keys.shape[1], -1, wide)
        else:
            asked = asked.view(group.count, group.new, heads, wide).transpose(1, 2)
            places = torch.arange(longest)
            mask = places <= places[group.held :, None]
        answer = functional.scaled_dot_product_attention(
            asked, seen_keys, seen_values, attn_mask=mask, enable_gqa=group.new > 1
        )
        if group.new > 1:
            answer = answer.transpose(1, 2)
        mixed[group.rows] = answer.reshape(-1, heads, wide)
    return mixed.flatten(1)


def same_in_company(open_slot: Callable[[], int], forward: Forward, sessions: int, width: int) -> bool:
    """Whether sessions decided together come out as alone to the last bit, tried with random steps.

    Args:
        open_slot: a free slot; called `sessions` times and `TRIED_ALONE` times more.
        forward: an engine's.
        width: of a step.
    """
    steps = np.random.default_rng(0).standard_normal((sessions, TRIED_STEPS, width)).astype(np.float32)
    together = [open_slot() for _ in range(sessions)]
    chosen = np.linspace(0, sessions - 1, TRIED_ALONE).astype(int)
    alone = {int(session): open_slot() for session in chosen}
    for step in range(TRIED_STEPS):
        fed = steps[:, step : step + 1]
        found = forward(list(zip(together, fed, strict=True)))
        for session, slot in alone.items():
            if not np.array_equal(forward([(slot, fed[session])])[0], found[session]):
                return False
    return True
