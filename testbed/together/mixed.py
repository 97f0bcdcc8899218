"""Calls, videos and bulk flows on one lane: each is what it is alone; the lane's link is judged over all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console

from testbed.calling.calls import CALLS
from testbed.calling.plan import CallPlan
from testbed.cross.lane_flows import FLOWS, CrossPlan, LoadingFlows
from testbed.lanes.link import Source
from testbed.lanes.medium import Display, LoadingSession, Medium
from testbed.lanes.plan import AskedServer, LanePlan
from testbed.lanes.processes import LaneProcesses
from testbed.process.launching import FORKED
from testbed.session.session_plan import SessionPlan
from testbed.session.videos import VIDEOS


class Mixed:
    """A `Medium` (`testbed/lanes/medium.py`) of whatever shares a lane."""

    forked = tuple(dict.fromkeys((*FORKED, *CALLS.forked, FLOWS)))
    probing = "probing each path, then the sessions begin"

    def beginning(self, lanes: int) -> str:
        """What is started in each lane, in words."""
        return "all who share them" if lanes > 1 else "all who share it"

    async def source(self, plans: Sequence[LanePlan], processes: LaneProcesses) -> Source | None:
        """Start the origin, where there is a video.

        Raises:
            TestbedError: it did not start.
        """
        videos = [plan for plan in plans if isinstance(plan, SessionPlan)]
        return await VIDEOS.source(videos, processes) if videos else None

    async def load(
        self, plan: LanePlan, processes: LaneProcesses, server: AskedServer | None, index: int
    ) -> LoadingSession[Any]:
        """Start a session's processes."""
        if isinstance(plan, CrossPlan):
            return await LoadingFlows.start(plan, processes, index)
        return await _medium_of(plan).load(plan, processes, server, index)

    def display(self, console: Console, plans: Sequence[LanePlan]) -> MixedDisplay:
        """Who shows sessions while they run."""
        return MixedDisplay(console, plans)


MIXED = Mixed()


def _medium_of(plan: LanePlan) -> Medium[Any, Any]:
    return CALLS if isinstance(plan, CallPlan) else VIDEOS


class MixedDisplay:
    """A line for whatever happens: two tables that live side by side have no place on a terminal."""

    def __init__(self, console: Console, plans: Sequence[LanePlan]) -> None:
        self._shows: list[Display] = []
        self._of: dict[int, tuple[Any, int]] = {}
        for kind, display in ((SessionPlan, VIDEOS.display), (CallPlan, CALLS.display)):
            mine = [index for index, plan in enumerate(plans) if isinstance(plan, kind)]
            if mine:
                show: Callable[..., Any] = display
                shown = show(console, [plans[index] for index in mine], live=False)
                self._shows.append(shown)
                self._of |= {index: (shown, place) for place, index in enumerate(mine)}

    def begin(self, t0: float) -> None:
        """The sessions begin at monotonic time `t0`."""
        for show in self._shows:
            show.begin(t0)

    def __enter__(self) -> MixedDisplay:
        for show in self._shows:
            show.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for show in self._shows:
            show.__exit__(kind, error, where)

    def _tell(self, what: str, index: int, told: Any) -> None:
        if index in self._of:  # flows have nobody who shows them
            show, place = self._of[index]
            getattr(show, what)(place, told)

    def state(self, index: int, state: Any) -> None:
        """A glance at a session."""
        self._tell("state", index, state)

    def chunk(self, index: int, row: Any) -> None:
        """A video's chunk is in."""
        self._tell("chunk", index, row)

    def decision(self, index: int, row: Any) -> None:
        """A call's rate is set."""
        self._tell("decision", index, row)

    def second(self, index: int, row: Any) -> None:
        """A second of a call is over."""
        self._tell("second", index, row)

    def end(self, index: int, row: Any) -> None:
        """A session is over."""
        self._tell("end", index, row)
