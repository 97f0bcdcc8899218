"""One session to stream, what came of it, and who it talks to while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from player.buffer import USUAL_THRESHOLDS, BufferThresholds
from player.defaults import FALLBACK
from player.qoe import QoE
from player.record import FINISHED, ChunkRow, EndRow, by_fallback_alone
from player.transport.names import H1
from player.video.video import Video
from testbed.browser.clients import PYTHON
from testbed.lanes.members import VIDEO
from testbed.lanes.plan import LanePlan
from testbed.session.live_plan import LivePlan
from testbed.verdict.judge import Verdict


@dataclass(frozen=True, kw_only=True)
class SessionPlan(LanePlan):
    """One video to stream."""

    kind: ClassVar[str] = VIDEO

    video: Video
    """Cut to the chunks to be streamed."""
    video_spec: str
    qoe: QoE
    decision_deadline_s: float
    thresholds: BufferThresholds = USUAL_THRESHOLDS
    """When its player asks for more, and when it plays."""
    client: str = PYTHON
    """Who plays it: our player, or dash.js in a browser."""
    live: LivePlan | None = None
    """None: all of the video is there."""
    scored: QoE | None = None
    """What it is scored by; None: what its policy is told."""
    transport: str = H1
    """By which its chunks are fetched: one of `player.transport.names.TRANSPORTS`."""
    fallback: str = FALLBACK
    """The spec of who decides where the policy can't."""

    @property
    def scored_by(self) -> QoE:
        """What its figures are made by."""
        return self.qoe if self.scored is None else self.scored


@dataclass(frozen=True)
class SessionResult:
    """What came of it."""

    plan: SessionPlan
    chunks: tuple[ChunkRow, ...]
    end: EndRow
    verdict: Verdict
    notes: tuple[str, ...] = ()
    """What happened to the server that its policy asks."""
    beside: tuple[Any, ...] = ()
    """What came of the others on its lane."""


def finished(result: SessionResult) -> bool:
    """Whether the whole video was played over a link that was true, and not by the fallback alone."""
    alone = by_fallback_alone({row.by for row in result.chunks})
    return result.end.outcome == FINISHED and result.end.valid and not alone


class Watcher(Protocol):
    """Who is shown the sessions while they run; `index` tells them apart."""

    def state(self, index: int, state: dict[str, Any]) -> None:
        """A glance at a player, about four times a second."""

    def chunk(self, index: int, row: ChunkRow) -> None:
        """A chunk is in."""

    def end(self, index: int, row: EndRow) -> None:
        """A session is over."""
