"""Which slots are taken, how many steps each was fed, and which of them its context holds."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

from policies.llm.engine.contract import EngineFull


@dataclass
class _Slot:
    """A session's place."""

    steps: int = 0
    """Fed in all."""
    begin: int = 0
    """The first step that the context holds."""


@dataclass(frozen=True)
class TakenSteps:
    """What feeding a slot comes to."""

    held: int
    """Steps that its context held before."""
    dropped: int
    """Of those and the new ones, the first so many are not in the context any more."""
    kept: int
    """Steps whose caches still hold."""


class SlotBook:
    """The slots of an engine.

    Args:
        slots: sessions at a time.
        max_steps: of a context; a session that has more begins it anew with its last `keep_steps`.
        caches: whether what a slot holds need not be computed again.
        free: a heap of free slots, where several books have one in common: what one opens is taken for all.
    """

    def __init__(
        self,
        slots: int,
        max_steps: int,
        keep_steps: int,
        caches: bool = True,
        free: list[int] | None = None,
    ) -> None:
        self.slots, self.max_steps, self.keep_steps, self.caches = slots, max_steps, keep_steps, caches
        self._open: dict[int, _Slot] = {}
        self._free = list(range(slots)) if free is None else free
        """A heap: sessions that begin together get neighbouring slots, which a batch can read in place."""

    def __contains__(self, slot: int) -> bool:
        return slot in self._open

    @property
    def free(self) -> int:
        """Slots that are not taken."""
        return len(self._free)

    def open(self) -> int:
        """A free slot, for a new session.

        Raises:
            EngineFull: there is none.
        """
        if not self._free:
            raise EngineFull(f"all {self.slots} slots are taken; close one, or make more slots")
        slot = heappop(self._free)
        self._open[slot] = _Slot()
        return slot

    def close(self, slot: int) -> None:
        """Give a slot back.

        Raises:
            KeyError: it is not open.
        """
        del self._open[slot]
        heappush(self._free, slot)

    def length(self, slot: int) -> int:
        """Steps that a slot has been fed since it was opened.

        Raises:
            KeyError: it is not open.
        """
        return self._open[slot].steps

    def rows(self, slot: int, new: int) -> int:
        """How many steps a forward would compute for so many new ones: more than these where the context
        begins anew, fewer where not all of them are in it.

        Raises:
            KeyError: the slot is not open.
        """
        state = self._open[slot]
        steps = state.steps + new
        begin = self.context(steps)
        kept = state.steps - state.begin if begin == state.begin and self.caches else 0
        return steps - begin - kept

    def context(self, steps: int) -> int:
        """The first step that the decision after `steps` steps sees."""
        beyond = steps - 1 - self.max_steps
        if beyond < 0:
            return 0
        stride = self.max_steps - self.keep_steps
        return (beyond // stride + 1) * stride

    def take(self, slot: int, new: int) -> TakenSteps:
        """Feed a slot with so many steps.

        Raises:
            KeyError: the slot is not open.
        """
        state = self._open[slot]
        held, steps = state.steps - state.begin, state.steps + new
        begin = self.context(steps)
        dropped = begin - state.begin
        state.steps, state.begin = steps, begin
        return TakenSteps(held, dropped, 0 if dropped else held)

    def put_back(self, slot: int, steps: int) -> None:
        """Let a slot be fed anew in place of its last `steps` steps; as many have to follow.

        Raises:
            KeyError: it is not open.
            ValueError: its context doesn't hold so many.
        """
        state = self._open[slot]
        if not 0 < steps <= state.steps - state.begin:
            held = state.steps - state.begin
            raise ValueError(f"slot {slot}: {steps} steps to put back; its context holds {held}")
        state.steps -= steps
