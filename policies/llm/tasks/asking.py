"""What `netllm` of every task has in common: who decides for it, and its session with the model."""

from __future__ import annotations

import copy
from typing import Any, Self

from player.policy import ServerCommand
from policies.llm.tasks.decider import DecidedSession, Decider


class Asking:
    """Asks the model that a decider finds. Making it loads no model.

    Args:
        decider: of the policy's task.
    """

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self.weights_sha256 = decider.weights_sha256
        self._session: DecidedSession | None = None

    @property
    def arithmetic(self) -> str | None:
        """What the model is computed in, as far as it is known: once a session has begun."""
        return None if self._session is None else self._session.arithmetic

    @property
    def remote(self) -> bool:
        """Whether this session is a server's, which may be late, and not this process's."""
        return self._session is not None and self._session.remote

    def server(self) -> ServerCommand | None:
        """What a run has to start; None where the user said who decides."""
        return self._decider.command()

    def reach(self) -> None:
        """Raises ValueError where a server was named and doesn't answer, or has another adapter. One that
        goes away later is the fallback's business."""
        self._decider.reach()

    def another(self) -> Self:
        """One more, without reading the adapter again."""
        made = copy.copy(self)
        made._session = None
        return made

    def together(self) -> int:
        """Many where the model is in this process; a server batches by itself."""
        return self._decider.together()

    def ready_together(self) -> int:
        """1 where this machine's arithmetic differs in company.

        Raises:
            ValueError: the model can't be loaded.
        """
        return self._decider.ready_together()

    def _begin(self, context: Any) -> None:
        """A new session in the last one's place; where the model is in this process, it is loaded now.

        Raises:
            ValueError: it can't be loaded, or a server has another adapter.
        """
        if self._session is not None:
            self._session.end()
        self._session = self._decider.begin(context)
