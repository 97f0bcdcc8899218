"""One step of many sessions as a CUDA graph: recorded once, played again without a launch from Python.

A step of a small model is hundreds of short kernels, and while few sessions are decided at once a GPU waits
for the next launch most of the time. A graph needs shapes and addresses that stay: so the batch has a fixed
number of sessions, each of which brings one token, and looks over the whole room of its context with what is
not there yet masked out. That is more arithmetic, which pays while launches cost more; `python -m
policies.llm gpu` measures where.

On a CPU the same step is computed without a recording, so that its arithmetic can be tested there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from policies.llm.engine.packed import PackedModel

WARM_UPS = 3
"""Steps before the recording, as torch asks for: libraries set memory aside in the first ones."""
Recorder = Callable[[Callable[[], torch.Tensor]], tuple[Callable[[], None], torch.Tensor]]
"""Takes a computation; gives back what repeats it, and where its result will lie."""


class GraphedStep:
    """A model's step for a fixed number of sessions.

    Args:
        model: whose caches are used and written.
        sessions: of every batch.
        record: None for a CUDA graph on a GPU, and plain calls on a CPU.
    """

    def __init__(self, model: PackedModel, sessions: int, record: Recorder | None = None) -> None:
        self._model = model
        room, self._shared, dtype, device = model.room
        self._places = _FixedBatch(sessions, room, device)
        width = model.width
        self._hidden = torch.zeros(sessions, width, device=device, dtype=dtype)
        recorder = record or (recorded if device.type == "cuda" else plain)
        self._replay, self._states = recorder(lambda: model.through(self._hidden, self._places))

    def forward(self, slots: Sequence[int], held: Sequence[int], tokens: torch.Tensor) -> torch.Tensor:
        """(sessions, width) the states after one new token in each slot.

        Args:
            held: tokens that each slot holds already.
            tokens: (sessions, width)
        """
        self._places.put(slots, [self._shared + each for each in held])
        self._hidden.copy_(tokens)
        self._replay()
        return self._states


class _FixedBatch:
    """As many sessions as ever, one token each, over the whole room of their contexts."""

    def __init__(self, sessions: int, room: int, device: torch.device) -> None:
        self.longest = room
        self.slot = torch.arange(sessions, device=device)
        self.position = torch.zeros(sessions, dtype=torch.long, device=device)
        self.last = torch.arange(sessions, device=device)
        self._rooms = torch.arange(room, device=device)
        self.mask: torch.Tensor | None = torch.zeros(sessions, 1, 1, room, dtype=torch.bool, device=device)
        self.put(list(range(sessions)), [0] * sessions)

    def put(self, slots: Sequence[int], held: Sequence[int]) -> None:
        """Where the next step stands; in place, for a recording knows addresses alone."""
        self.slot.copy_(torch.tensor(list(slots)))
        self.position.copy_(torch.tensor(list(held)))
        assert self.mask is not None
        self.mask.copy_((self._rooms <= self.position[:, None])[:, None, None])

    def of_sessions(self, cache: torch.Tensor) -> torch.Tensor:
        """(sessions, …) of (slots, …)."""
        return cache[self.slot]

    def padded(self, rows: torch.Tensor) -> torch.Tensor:
        """(sessions, 1, …) of (sessions, …)."""
        return rows.unsqueeze(1)

    def unpadded(self, filled: torch.Tensor) -> torch.Tensor:
        """The way back."""
        return filled.squeeze(1)


def plain(compute: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
    """No recording: every replay computes."""
    states = compute().clone()

    def replay() -> None:
        states.copy_(compute())

    return replay, states


def recorded(compute: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
    """A CUDA graph of a computation."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UPS):
            compute()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        states = compute()
    return graph.replay, states
