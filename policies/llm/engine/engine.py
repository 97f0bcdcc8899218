"""Deciding with an adapter: many sessions, each with its KV cache, in one batched forward.

Llama's and Qwen2's family get a forward of our own (`packed.py`): LoRA merged into the weights, fused
projections, caches that were set aside before. Any other architecture is asked through transformers, the
whole context anew at every step: right, but slower (`whole.py`).

A context holds at most `max_steps` steps. A session that has more begins it anew with its last
`keep_steps`, and goes on: which steps a decision sees depends on their number alone, so that it is the
same whether they came one by one or all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from policies.llm.engine import block_product
from policies.llm.engine.alike import TRIED_ALONE, filled, same_in_company
from policies.llm.engine.block_model import INT8, BlockModel
from policies.llm.engine.contract import EngineInfo
from policies.llm.engine.packed import PACKED_KINDS, PackedModel
from policies.llm.engine.slots import SlotBook
from policies.llm.engine.weight_blocks import BLOCK
from policies.llm.engine.whole import Whole
from policies.llm.model import heads
from policies.llm.model.adapter import Adapter, check_layers, check_sizes, read
from policies.llm.model.base import Base
from policies.llm.model.encoder import Encoder
from policies.llm.model.model import within
from policies.llm.task import Task

SLOTS = 64


class Runner(Protocol):
    """A language model that continues the contexts of slots."""

    parameters: int
    caches: bool
    """Whether what a slot holds need not be computed again."""

    def forward(
        self, slots: Sequence[int], held: Sequence[int], tokens: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """(work, width) the state after each slot's last new token.

        Args:
            held: tokens that each slot holds already; what lies beyond is forgotten.
            tokens: (new, width) of each slot.
        """

    def share(self, prefix: torch.Tensor) -> None:
        """Begin every slot's context with the same (tokens, width); what `held` counts comes after it."""


@dataclass(frozen=True)
class EngineRoom:
    """What engines of several tasks have in common."""

    runner: Runner
    """With as many slots as each of them."""
    free: list[int]
    """A heap of the slots that no task has taken."""
    dtype: str
    """What the runner computes in."""


class Engine:
    """Many sessions' contexts and one batched forward. One caller at a time, as `contract.py` has it.

    Args:
        task: what is decided.
        adapter: a folder; None takes the task's shipped one.
        device: `cpu`, `cuda`, or `auto`: a GPU where there is one.
        slots: sessions at a time.
        max_steps: of a context; None takes the adapter's.
        threads: of torch, for this process; None leaves them.
        dtype: `float32`, `bfloat16`, `int8`, or `auto`: see `pick_arithmetic`.
        alike: a session's answers don't depend on who else is in the batch, as far as the machine can
            (`same_together` says). Costs a lone session a little, and mixed batches more.
        room: what it has in common with engines of other tasks (`several.py`); None: nothing.

    Raises:
        AdapterError, BaseError: something is not there or does not fit.
        ValueError: no such device.
    """

    def __init__(
        self,
        task: Task,
        adapter: Path | None = None,
        *,
        device: str = "auto",
        slots: int = SLOTS,
        max_steps: int | None = None,
        threads: int | None = None,
        dtype: str = "auto",
        alike: bool = False,
        room: EngineRoom | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.adapter = read(adapter, task)
        self.slots = slots
        self._max_steps = max_steps if max_steps is not None else self.adapter.max_steps
        self._keep_steps = min(self.adapter.keep_steps, max(self._max_steps - 1, 1))
        self._device = pick_device(device)
        base, tensors = self.adapter.base(), self.adapter.tensors()
        check_layers(self.adapter, tensors, base.layers)
        check_sizes(self.adapter, tensors, base.width)
        self._alike, free = alike, None
        if room is None:
            kind = pick_arithmetic(dtype, self._device, base)
            parts = self.adapter, base, tensors, self._device
            self._runner = runner_of(*parts, kind, slots, self._max_steps, alike)
        else:
            self._runner, free, kind = room.runner, room.free, room.dtype
        self._encoder, self._head = _ends(self.adapter, base, tensors, self._device)
        self._width = task.width
        self._steps = np.zeros((slots, self._max_steps, self._width), np.float32)
        self.book = SlotBook(slots, self._max_steps, self._keep_steps, self._runner.caches, free)
        self.info = self._told(base, kind)

    def _told(self, base: Base, kind: str) -> EngineInfo:
        adapter, parts = self.adapter, (*self._encoder.parameters(), *self._head.parameters())
        return EngineInfo(
            task=adapter.task,
            base=base.name,
            base_sha256=base.sha256,
            adapter_sha256=adapter.sha256,
            layers=adapter.shape.layers,
            device=str(self._device),
            dtype=kind,
            feature_width=self._width,
            outputs=adapter.head.width,
            max_steps=self._max_steps,
            parameters=self._runner.parameters + sum(each.numel() for each in parts),
            tokens_per_step=adapter.shape.tokens,
            target=adapter.target,
        )

    @property
    def runner(self) -> Runner:
        """The language model."""
        return self._runner

    def open(self) -> int:
        """A free slot, for a new session.

        Raises:
            EngineFull: there is none.
        """
        return self.book.open()

    def close(self, slot: int) -> None:
        """Give a slot back.

        Raises:
            KeyError: it is not open.
        """
        self.book.close(slot)

    @cached_property
    def same_together(self) -> int:
        """How many sessions may be decided in one batch with each one's answers as alone, to the last bit; 1
        where that isn't asked for or this machine's libraries don't do it. Tried out, in free slots.
        """
        sessions = self.slots - TRIED_ALONE
        tried = min(sessions, self.book.free - TRIED_ALONE)
        if not self._alike or tried < 2:
            return 1
        taken: list[int] = []

        def open_slot() -> int:
            taken.append(self.open())
            return taken[-1]

        try:
            same = same_in_company(open_slot, self.forward, tried, self._width)
        finally:
            for slot in taken:
                self.close(slot)
        return sessions if same else 1

    def length(self, slot: int) -> int:
        """As `SlotBook.length`."""
        return self.book.length(slot)

    def rows(self, slot: int, new: int) -> int:
        """As `SlotBook.rows`."""
        return self.book.rows(slot, new)

    def context(self, steps: int) -> int:
        """As `SlotBook.context`."""
        return self.book.context(steps)

    @torch.inference_mode()
    def forward(self, work: Sequence[tuple[int, NDArray[np.float32]]]) -> NDArray[np.float32]:
        """(len(work), outputs) after each slot's last new step.

        Args:
            work: of each slot, at most once, (new_steps, feature_width), with one step or more.

        Raises:
            KeyError: a slot is not open.
            ValueError: no new step, or steps of another width; no slot has changed then.
        """
        self.check(work)
        return self._outputs(*self.taken(work))

    def taken(
        self, work: Sequence[tuple[int, NDArray[np.float32]]]
    ) -> tuple[list[int], list[int], list[NDArray[np.float32]]]:
        """Keep the new steps of checked work: of each its slot, the tokens that its caches hold, and the
        (steps, width) to compute."""
        slots, held, rows = [], [], []
        for slot, steps in work:
            kept, new = self._take(slot, steps)
            slots.append(slot)
            held.append(kept * self.info.tokens_per_step)
            rows.append(new)
        return slots, held, rows

    def instead(self, work: Sequence[tuple[int, NDArray[np.float32]]]) -> NDArray[np.float32]:
        """As `forward`, but each slot's steps stand in place of its last ones, as many: what would be
        decided if these had come.

        Raises:
            KeyError, ValueError: as `forward`; or a context that doesn't hold so many steps.
        """
        self.check(work)
        for slot, steps in work:
            self.book.put_back(slot, len(steps))
        return self.forward(work)

    @torch.inference_mode()
    def recompute(self, work: Sequence[tuple[int, NDArray[np.float32]]]) -> NDArray[np.float32]:
        """As `forward`, but every context from its first step on, as a model without a cache must."""
        self.check(work)
        slots, rows = [], []
        for slot, steps in work:
            kept, new = self._take(slot, steps)
            slots.append(slot)
            rows.append(self._steps[slot, : kept + len(new)])
        return self._outputs(slots, [0] * len(slots), rows)

    def check(self, work: Sequence[tuple[int, NDArray[np.float32]]]) -> None:
        """Raises KeyError, ValueError: as `forward`."""
        seen = set()
        for slot, steps in work:
            if slot not in self.book:
                raise KeyError(f"slot {slot} is not open")
            if steps.ndim != 2 or not len(steps) or steps.shape[1] != self._width:
                raise ValueError(f"steps of shape {steps.shape}; expected (1 or more, {self._width})")
            if slot in seen:
                raise ValueError(f"slot {slot} stands twice in one batch")
            seen.add(slot)

    def _take(self, slot: int, new: NDArray[np.float32]) -> tuple[int, NDArray[np.float32]]:
        """Keep a slot's new steps; how many of its cached ones stay, and the steps to compute."""
        taken, steps = self.book.take(slot, len(new)), self._steps[slot]
        if not taken.dropped:
            steps[taken.held : taken.held + len(new)] = new
            return taken.kept, new
        context = np.concatenate((steps[: taken.held], new))[taken.dropped :]
        steps[: len(context)] = context
        return taken.kept, context[taken.kept :]

    def _outputs(
        self, slots: Sequence[int], held: Sequence[int], rows: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        tokens, last = self.tokens_of(rows)
        return self.outputs_of(self._runner.forward(slots, held, tokens).float(), last)

    def tokens_of(self, rows: Sequence[NDArray[np.float32]]) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """(tokens, model width) of each session's (steps, width), and (sessions, width) of all last steps."""
        tokens, counts = self.info.tokens_per_step, [len(each) for each in rows]
        steps = torch.from_numpy(np.concatenate(rows, dtype=np.float32)).to(self._device)
        last = steps[torch.tensor(counts).cumsum(0) - 1] if len(steps) > len(rows) else steps
        seen = self._encoder(self._filled(steps))[: len(steps)]
        return seen.flatten(0, 1).split([n * tokens for n in counts]), last

    def outputs_of(self, states: torch.Tensor, last: torch.Tensor) -> NDArray[np.float32]:
        """(sessions, outputs) of the language model's states after these last steps."""
        outputs = self._head(self._filled(states), self._filled(last))[: len(states)]
        return np.asarray(outputs.cpu().numpy(), np.float32)

    def _filled(self, rows: torch.Tensor) -> torch.Tensor:
        return filled(rows) if self._alike else rows


def runner_of(
    adapter: Adapter,
    base: Base,
    tensors: dict[str, torch.Tensor],
    device: torch.device,
    dtype: str,
    slots: int,
    max_steps: int,
    alike: bool,
) -> Runner:
    """The language model with the adapter in it, every slot's context begun with the adapter's prompt."""
    config = base.config()
    prompt = tensors.get("prompt", torch.zeros(0, base.width))
    tokens = len(prompt) + max_steps * adapter.shape.tokens
    maker: type[BlockModel | PackedModel | Whole] = BlockModel
    if dtype != INT8:
        maker = PackedModel if _packs(config) else Whole
    number = torch.float32 if dtype == INT8 else getattr(torch, dtype)
    runner: Runner = maker(base, adapter.shape, tensors, device, number, slots, tokens, alike)
    if len(prompt):
        with torch.inference_mode():
            runner.share(prompt.to(device))
    return runner


def _ends(
    adapter: Adapter, base: Base, tensors: dict[str, torch.Tensor], device: torch.device
) -> tuple[Encoder, torch.nn.Module]:
    """What leads into the language model, and what leads out of it."""
    encoder = Encoder(adapter.modalities, base.width, adapter.shape.tokens, adapter.shape.hidden)
    encoder.load_state_dict(within(tensors, "encoder."))
    head = heads.network(adapter.head, adapter.modalities, base.width)
    head.load_state_dict(within(tensors, "head."))
    return encoder.to(device).eval(), head.to(device).eval()


def pick_device(name: str) -> torch.device:
    """The device of a name.

    Raises:
        ValueError: an unknown name, or no GPU where one is asked for.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device {name!r}; expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda: torch sees no GPU here; take --device cpu")
    return torch.device(name)


def pick_arithmetic(name: str, device: torch.device, base: Base) -> str:
    """What a model is computed in.

    `int8` keeps weights in 4 or 8 bits and multiplies integers (`block_model.py`), on a CPU with AVX2 and for
    models of Llama's kind; `auto` takes it where that is so, else as `pick_dtype`.

    Raises:
        ValueError: an unknown name, or int8 where it can't be.
    """
    config = base.config()
    able = device.type == "cpu" and _packs(config) and BlockModel.can(config)
    if name == INT8 and not able:
        raise ValueError(
            f"dtype {INT8}: it takes a CPU with {', '.join(block_product.NEEDS)}, and a model of Llama's kind"
            f" with widths that are multiples of {BLOCK}; take dtype auto"
        )
    if name == INT8 or (name == "auto" and able):
        return INT8
    return str(pick_dtype(name, device)).removeprefix("torch.")


def _packs(config: dict[str, Any]) -> bool:
    """Whether a model has a forward of our own."""
    return config["model_type"] in PACKED_KINDS and PackedModel.can(config)


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The number format of a name.

    Raises:
        ValueError: an unknown name.
    """
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if name == "auto":
        knows = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
        return torch.bfloat16 if knows else torch.float32
    if name not in kinds:
        raise ValueError(f"dtype {name!r}; expected auto, {', '.join(kinds)} or {INT8}")
    return kinds[name]
