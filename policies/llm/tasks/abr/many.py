"""`abr.features` of many clients at once, compiled, within rounding."""

from __future__ import annotations

import numpy as np

from player.compiled.compiled import compiled
from policies.llm.tasks.abr.batch import fill_step, room_for_step
from policies.llm.tasks.abr.features import LEVELS, PACKED_GAINS, PACKED_NOMINAL, WIDTH, Vectors
from policies.view.client_rows import ClientRows, PackedRows


def vectors_of(clients: ClientRows) -> Vectors:
    """(rows, WIDTH) of clients whose contexts are `features.packed`; no return is asked for."""
    rows = clients.packed()
    vectors = np.empty((len(rows.numbers), WIDTH), np.float32)
    _fill(rows, vectors)
    return vectors


@compiled
def _fill(rows: PackedRows, vectors: Vectors) -> None:
    most = 0
    for row in range(len(vectors)):
        most = max(most, rows.wholes[row, 2])
    room, past_mbps, past_s = room_for_step(), np.empty(most), np.empty(most)
    for row in range(len(vectors)):
        wholes = rows.wholes[row]
        chunks, begin, known, at = wholes[2], wholes[3], wholes[4], wholes[5]
        video, stall_s = rows.contexts[wholes[6]], 0.0
        for chunk in range(chunks):
            past_mbps[chunk] = rows.past[begin + chunk, 0]
            past_s[chunk] = rows.past[begin + chunk, 1]
            stall_s = rows.past[begin + chunk, 3]
        fill_step(
            vectors[row],
            rows.sizes[at : at + known * LEVELS].reshape(known, LEVELS),
            video[0],
            video[1],
            video[PACKED_GAINS:].reshape(LEVELS, LEVELS),
            video[PACKED_NOMINAL:PACKED_GAINS],
            rows.numbers[row, 0],
            wholes[0],
            wholes[1],
            chunks,
            past_mbps,
            past_s,
            stall_s,
            room,
        )
