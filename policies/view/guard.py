"""Which levels may be taken, whatever a network says: what was seen of the link speaks against others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policies.view import layout
from policies.view.layout import Vectors, options_of

_RECENT = slice(layout.PLANNED + layout.ROBUST, layout.PLANNED + layout.LAST + 1)
_SEEN = [layout.PLANNED + layout.LOW, layout.PLANNED + layout.FAST]


def sane(vectors: Vectors) -> NDArray[np.bool_]:
    """(batch, MAX_LEVELS) which levels may be taken of (batch, WIDTH); of every session one or more.

    A level may not that is `WORST_VALUE` worse than the best

    * at all that RobustMPC, the harmonic mean and the last chunk say: no network has seen every link, and on
      one so slow that nothing like it was learned, this keeps it from a chunk that takes minutes; or
    * at both the slowest tenth of the session's chunks and the fast average, in which an outage weighs as
      long as it lasted, and above what is best at the former: one fast short download is no reason to jump.
    """
    rows = options_of(vectors)
    there = rows[:, :, layout.EXISTS] > 0.0
    hopeless = (rows[:, :, _RECENT] <= layout.WORST_VALUE).all(axis=2)
    best = np.where(there, rows[:, :, _SEEN[0]], -np.inf).argmax(axis=1)
    above = np.arange(layout.MAX_LEVELS) > best[:, None]
    feared = above & (rows[:, :, _SEEN] <= layout.WORST_VALUE).all(axis=2)
    allowed = there & ~hopeless & ~feared
    none = ~allowed.any(axis=1)
    allowed[none] = (there & ~feared)[none]
    return np.asarray(allowed)
