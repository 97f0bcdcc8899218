"""What a session is asked for, as JSON holds it."""

from __future__ import annotations

import itertools
from typing import Any

from policies.llm.serving.fields import FieldError, Fields, length, number, wholes
from policies.view.asked import Asked
from policies.view.layout import MAX_LEVELS

MOST_QUALITY = 1e6
MOST_WEIGHT = 1e6


def dump_asked(asked: Asked) -> dict[str, Any]:
    """A session's context as JSON holds it."""
    return {
        "ladder_kbps": list(asked.ladder_kbps),
        "chunk_s": asked.chunk_s,
        "quality": list(asked.quality),
        "mu": asked.mu,
        "smooth": asked.smooth,
    }


def load_asked(given: object) -> Asked:
    """A session's context.

    Raises:
        FieldError: what of it is not as it must be.
    """
    asked = Fields.of(given, "context")
    ladder = wholes(asked.take("ladder_kbps"), "context.ladder_kbps", MAX_LEVELS)
    if any(low >= high for low, high in itertools.pairwise(ladder)):
        raise FieldError("context.ladder_kbps", f"{list(ladder)}; must increase")
    made = Asked(
        ladder,
        asked.number("chunk_s", 1e-3, 3600.0),
        _quality(asked.take("quality"), len(ladder)),
        asked.number("mu", 0.0, MOST_WEIGHT),
        asked.number("smooth", 0.0, MOST_WEIGHT),
    )
    asked.nothing_else()
    return made


def _quality(given: object, levels: int) -> tuple[float, ...]:
    where = "context.quality"
    if not (isinstance(given, list) and len(given) == levels):
        raise FieldError(where, f"{length(given)}; expected a list of {levels}, one for each level")
    quality = tuple(
        number(value, f"{where}[{place}]", -MOST_QUALITY, MOST_QUALITY) for place, value in enumerate(given)
    )
    if any(low > high for low, high in itertools.pairwise(quality)):
        raise FieldError(where, f"{list(quality)}; must not fall")
    return quality
