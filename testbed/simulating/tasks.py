"""What `testbed/simulate.py` simulates: a video, a call, where viewers look, or a cluster's jobs."""

from __future__ import annotations

TASKS = ("video", "call", "viewport", "jobs")
VIDEO, CALL, VIEWPORT, JOBS = TASKS


def task_of(words: list[str]) -> str:
    """The task that a command line names; video's if it names none, or one that there isn't."""
    for place, word in enumerate(words):
        named = words[place + 1 :][:1] if word == "--task" else [word.removeprefix("--task=")]
        if word.startswith("--task") and named and named[0] in TASKS:
            return named[0]
    return VIDEO
