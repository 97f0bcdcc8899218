"""Videos over lanes: an origin in the server's host, a player in the player's."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from rich.console import Console

from player.record import ORIGIN_LOST
from testbed.lanes.link import Source
from testbed.lanes.plan import AskedServer, names_of
from testbed.lanes.processes import LaneProcesses
from testbed.link.lane import ORIGIN_PORT, SERVER_IP
from testbed.process.launching import FORKED
from testbed.session.lane_player import LoadingPlayer
from testbed.session.session_plan import SessionPlan
from testbed.session.transports import origin_variables
from testbed.session.watch import SessionsDisplay


class Videos:
    """A `Medium` (`testbed/lanes/medium.py`)."""

    forked = FORKED
    probing = "probing each path, then the players read the MPD over it"

    def beginning(self, lanes: int) -> str:
        """What is started in each lane, in words."""
        return "their origins and players" if lanes > 1 else "its origin and player"

    async def source(self, plans: Sequence[SessionPlan], processes: LaneProcesses) -> Source:
        """Start the origin; all have the same video.

        Raises:
            TestbedError: it did not start.
        """
        plan = plans[0]
        part_s = plan.live.part_s if plan.live is not None else None
        origin = await processes.start(
            "origin",
            "server",
            "testbed.origin",
            *("--host", SERVER_IP, "--port", str(ORIGIN_PORT), "--json"),
            *("--cc", plan.settings.congestion_control, "--video", plan.video_spec),
            *("--segments", "kept", "--log", str(plan.aside("origin.jsonl"))),
            *(("--part-s", repr(part_s)) if part_s is not None else ()),
            *("--transport", plan.transport),
            variables=origin_variables(plan.transport),
            ends_by=signal.SIGTERM,  # it serves until it is told to stop, whatever its input does
        )
        await origin.first_line()
        return Source("the origin", origin, ORIGIN_LOST)

    async def load(
        self, plan: SessionPlan, processes: LaneProcesses, server: AskedServer | None, index: int
    ) -> LoadingPlayer:
        """Start a player."""
        return await LoadingPlayer.start(plan, processes, server, index)

    def display(self, console: Console, plans: Sequence[SessionPlan], live: bool = True) -> SessionsDisplay:
        """Who shows sessions while they run.

        Args:
            live: as a table, where there is a terminal for it.
        """
        first = plans[0]
        return SessionsDisplay(console, names_of(plans), first.video, first.trace, first.start_s, live)


VIDEOS = Videos()
