"""Calls over lanes: a sender in the server's host, a receiver in the player's."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from testbed.calling.lane_call import RECEIVER, SENDER, LoadingCall
from testbed.calling.plan import CallPlan
from testbed.calling.watch import CallsDisplay
from testbed.lanes.plan import AskedServer, names_of
from testbed.lanes.processes import LaneProcesses

FORKED = (SENDER, RECEIVER)


class Calls:
    """A `Medium` (`testbed/lanes/medium.py`)."""

    forked = FORKED
    probing = "probing each path, then the calls begin"

    def beginning(self, lanes: int) -> str:
        """What is started in each lane, in words."""
        return "their senders and receivers" if lanes > 1 else "its sender and receiver"

    async def source(self, plans: Sequence[CallPlan], processes: LaneProcesses) -> None:
        """A call is served by nobody."""

    async def load(
        self, plan: CallPlan, processes: LaneProcesses, server: AskedServer | None, index: int
    ) -> LoadingCall:
        """Start a call's processes."""
        return await LoadingCall.start(plan, processes, server, index)

    def display(self, console: Console, plans: Sequence[CallPlan], live: bool = True) -> CallsDisplay:
        """Who shows calls while they run; `live`: as a table, where there is a terminal for it."""
        return CallsDisplay(console, names_of(plans), plans[0], live)


CALLS = Calls()
