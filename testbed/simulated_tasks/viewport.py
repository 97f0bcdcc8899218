"""The task of viewports, for `simulate.py`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.tasks.figures import VIEWPORT_FIGURES
from player.registry import VIEWPORT
from player.tasks.record import TaskEnd
from player.viewport.playing import play_viewers
from player.viewport.record import VIEWPORT_RECORD
from player.viewport.windows import FUTURE, HEAD, HISTORY, STEP, TAIL
from testbed.simulated_tasks.task import Playable
from traces.heads.catalogue import watched_videos
from traces.heads.files import viewers_in


class ViewportTask:
    """Predictors over videos and their viewers."""

    kind = VIEWPORT
    records = VIEWPORT_RECORD
    figures = VIEWPORT_FIGURES
    default_policy = "static"
    errors: tuple[type[Exception], ...] = ()

    def playables(self, args: argparse.Namespace) -> list[Playable]:
        """The videos.

        Raises:
            HeadError: a word that names none, a file that is no recording.
        """
        earlier = viewers_in(args.earlier) if args.earlier else frozenset()
        return [
            Playable(video.name, spec, video.family, video.sha256, video)
            for spec in args.traces
            for video in watched_videos(spec, earlier)
        ]

    def facts(self, args: argparse.Namespace) -> Mapping[str, Any]:
        """The windows, and whose recordings are known besides."""
        windows = {"history": HISTORY, "future": FUTURE, "step": STEP, "head": HEAD, "tail": TAIL}
        earlier = None if args.earlier is None else args.earlier.resolve().name
        return {"windows": windows, "others": {"earlier": earlier}}

    def play(
        self, playables: Sequence[Playable], facts: Mapping[str, Any], policy: Any, seed: int
    ) -> Iterator[tuple[Sequence[Any], TaskEnd]]:
        """All viewers of each video."""
        for playable in playables:
            yield play_viewers(playable.content, policy, seed)
