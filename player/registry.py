"""Policies by name: entry points of a group, and a user's own file.

A spec is `NAME[:VALUE][:key=value …]` with NAME an entry point (`bba`, `fixed:3`,
`bba:reservoir_s=5:cushion_s=10`) or `FILE.py:Class` (`my_policy.py:MyPolicy:key=value`). Values are
read as the constructor's annotations say; a value without a key goes to the first parameter. The
built-in policies are entry points too, so this package never imports them.

One key is every policy's: `delay_ms` has its decisions come so much later than they are made, for the
question what a slower machine would cost.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.machinery
import importlib.util
import inspect
import io
import math
import multiprocessing
import re
import sys
import traceback
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from player.faults import is_interrupt, one_line
from player.foreign.shown_output import ShownOutput, write_there
from player.foreign.trial import EndedHere, tried
from player.foreign.undoing import undone
from player.policy import Policy, ToldFuture, shortly
from player.seeding import seed_generators
from traces.words import meant, split_names

DELAY = inspect.Parameter("delay_ms", inspect.Parameter.KEYWORD_ONLY, default=0.0, annotation=float)
"""The key that every policy has, unless its constructor has one of that name."""

_USER_MODULE = "streambed_user_"
"""How the modules of users' files begin."""

_NOBODYS_OPTION = "--not-your-command-line"

_READERS = frozenset({"argparse.py", "optparse.py", "getopt.py", "click", "typer", "absl", "fire"})
"""Files and packages that read command lines."""

_LONGEST_REPR = 40

_FILE_SPEC = re.compile(r"(?P<file>.+\.py)(?::(?P<rest>.*))?", re.DOTALL)


class PolicyError(ValueError):
    """A policy that cannot be had; the message names the spec, the fault and the way out."""


@dataclass(frozen=True)
class Kind:
    """A kind of policy."""

    group: str
    """The entry point group of those that are installed."""
    calls: tuple[str, str]
    """The two that make an object one."""
    simulated_only: frozenset[str]
    """Names that real players do not offer; whatever else is told the future they refuse once it has it."""

    @property
    def calls_in_words(self) -> str:
        """`reset and select`."""
        return " and ".join(self.calls)

    @property
    def in_words(self) -> str:
        """What is said to whoever brings something else."""
        return f"a policy is a class with {self.calls_in_words}"

    def missing(self, found: object) -> list[str]:
        """Those of the two calls that it has not."""
        return [call for call in self.calls if not callable(getattr(found, call, None))]

    def is_one(self, found: object) -> bool:
        """Whether it has both."""
        return not self.missing(found)


VIDEO = Kind("streambed.policies", ("reset", "select"), frozenset({"oracle"}))
"""Controllers of a video's bitrate: `player/policy.py`."""

CALL = Kind("streambed.call_policies", ("reset", "decide"), frozenset({"oracle"}))
"""Controllers of a call's rate: `player/call/policy.py`."""

VIEWPORT = Kind("streambed.viewport_policies", ("reset", "predict"), frozenset())
"""Predictors of where a viewer looks: `player/viewport/policy.py`."""

JOBS = Kind("streambed.jobs_policies", ("reset", "schedule"), frozenset())
"""Schedulers of a cluster's jobs: `player/jobs/policy.py`."""


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy ready for a session, and what the manifest says of it."""

    policy: Policy
    spec: str
    name: str
    """The entry point's or the class's name."""
    parameters: dict[str, Any]
    """Every constructor parameter with its value, defaults included."""
    weights_sha256: str | None = None
    """The policy's own attribute of this name; None for one without weights."""
    delay_ms: float = 0.0
    """How much later than it is made a decision reaches the player, who waits for it."""


def split_policies(text: str) -> list[str]:
    """`bba,robustmpc,my.py:P` as a list of specs; one spec may stand twice.

    Raises:
        PolicyError: an empty spec in the list.
    """
    try:
        return split_names(text)
    except ValueError as error:
        raise PolicyError(f"policies {error}") from None


def policy_names(*, real: bool = False, kind: Kind = VIDEO) -> list[str]:
    """Names of all installed policies of a kind, sorted; of those for the real player only."""
    names = sorted(_entries(entry_points, kind.group))
    return [name for name in names if not (real and name in kind.simulated_only)]


@dataclass(frozen=True)
class OfferedPolicy:
    """An installed policy, without one being made."""

    name: str
    about: str
    """The first sentence of its docstring."""
    options: dict[str, Any]
    """Each option's default, as a record can hold it."""
    needed: tuple[str, ...]
    """Options that have no default."""
    simulated_only: bool


def offered_policies(kind: Kind = VIDEO) -> list[OfferedPolicy]:
    """All of a kind that are installed, by name.

    Raises:
        PolicyError: one cannot be imported.
    """
    return [
        _offered(name, _from_entry_point(name, name, [name], kind), kind) for name in policy_names(kind=kind)
    ]


def _offered(name: str, factory: Callable[..., Policy], kind: Kind) -> OfferedPolicy:
    parameters = _parameters(factory)
    needed = tuple(key for key, each in parameters.items() if each.default is inspect.Parameter.empty)
    options = {key: value for key, value in _all_parameters(factory, {}).items() if key not in needed}
    first = " ".join((inspect.getdoc(factory) or "").split("\n\n")[0].split())
    about = re.split(r"(?<=[.:;])\s", first, maxsplit=1)[0].rstrip(".:;")
    return OfferedPolicy(name, about, options, needed, name in kind.simulated_only)


def policy_file(spec: str, kind: Kind = VIDEO) -> Path | None:
    """The file of a user's own that a spec names; None where it names an installed policy."""
    in_file = _FILE_SPEC.fullmatch(spec)
    return (
        Path(in_file["file"]) if in_file and spec.partition(":")[0] not in policy_names(kind=kind) else None
    )


def only_simulated(spec: str, kind: Kind = VIDEO) -> bool:
    """Whether a spec names an installed policy that the real player does not offer."""
    return spec.partition(":")[0] in kind.simulated_only


def load_policy(
    spec: str, *, real: bool = False, seed: int | None = None, trial: bool = True, kind: Kind = VIDEO
) -> LoadedPolicy:
    """The policy that a spec names, constructed.

    Args:
        real: for the real player, who can't tell it the future.
        seed: set the generators of all by it (`player.seeding`), for a policy that draws when it is made.
        trial: load somebody's code in a copy of this process first, once a process, as it may end it; not
            done in a worker of a pool, whose end is noticed.
        kind: what it controls.

    Raises:
        PolicyError: an unknown name, a file, class or parameter that is not there, a class that is
            no policy, a value of the wrong kind, code that raises when imported or constructed, or ends
            the program; a policy that the real player can't play.
    """
    foreign = is_foreign(spec, kind)
    if trial and foreign and spec not in _tried and multiprocessing.parent_process() is None:
        _try(spec, real, kind)
    if not foreign or multiprocessing.parent_process() is not None:  # a worker's output is shown
        with undone():
            return _loaded(spec, real, seed, kind)
    with ShownOutput() as shown, undone():
        write_there(shown.place)
        return _loaded(spec, real, seed, kind)


_tried: set[str] = set()
"""Specs that have been loaded in a copy of this process."""


def is_foreign(spec: str, kind: Kind = VIDEO) -> bool:
    """Whether a spec names somebody's code: a file, or what another package has installed."""
    entry = _entries(entry_points, kind.group).get(spec.partition(":")[0])
    return policy_file(spec, kind) is not None if entry is None else not entry.value.startswith("policies.")


def _try(spec: str, real: bool, kind: Kind) -> None:
    """Raises PolicyError for code that ends the process which loads it."""

    def load() -> str:
        _loaded(spec, real, None, kind)
        return ""

    try:
        tried(load, silent=True)
    except EndedHere as end:
        raise PolicyError(
            f"policy {spec}: it ends the program as it is loaded ({end});"
            " put such lines under if __name__ == '__main__'"
        ) from None
    _tried.add(spec)


def _loaded(spec: str, real: bool, seed: int | None, kind: Kind) -> LoadedPolicy:
    """As `load_policy`, in this process."""
    in_file = _FILE_SPEC.fullmatch(spec)
    if seed is not None:
        seed_generators(seed)
    if in_file and spec.partition(":")[0] not in policy_names(kind=kind):
        name, _, arguments = (in_file["rest"] or "").partition(":")
        factory = _from_file(spec, Path(in_file["file"]), name, kind)
    else:
        name, _, arguments = spec.partition(":")
        factory = _from_entry_point(spec, name, policy_names(real=real, kind=kind), kind)
    values = _arguments(spec, factory, arguments, kind)
    delay = {} if DELAY.name in _parameters(factory) else _taken(values, DELAY.name)
    delay_ms = delay.get(DELAY.name, 0.0)
    if not (math.isfinite(delay_ms) and delay_ms >= 0):
        raise PolicyError(f"policy {spec}: {DELAY.name} is {delay_ms}; expected 0 or more")
    if seed is not None:
        seed_generators(seed)  # those too that have been imported meanwhile
    policy = _constructed(spec, factory, values, kind)
    if real and isinstance(policy, ToldFuture):
        raise PolicyError(
            f"policy {spec}: it is told the future, which only the simulated player knows;"
            " take testbed/simulate.py or sweep.py --simulate"
        )
    weights = getattr(policy, "weights_sha256", None)
    parameters = _all_parameters(factory, values) | delay
    return LoadedPolicy(policy, spec, name, parameters, str(weights) if weights else None, delay_ms)


def _constructed(spec: str, factory: Callable[..., Policy], values: dict[str, Any], kind: Kind) -> Policy:
    """The policy that a class, or a function that makes one, gives.

    Raises:
        PolicyError: it raises, or gives something else.
    """
    try:
        with _command_line_hidden(spec.partition(":")[0]):
            policy = factory(**values)
    except BaseException as error:
        if is_interrupt(error):
            raise
        ended = isinstance(error, SystemExit)
        why = _ended_the_program(spec, error) if ended else one_line(error)
        raise PolicyError(f"policy {spec}: {why}") from None
    if not kind.is_one(policy):
        raise PolicyError(
            f"policy {spec}: {_name_of(factory)} is a function that gives {_shortly(policy)}; {kind.in_words}"
        )
    _refuse_misnamed(spec, policy)
    return policy


_CALLS_OF_POLICIES = ("check", "ended", "tell", "reach", "server", "another", "together", "ready_together")
"""What a policy may have besides `reset` and `select` (`player/policy.py`)."""


def _refuse_misnamed(spec: str, policy: Policy) -> None:
    """Raises PolicyError where an attribute isn't what its name says to a player, who would pass it over."""
    for name in _CALLS_OF_POLICIES:
        found = getattr(policy, name, None)
        if found is not None and not callable(found):
            raise PolicyError(
                f"policy {spec}: its `{name}` is {_shortly(found)}, and players call it; make it a method,"
                " or give it another name"
            )
    fallback = getattr(policy, "fallback", None)
    if fallback is not None and not (isinstance(fallback, str) and fallback):
        raise PolicyError(
            f"policy {spec}: its `fallback` is {_shortly(fallback)}, and names who decides where it can't;"
            " write a policy's name, such as 'bba', or give the attribute another one"
        )


def _name_of(factory: Callable[..., Policy]) -> str:
    return getattr(factory, "__name__", type(factory).__name__)


def _shortly(value: object) -> str:
    return shortly(value, _LONGEST_REPR)


def _taken(values: dict[str, Any], key: str) -> dict[str, Any]:
    """The entry of this key, taken out; empty if there is none."""
    return {key: values.pop(key)} if key in values else {}


@lru_cache(maxsize=4)
def _entries(source: Callable[..., Iterable[EntryPoint]], group: str) -> dict[str, EntryPoint]:
    """What is installed, by name. Looked up once: it takes longer than most sessions to compute."""
    return {entry.name: entry for entry in source(group=group)}


def _from_entry_point(spec: str, name: str, offered: list[str], kind: Kind) -> Callable[..., Policy]:
    entries = _entries(entry_points, kind.group)
    if not entries:
        raise PolicyError(f"policy {spec}: no policies are installed; run: make setup")
    if name not in entries:
        raise PolicyError(
            f"policy {spec}: unknown name {name!r}{meant(name, offered)}; there are "
            f"{', '.join(offered)}, or FILE.py:Class of your own"
        )
    try:
        found = entries[name].load()
    except (ImportError, AttributeError) as error:
        raise PolicyError(
            f"policy {spec}: {entries[name].value} cannot be imported ({one_line(error)}); run: make setup"
        ) from None
    return _checked(spec, found, entries[name].value, kind)


def _from_file(spec: str, path: Path, name: str, kind: Kind) -> Callable[..., Policy]:
    if not path.is_file():
        raise PolicyError(f"policy {spec}: no file {path}")
    module = _import_file(spec, path)
    classes = [
        key
        for key, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and kind.is_one(value)
    ]
    known = (
        f"{path} has {', '.join(classes)}" if classes else f"{path} has no class with {kind.calls_in_words}"
    )
    if not name:
        raise PolicyError(f"policy {spec}: no class named; write {path}:Class ({known})")
    if not hasattr(module, name):
        raise PolicyError(f"policy {spec}: no {name} in the file{meant(name, classes)}; {known}")
    return _checked(spec, getattr(module, name), f"{path}:{name}", kind)


class _LeavesNothing(importlib.machinery.SourceFileLoader):
    """Loads a file as Python does, and writes no bytecode beside it: under sudo that would be root's."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Not kept."""


def _import_file(spec: str, path: Path) -> types.ModuleType:
    """Run a user's file as a module of its own; it may import its neighbours."""
    place = path.resolve()
    module_name = f"{_USER_MODULE}{place.stem}_{hashlib.sha256(str(place).encode()).hexdigest()[:12]}"
    loader = _LeavesNothing(module_name, str(place))
    found = importlib.util.spec_from_file_location(module_name, place, loader=loader)
    if found is None or found.loader is None:
        raise PolicyError(f"policy {spec}: {path} is no Python file")
    module = importlib.util.module_from_spec(found)
    sys.modules[module_name] = module  # dataclasses and pickle look a class's module up
    if str(place.parent) not in sys.path:
        sys.path.append(str(place.parent))
    try:
        with _command_line_hidden(str(place)):
            found.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[module_name]
        if is_interrupt(error):
            raise
        ended = isinstance(error, SystemExit)
        why = _ended_the_program(spec, error) if ended else _without_place(error, place)
        raise PolicyError(f"policy {spec}: {path}{_line_of(error, place)}: {why}") from None
    return module


@contextlib.contextmanager
def _command_line_hidden(program: str) -> Iterator[None]:
    """Keep our command line from a user's file, which may read it for its own.

    In its place stands a word that no program knows: one that insists on its own options ends at once
    instead of taking ours. What it says then is not ours to say.
    """
    ours, said = sys.argv, io.StringIO()
    sys.argv = [program, _NOBODYS_OPTION]
    try:
        with contextlib.redirect_stderr(said):
            yield
    except SystemExit:
        raise
    except BaseException:
        sys.stderr.write(said.getvalue())
        raise
    else:
        sys.stderr.write(said.getvalue())
    finally:
        sys.argv = ours


def _ended_the_program(spec: str, error: BaseException) -> str:
    """What a SystemExit comes from, and what to do."""
    reads = any(
        Path(frame.filename).name in _READERS or Path(frame.filename).parent.name in _READERS
        for frame in traceback.extract_tb(error.__traceback__)
    )
    if reads:
        return (
            "it reads the command line, which is ours; make its options parameters of the class"
            f" and write {spec}:key=VALUE"
        )
    return f"it ends the program ({one_line(error)}); put such lines under if __name__ == '__main__'"


def _without_place(error: BaseException, place: Path) -> str:
    """The fault on one line; where it is one of that file's syntax, its line stands before it already."""
    if isinstance(error, SyntaxError) and error.filename == str(place):
        return f"{type(error).__name__}: {error.msg}"
    return one_line(error)


def _line_of(error: BaseException, place: Path) -> str:
    """`:LINE` of the fault in the user's file, empty when it lies elsewhere."""
    if isinstance(error, SyntaxError) and error.filename == str(place):
        return f":{error.lineno}"
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(place)
    ]
    return f":{lines[-1]}" if lines else ""


def _checked(spec: str, found: Any, place: str, kind: Kind) -> Callable[..., Policy]:
    if not callable(found):
        raise PolicyError(f"policy {spec}: {place} is no class; {kind.in_words}")
    if inspect.isclass(found) and (missing := kind.missing(found)):
        raise PolicyError(f"policy {spec}: {place} has no {' and no '.join(missing)}; a policy needs both")
    return found


def _arguments(spec: str, factory: Callable[..., Policy], text: str, kind: Kind) -> dict[str, Any]:
    """`5:cushion_s=10` as keyword arguments for the constructor."""
    own = _parameters(factory)
    parameters = {DELAY.name: DELAY} | own
    takes_any = any(each.kind is each.VAR_KEYWORD for each in inspect.signature(factory).parameters.values())
    hints = _hints(factory)
    values: dict[str, Any] = {}
    for key, value in _pairs(spec, text, own):
        if key not in parameters and not takes_any:
            known = f"it has {', '.join(own)}" if own else "it has none"
            raise PolicyError(f"policy {spec}: no parameter {key!r}{meant(key, parameters)}; {known}")
        if key in values:
            raise PolicyError(f"policy {spec}: {key} is given twice")
        default = parameters[key].default if key in parameters else inspect.Parameter.empty
        values[key] = _value(spec, key, value, hints.get(key), default)
    missing = [
        key
        for key, each in parameters.items()
        if each.default is inspect.Parameter.empty and key not in values
    ]
    if missing and not inspect.isclass(factory):
        raise PolicyError(f"policy {spec}: {_name_of(factory)} is a function; {kind.in_words}")
    if missing:
        raise PolicyError(f"policy {spec}: needs {missing[0]}; write {spec}:{missing[0]}=VALUE")
    return values


def _pairs(spec: str, text: str, parameters: dict[str, inspect.Parameter]) -> list[tuple[str, str]]:
    """(key, value) of each part; a part without `=` belongs to the value before it (`s=unix:/run/x`)."""
    pairs: list[tuple[str, str]] = []
    for part in text.split(":") if text else []:
        key, equals, value = part.partition("=")
        if equals:
            pairs.append((key.strip(), value))
        elif pairs:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]}:{part}")
        elif parameters:
            pairs.append((next(iter(parameters)), part))
        else:
            raise PolicyError(f"policy {spec}: takes no value, got {part!r}")
    return pairs


def _parameters(factory: Callable[..., Policy]) -> dict[str, inspect.Parameter]:
    """The named parameters of a constructor, in order."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {key: each for key, each in inspect.signature(factory).parameters.items() if each.kind in named}


def _hints(factory: Callable[..., Policy]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    except (NameError, TypeError):  # annotations that name what only a type checker imports
        return {}


def _value(spec: str, key: str, text: str, hint: Any, default: object) -> Any:
    """A parameter's text as its annotation says; without one as its default's type, or as it looks."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = list(typing.get_args(hint)) if union else [hint]
    if kinds == [None] and default is not inspect.Parameter.empty and default is not None:
        kinds = [type(default)]
    if types.NoneType in kinds and text.lower() == "none":
        return None
    known = [kind for kind in (bool, int, float, str) if kind in kinds]
    for kind in known or (int, float, str):
        try:
            return _BOOLS[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError):
            continue
    expected = " or ".join(_KIND_NAMES[kind] for kind in known)
    raise PolicyError(f"policy {spec}: {key} is {text!r}; expected {expected}")


_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_KIND_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _all_parameters(factory: Callable[..., Policy], values: dict[str, Any]) -> dict[str, Any]:
    """Given values and defaults, as a record can hold them: what JSON cannot say is its `repr`."""
    whole = {key: values.get(key, each.default) for key, each in _parameters(factory).items()} | values
    return {key: value if _is_plain(value) else repr(value) for key, value in whole.items()}


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, bool | int | str | types.NoneType)
