"""The file that adaptation makes: encoder, low-rank matrices and head, and which model they belong to.

A folder with `adapter.json` and `adapter.safetensors` (half precision); what `adapt` writes has them in
`best`, and is one, too. peft would load matrices made
for eight layers into four without a word; here the base's name, the hash of its weights, the number of layers
and the task's modalities are kept, checked, and refused by name.

One of several tasks has the matrices once, and an encoder and a head for each: `TASK.encoder.…`,
`TASK.head.…`. Whoever reads it names the task, and gets what one of that task alone would hold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from policies.llm import head
from policies.llm.head import Head
from policies.llm.modality import Modality
from policies.llm.model.base import Base, resolve
from policies.llm.model.shape import Shape
from policies.llm.task import Task, gone
from traces.escaping import visible
from traces.files import write_aside
from traces.ownership import make_directory
from traces.safe_reading import BadFileError, decoded, json_value, read_bytes, read_json_object
from traces.words import of_a_fault

CONFIG, TENSORS = "adapter.json", "adapter.safetensors"
MOST_TENSOR_BYTES = 16 << 30
PEFT_CONFIG = "adapter_config.json"
"""Of a folder that peft made."""
BEST = "best"
"""Of a folder that `adapt` made: the adapter."""
FORMAT, SEVERAL = 1, 2
"""Of an adapter of one task, and of one that holds several."""
SHARED = ("lora.", "llm.")
"""How the names of tensors begin that an adapter of several tasks has once."""
MAKES_ONE = "make one with: python -m policies.llm adapt"

MAX_STEPS = 64
"""Steps that a context holds; sessions that are adapted on have 48."""
KEEP_STEPS = 32
"""Steps that stay when a full context is begun anew."""


class AdapterError(ValueError):
    """An adapter that cannot be used; the message names the file, the fault and the way out."""


@dataclass(frozen=True)
class Adapter:
    """An adapter, read and checked; tensors by `tensors()`."""

    folder: Path
    task: str
    shape: Shape
    head: Head
    base_sha256: str
    modalities: tuple[Modality, ...]
    objective: str
    target: float | None
    """Mean return a chunk, relative, that is asked for; None for one made without returns."""
    max_steps: int
    keep_steps: int
    notes: dict[str, Any] = field(default_factory=dict)
    """How it was made."""
    sha256: str = ""
    """Over both files."""
    among: tuple[str, ...] = ()
    """The tasks that the files hold, where there are several."""

    def tensors(self) -> dict[str, Any]:
        """Names to torch tensors, in half precision.

        Raises:
            AdapterError: the file cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        path = self.folder / TENSORS
        try:
            return _of_task(load(read_bytes(path, MOST_TENSOR_BYTES)), self.task if self.among else "")
        except (OSError, BadFileError, SafetensorError) as error:
            raise AdapterError(f"{path}: no safetensors file ({error}); {MAKES_ONE}") from None

    def base(self) -> Base:
        """The base model that it was made for.

        Raises:
            AdapterError: the base has other weights.
            BaseError: the base is not there.
        """
        found = resolve(self.shape.base)
        if found.sha256 != self.base_sha256:
            raise AdapterError(
                f"{self.folder}: made for {self.shape.base} with weights {self.base_sha256[:12]}…, but those "
                f"here are {found.sha256[:12]}…; get the same weights, or {MAKES_ONE}"
            )
        return found


def read(folder: Path | None, task: Task) -> Adapter:
    """An adapter that fits a task.

    Args:
        folder: its own, or the one that `adapt` was told to write to; None takes the shipped one.

    Raises:
        AdapterError: it is none, made for another task, or for other modalities.
    """
    folder = folder if folder is not None else task.shipped
    if folder is None:
        raise AdapterError(f"none is shipped for the task {task.name}; {MAKES_ONE} --task {task.name}")
    folder = _found(folder)
    adapter = _adapter(folder, task)
    if adapter.task != task.name:
        raise AdapterError(
            f"{folder / CONFIG}: made for the task {visible(adapter.task)}, not for {task.name}"
            + (gone(adapter.task) or f"; name one for it, or {MAKES_ONE} --task {task.name}")
        )
    if adapter.modalities != task.modalities:
        raise AdapterError(
            f"{folder / CONFIG}: made for the modalities {visible(_names(adapter.modalities))}; the task has"
            f" {_names(task.modalities)}; {MAKES_ONE}"
        )
    if adapter.head != task.head:
        raise AdapterError(
            f"{folder / CONFIG}: made for the answer {visible(str(adapter.head))}; the task has {task.head};"
            f" {MAKES_ONE}"
        )
    return adapter


def _found(folder: Path) -> Path:
    """Where the files lie.

    Raises:
        AdapterError: the folder is something else.
    """
    if not (folder / CONFIG).exists() and (folder / BEST / CONFIG).exists():
        return folder / BEST
    if not (folder / CONFIG).exists():
        _refuse_something_else(folder)
    return folder


def made_for(folder: Path) -> str | None:
    """The task that a folder's adapter says it is for; None where it says none: `read` says what is wrong."""
    for path in (folder / CONFIG, folder / BEST / CONFIG):
        if path.exists():
            try:
                return str(read_json_object(path).get("task"))
            except (BadFileError, OSError):
                return None
    return None


def tasks_of(folder: Path) -> tuple[str, ...]:
    """The tasks that a folder's adapter holds, where it holds several; none for any other: `read` says what
    is wrong."""
    for path in (folder / CONFIG, folder / BEST / CONFIG):
        if path.exists():
            try:
                held = read_json_object(path)
            except (BadFileError, OSError):
                return ()
            tasks = held.get("tasks")
            return tuple(tasks) if held.get("format") == SEVERAL and isinstance(tasks, dict) else ()
    return ()


def _refuse_something_else(folder: Path) -> None:
    """Say what a folder is that is taken for an adapter, and how to use it.

    Raises:
        AdapterError: peft's matrices, a whole model, or a file.
    """
    if (folder / PEFT_CONFIG).exists():
        base = _peft_base(folder / PEFT_CONFIG)
        raise AdapterError(
            f"{folder}: matrices of peft for {base}, and no adapter of ours, which holds an encoder and a"
            " head besides. Merge them into their base (with peft: PeftModel.from_pretrained(BASE,"
            f" {str(folder)!r}).merge_and_unload().save_pretrained(DIR)) and adapt that:"
            " python -m policies.llm adapt --base DIR"
        )
    if (folder / "config.json").exists():
        raise AdapterError(
            f"{folder}: a whole language model, and no adapter; adapt it: python -m policies.llm adapt --base"
            f" {folder}"
        )
    if folder.is_file():
        raise AdapterError(f"{folder}: a file; name the folder that holds {CONFIG} and {TENSORS}")


def _peft_base(path: Path) -> str:
    """The base that peft's matrices were made for, as far as they say."""
    try:
        told = read_json_object(path).get("base_model_name_or_path")
    except (BadFileError, OSError):
        told = None
    return str(told) if told else "a base that they don't name"


def _adapter(folder: Path, task: Task) -> Adapter:
    """What a folder holds, of several tasks that of one.

    Raises:
        AdapterError: no adapter.
    """
    path = folder / CONFIG
    try:
        text = read_bytes(path)
        tensors = read_bytes(folder / TENSORS, MOST_TENSOR_BYTES)
        held = json_value(decoded(text, str(path)), str(path))
    except OSError as error:
        raise AdapterError(f"{error.filename}: {error.strerror}; {MAKES_ONE}") from None
    except BadFileError as error:
        raise AdapterError(f"{error}; {MAKES_ONE}") from None
    if not isinstance(held, dict) or held.get("format") not in (FORMAT, SEVERAL):
        raise AdapterError(f"{path}: no adapter of format {FORMAT} or {SEVERAL}; {MAKES_ONE}")
    sha256 = hashlib.sha256(text + tensors).hexdigest()
    try:
        if held["format"] == SEVERAL:
            return _checked(folder, _one_of(held, task, path), sha256, tuple(held["tasks"]))
        return _checked(folder, held, sha256)
    except AdapterError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AdapterError(f"{path}: {of_a_fault(error)}; {MAKES_ONE}") from None


def _one_of(held: dict[str, Any], task: Task, path: Path) -> dict[str, Any]:
    """What an adapter of several tasks says of one, as one of that task alone would say it.

    Raises:
        AdapterError: it isn't among them, or all begin with words, which are one task's.
        AttributeError, KeyError, TypeError: what is not as it must be.
    """
    tasks = held["tasks"]
    if task.name not in tasks:
        raise AdapterError(
            f"{path}: made for the tasks {visible(', '.join(tasks))}, not for {task.name}"
            f"; name one for it, or {MAKES_ONE} --task {task.name}"
        )
    if held["shape"].get("prompt"):
        raise AdapterError(f"{path}: of several tasks, and with a prompt, which is one's; {MAKES_ONE}")
    return {**held, **tasks[task.name], "task": task.name}


def _of_task(tensors: dict[str, Any], task: str) -> dict[str, Any]:
    """Those of one task; all where none is named."""
    if not task:
        return dict(tensors)
    begin = f"{task}."
    own = {name.removeprefix(begin): each for name, each in tensors.items() if name.startswith(begin)}
    return own | {name: each for name, each in tensors.items() if name.startswith(SHARED)}


def _checked(folder: Path, held: dict[str, Any], sha256: str, among: tuple[str, ...] = ()) -> Adapter:
    """Before there were heads, `levels` stood in the shape; before there were prompts, none was said.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: what is not as it must be.
    """
    shape = held["shape"]
    known = {each.name: shape[each.name] for each in fields(Shape) if each.name != "prompt"}
    return Adapter(
        folder=folder,
        task=str(held["task"]),
        shape=Shape(**known, prompt=str(shape.get("prompt", ""))),
        head=head.from_json(held.get("head") or {"kind": "choice", "options": shape["levels"]}),
        base_sha256=str(held["base_sha256"]),
        modalities=tuple(Modality.from_json(each) for each in held["modalities"]),
        objective=str(held["objective"]),
        target=None if held["target"] is None else float(held["target"]),
        max_steps=int(held["max_steps"]),
        keep_steps=int(held["keep_steps"]),
        notes=dict(held["notes"]),
        sha256=sha256,
        among=among,
    )


def check_layers(adapter: Adapter, tensors: dict[str, Any], has: int) -> None:
    """Raise unless an adapter's matrices are for all of the layers that it says, and the base has as many.

    Args:
        has: layers of the base.

    Raises:
        AdapterError: names the numbers.
    """
    from policies.llm.model.backbone import layer_of

    wanted = adapter.shape.layers
    held = {layer for name in tensors if (layer := layer_of(name)) is not None}
    if held and held != set(range(wanted)):
        raise AdapterError(
            f"{adapter.folder}: says {wanted} layers, but holds matrices of {len(held)}; {MAKES_ONE}"
        )
    if wanted > has:
        raise AdapterError(
            f"{adapter.folder}: made for {wanted} layers, but {adapter.shape.base} has {has}; {MAKES_ONE}"
        )


def check_sizes(adapter: Adapter, tensors: dict[str, Any], width: int) -> None:
    """Raise unless encoder, head and low-rank matrices are there in the sizes that the adapter says.

    Args:
        width: of the base's states.

    Raises:
        AdapterError: names the tensor.
    """
    import torch

    from policies.llm.model import heads
    from policies.llm.model.encoder import Encoder

    shape = adapter.shape
    with torch.device("meta"):
        encoder = Encoder(adapter.modalities, width, shape.tokens, shape.hidden)
        answers = heads.network(adapter.head, adapter.modalities, width)
    wanted = {f"encoder.{name}": tuple(each.shape) for name, each in encoder.state_dict().items()}
    wanted |= {f"head.{name}": tuple(each.shape) for name, each in answers.state_dict().items()}
    held = {name: tuple(each.shape) for name, each in tensors.items()}
    wrong = [
        f"{name} is {held.get(name)}, not {size}" for name, size in wanted.items() if held.get(name) != size
    ]
    for name, size in held.items():
        if name.startswith("lora.") and name.endswith((".A", ".B")):
            high = name.endswith(".A")
            other = f"{name[:-1]}{'B' if high else 'A'}"
            if len(size) != 2 or size[0 if high else 1] != shape.rank or other not in held:
                wrong.append(f"{name} is {size}, without {other} or not of rank {shape.rank}")
    if wrong:
        raise AdapterError(f"{adapter.folder / TENSORS}: {wrong[0]}; {MAKES_ONE}")


def write(
    folder: Path,
    tensors: dict[str, Any],
    *,
    task: Task,
    shape: Shape,
    base: Base,
    objective: str,
    target: float | None,
    notes: dict[str, Any],
    max_steps: int = MAX_STEPS,
    keep_steps: int = KEEP_STEPS,
) -> None:
    """Write an adapter; each file appears when it is complete.

    Raises:
        OSError: it cannot be written.
    """
    config = {
        "format": FORMAT,
        "task": task.name,
        "shape": asdict(shape),
        **_of_one(task),
        "base_sha256": base.sha256,
        "objective": objective,
        "target": target,
        "max_steps": max_steps,
        "keep_steps": keep_steps,
        "notes": notes,
    }
    _write(folder, tensors, config, base)


def write_several(
    folder: Path,
    tensors: dict[str, Any],
    *,
    tasks: Sequence[Task],
    shape: Shape,
    base: Base,
    objective: str,
    notes: dict[str, Any],
) -> None:
    """Write an adapter of several tasks; each file appears when it is complete.

    Args:
        tensors: what they share by its name, what is a task's own behind `TASK.`.

    Raises:
        OSError: it cannot be written.
    """
    each_its_own = {"objective": objective, "target": None, "max_steps": MAX_STEPS, "keep_steps": KEEP_STEPS}
    config = {
        "format": SEVERAL,
        "shape": asdict(shape),
        "base_sha256": base.sha256,
        "tasks": {task.name: {**_of_one(task), **each_its_own} for task in tasks},
        "notes": notes,
    }
    _write(folder, tensors, config, base)


def _of_one(task: Task) -> dict[str, Any]:
    return {
        "head": head.to_json(task.head),
        "modalities": [each.to_json() for each in task.modalities],
    }


def _write(folder: Path, tensors: dict[str, Any], config: dict[str, Any], base: Base) -> None:
    import torch
    from safetensors.torch import save

    make_directory(folder)
    halves = {name: each.detach().to(torch.float16).cpu().contiguous() for name, each in tensors.items()}
    write_aside(folder / TENSORS, save(halves, {"base": base.name}))
    write_aside(folder / CONFIG, json.dumps(config, indent=1) + "\n")


def _names(modalities: Sequence[Modality]) -> str:
    return ", ".join(f"{each.name} {each.kind} {each.shape}" for each in modalities)
