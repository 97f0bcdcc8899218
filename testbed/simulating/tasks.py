"""What `testbed/simulate.py` simulates: a video, or a call."""

from __future__ import annotations

TASKS = ("video", "call")
VIDEO, CALL = TASKS


def task_of(words: list[str]) -> str:
    """The task that a command line names; video's if it names none, or one that there isn't."""
    for place, word in enumerate(words):
        if word == "--task" and words[place + 1 :][:1] == [CALL]:
            return CALL
        if word == f"--task={CALL}":
            return CALL
    return VIDEO
