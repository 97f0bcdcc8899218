"""The processes of ours in the hosts of one lane."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping

from testbed.link.lane import Lane
from testbed.process.child import LINE_LIMIT, Child
from testbed.process.launching import Launching


class LaneProcesses:
    """Starts them, and ends them all together.

    Args:
        launching: forks what it can; None: each has an interpreter of its own.
    """

    def __init__(self, lane: Lane, launching: Launching | None = None) -> None:
        self._lane = lane
        self._launching = launching
        self._children: list[Child] = []

    def pid(self, role: str) -> int:
        """Of a host: the key to its namespaces."""
        return self._lane.pid(role)

    async def start(
        self,
        what: str,
        role: str,
        module: str,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        ends_by: signal.Signals | None = None,
    ) -> Child:
        """Run a module in the host of that role.

        Args:
            what: it is, in words.
            variables: added to its environment.
            ends_by: what tells it to end, where the end of its input does not.
        """
        name, pid = f"lane {self._lane.name}: {what}", self._lane.pid(role)
        if self._launching is not None and module in self._launching.modules:
            process = await self._launching.start(module, arguments, pid, variables or {}, LINE_LIMIT)
            child = Child(name, process, ends_by)
        else:
            words = ("-m", module, *arguments)
            child = await Child.start(name, pid, *words, variables=variables, ends_by=ends_by)
        self._children.append(child)
        return child

    async def close(self) -> None:
        """End them; safe to call twice."""
        children, self._children = self._children, []
        await asyncio.gather(*(child.close() for child in children))
