"""All viewers of a video by a predictor, and what is recorded of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from player.faults import is_interrupt, one_line
from player.policy import BY_FALLBACK, BY_POLICY
from player.record import FINISHED
from player.tasks.record import TaskEnd
from player.viewport.errors import NAMES, errors_of
from player.viewport.policy import ViewportPolicy, checked_prediction
from player.viewport.record import ViewerRow
from player.viewport.windows import FUTURE, Floats, ViewportObservation, windows_of
from traces.heads.head import WatchedVideo

_DIGITS = 6


def play_viewers(
    video: WatchedVideo, policy: ViewportPolicy, seed: int
) -> tuple[tuple[ViewerRow, ...], TaskEnd]:
    """Predict every window of every judged viewer.

    What a policy raises, or answers that is no prediction, is recorded as the reason why the head stayed
    where it was.
    """
    rows, by, why = [], Counter[str](), ""
    for viewer, trace in enumerate(video.viewers):
        windows = windows_of(video, viewer)
        if not windows.at:
            continue
        predicted, fault = _predicted(policy, windows.seen, seed)
        why = why or fault
        by[BY_FALLBACK if fault else BY_POLICY] += len(windows.at)
        found = errors_of(predicted, windows.future)
        values = {name: [round(float(value), _DIGITS) for value in getattr(found, name)] for name in NAMES}
        rows.append(ViewerRow(trace.viewer, len(windows.at), **values))
    return tuple(rows), TaskEnd(FINISHED, why, sum(by.values()), dict(by))


def _predicted(policy: Any, seen: ViewportObservation, seed: int) -> tuple[Floats, str]:
    try:
        policy.reset(seed)
        return checked_prediction(policy.predict(seen), len(seen.history)), ""
    except BaseException as error:
        if is_interrupt(error):
            raise
        return seen.history[:, -1:].repeat(FUTURE, axis=1), one_line(error)
