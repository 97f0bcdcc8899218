"""Who teaches the model of calls: the small net, or what is told the link.

The small net has learned already how little may be risked where little is known, and its rates are no guess
about the future: the model comes near them with few examples. What is told the link (`small/labels.py`) knows
what nobody can, and a mean of its rates risks too much.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from player.call.feedback_batch import FeedbackBatch
from player.call.simulated.batch import SimulatedCalls
from policies.call.small.collect import OVER, Drives, by_rule
from policies.call.small.labels import teach_all, told_links
from policies.call.small.policy import Small
from policies.llm.tasks.call.names import LINK, SMALL, TEACHERS


def teacher_of(name: str, calls: SimulatedCalls) -> Drives:
    """(feedback, anything) to the teacher's (N,) rates at a feedback of a batch that begins now.

    The small net's go up to `OVER` times what a call may ask for, as labels do.

    Raises:
        ValueError: no such teacher.
    """
    if name == SMALL:
        roomy = replace(calls.call, max_kbps=OVER * calls.call.max_kbps)
        return by_rule(Small().compiled_rule(), roomy, len(calls))
    if name != LINK:
        raise ValueError(f"teacher {name!r}; there are {', '.join(TEACHERS)}")
    links, told = told_links(calls), np.zeros(len(calls))

    def teaches(feedback: FeedbackBatch, other: NDArray[np.float64]) -> NDArray[np.float64]:
        teach_all(links, feedback, told)
        return told

    return teaches
