"""The view of many clients at once, compiled: what `one.view_of` shows of each, within rounding."""

from __future__ import annotations

import numpy as np

from player.compiled.compiled import compiled
from policies.view.asked import PACKED_LADDER, PACKED_QUALITY
from policies.view.batch import fill_view, room_for_view
from policies.view.client_rows import ClientRows, PackedRows
from policies.view.layout import TOP_MBPS, WIDTH, Vectors


def views_of(clients: ClientRows) -> Vectors:
    """(rows, WIDTH) of clients whose contexts are `Asked.packed`."""
    rows = clients.packed()
    vectors = np.empty((len(rows.numbers), WIDTH), np.float32)
    _fill(rows, vectors)
    return vectors


@compiled
def _fill(rows: PackedRows, vectors: Vectors) -> None:
    most = 0
    for row in range(len(vectors)):
        most = max(most, rows.wholes[row, 2])
    room, past = room_for_view(most), np.empty((3, most))
    for row in range(len(vectors)):
        wholes = rows.wholes[row]
        chunks, begin, known, at = wholes[2], wholes[3], wholes[4], wholes[5]
        asked = rows.contexts[wholes[6]]
        levels, mbps = int(asked[0]), asked[PACKED_LADDER:]
        stall_s, stalled_s = 0.0, 0.0
        for chunk in range(chunks):
            for number in range(3):
                past[number, chunk] = rows.past[begin + chunk, number]
            stall_s = rows.past[begin + chunk, 3]
            stalled_s += stall_s
        fill_view(
            vectors[row],
            rows.sizes[at : at + known * levels].reshape(known, levels),
            levels,
            asked[1],
            TOP_MBPS / mbps[levels - 1],
            asked[PACKED_QUALITY:PACKED_LADDER],
            mbps,
            asked[2],
            asked[3],
            rows.numbers[row, 1],
            rows.numbers[row, 0],
            wholes[0],
            wholes[1],
            chunks,
            past[0],
            past[1],
            past[2],
            stall_s,
            stalled_s,
            room,
        )
