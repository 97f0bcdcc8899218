"""Sessions of viewers to time a model with, or to try a server out."""

from __future__ import annotations

from functools import cache

from policies.llm.tasks.viewport.vectors import Vectors, vectors_of
from policies.llm.tasks.viewport.wire import ViewStep
from policies.viewport.examples import all_windows
from traces.heads.catalogue import watched_videos

VIDEO = "heads[0:1]"


@cache
def _vectors() -> Vectors:
    """(windows, samples, width) of a viewer."""
    return vectors_of(all_windows(watched_videos(VIDEO), None)[0].seen)


def sampled(number: int) -> tuple[dict[str, object], list[ViewStep]]:
    """One of a viewer's windows."""
    vectors = _vectors()
    return {}, [ViewStep.of(sample) for sample in vectors[number % len(vectors)]]
