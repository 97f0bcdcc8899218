"""What runs over lanes, videos or calls, as much as whoever makes lanes has to know of it."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from rich.console import Console

from testbed.lanes.link import Source, WatchedLink
from testbed.lanes.plan import AskedServer, LanePlan
from testbed.lanes.played import Played
from testbed.lanes.processes import LaneProcesses
from testbed.verdict.judge import Verdict

Plan = TypeVar("Plan", bound=LanePlan)
Asked = TypeVar("Asked", bound=LanePlan, contravariant=True)


class LaneResult(Protocol):
    """As much of what came of a session as is asked of any."""

    @property
    def plan(self) -> Any: ...

    @property
    def end(self) -> Any: ...


Result = TypeVar("Result", bound=LaneResult)
Gives = TypeVar("Gives", bound=LaneResult, covariant=True)


class Watcher(Protocol):
    """Who is shown the sessions while they run; `index` tells them apart. What a session tells besides
    depends on what it plays."""

    def end(self, index: int, row: Any) -> None:
        """A session is over."""


class Display(Watcher, Protocol):
    """A watcher that shows sessions on a console."""

    def begin(self, t0: float) -> None:
        """The sessions begin at monotonic time `t0`."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *error: Any) -> None: ...


class Writer(Protocol):
    """Of a record."""

    def finish(self, row: Any) -> None:
        """Write the last line; the record appears under its name."""

    def abandon(self) -> None:
        """There is no record."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *error: Any) -> None: ...


class LaneSession(Protocol[Gives]):
    """A session that waits to begin on its lane."""

    @property
    def plan(self) -> LanePlan: ...

    @property
    def index(self) -> int:
        """By which a `Watcher` knows it."""

    def record(self, link: WatchedLink, server: AskedServer | None) -> Writer:
        """Begin its record.

        Raises:
            OSError: it cannot be written.
        """

    async def play(self, t0: float) -> None:
        """Let it begin at monotonic time `t0`."""

    async def follow(self, writer: Any, watcher: Any) -> Any:
        """Read and write down what it tells until its end; the record's last line: a frozen dataclass with
        `outcome`, `reason`, `elapsed_s`, and `valid` and `link`, in which the verdict comes.

        Raises:
            OSError: the record cannot be written.
            StrictStop: its policy has not decided, and the plan is strict.
        """

    def played(self, end: Any, offset_s: float, wanted_share: float) -> Played:
        """What it tells of its link."""

    def result(self, end: Any, verdict: Verdict, notes: tuple[str, ...]) -> Gives:
        """What came of it."""

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Let it end now; its record names the signal."""

    def kill(self) -> None:
        """Do not wait for it any longer."""

    async def finish_logs(self) -> None:
        """Give its logs their final names, complete and on disk.

        Raises:
            OSError: a log cannot be written.
        """


@runtime_checkable
class Accompanies(Protocol):
    """A session that goes on for as long as others on its lane do."""

    async def enough(self) -> None:
        """These have ended."""


class LoadingSession(Protocol[Gives]):
    """A session whose processes load what they need while the link is made."""

    async def loaded(self) -> None:
        """Wait until they have; again is at once.

        Raises:
            TestbedError: one can't, or not in time.
        """

    async def ready(self) -> LaneSession[Gives]:
        """Prepare it over the link as far as it goes before it begins.

        Raises:
            TestbedError: something did not start.
        """


class Medium(Protocol[Asked, Gives]):
    """Videos or calls."""

    @property
    def forked(self) -> tuple[str, ...]:
        """Modules that a launcher runs for it."""

    def beginning(self, lanes: int) -> str:
        """What is started in each lane, in words."""

    @property
    def probing(self) -> str:
        """What is done between that and the begin, in words."""

    async def source(self, plans: Sequence[Asked], processes: LaneProcesses) -> Source | None:
        """Start what serves a lane's sessions, if anything does.

        Raises:
            TestbedError: it did not start.
        """

    async def load(
        self, plan: Asked, processes: LaneProcesses, server: AskedServer | None, index: int
    ) -> LoadingSession[Gives]:
        """Start a session's processes."""

    def display(self, console: Console, plans: Sequence[Asked]) -> Display:
        """Who shows sessions while they run."""
