"""What a sweep's file may say, checked: every mistake names its line and the nearest right word.

    name = "quick"
    question = "Which of two rules is better over 4G?"
    policies = ["bba", { spec = "robustmpc", label = "MPC", delay_ms = [0, 200] }]

    [defaults]                      # of all settings; these keys may stand in a [[setting]] too
    chunks = 12
    queue_ms = 200

    [[setting]]
    label = "usual"
    seen = true                     # or false: a network that the policies were not made for
    stress = false                  # true: a network that is meant to break them; the report looks at stalls
    traces = ["4g[0:4]", "my-logs"]
    rtt_ms = [40, 80]               # an axis: the setting is met at each; of several lists, at each with each

`KEYS` names all keys of a setting. Policies and traces are written as on the command line, paths from
where one stands; a trace's path that is not there is looked for beside the file.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from player.buffer import BufferThresholds
from player.call.checks import CallError
from player.call.settings import CallSettings
from player.defaults import CALL_MEDIA_SHARE, DEADLINE_S, MU
from player.live.parts import LEAST_PART_S, MOST_PART_S
from player.live.stream import LEAST_LATENCY_S, MOST_LATENCY_S
from player.qoe import Scoring
from player.transport.names import H1, TRANSPORTS
from testbed.browser.clients import CLIENTS, PYTHON
from testbed.cross.asked import companions_of, flows_of
from testbed.link.settings import FIFO, LinkSettings, Loss
from testbed.process.errors import TestbedError
from testbed.simulating.tasks import CALL, TASKS, VIDEO
from testbed.sweeps.experiment.lines import Lines, Place
from traces.safe_reading import MOST_TOML_BYTES, BadFileError, read_text, toml_tables
from traces.trace import MOST_DELAY_MS
from traces.words import meant

Check = Callable[[Any], str | None]
"""What is wrong with a value, in words; None if it is right."""


@dataclass(frozen=True)
class Key:
    """One key of a setting."""

    kind: type
    grid: bool
    """Whether it may be a list: one of numbers is an axis along which the setting is met, one of words asks
    for each."""
    default: Any
    check: Check
    labelled: bool = True
    """Whether its values are points of the setting (seeds and starts are more sessions of one point)."""
    task: str = ""
    """Of which it is alone; empty for all."""

    @property
    def axis(self) -> bool:
        """Whether a list of its values is an axis."""
        return self.grid and self.labelled and self.kind in (int, float)


def _at_least(least: float, most: float = math.inf) -> Check:
    bounds = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
    return lambda value: None if least <= value <= most and math.isfinite(value) else f"expected {bounds}"


def _link(name: str) -> Check:
    """What `LinkSettings` says of one figure."""

    def check(value: Any) -> str | None:
        figures: dict[str, Any] = {name: value}
        if name in PARTS_OF_RTT:  # whether it is too much for the RTT is asked where both are known
            figures |= {"rtt_ms": MOST_DELAY_MS, "media_delay_ms": MOST_DELAY_MS / 2} | figures
        try:
            LinkSettings(**figures)
        except TestbedError as error:
            return str(error).partition(": ")[2]
        return None

    return check


def _loss(value: Any) -> str | None:
    try:
        Loss("uniform", value)
    except TestbedError as error:
        return str(error)
    return None


def _anything(value: Any) -> str | None:
    return None


def _beside(value: Any) -> str | None:
    try:
        companions_of([value], "beside")
    except TestbedError as error:
        return str(error).removeprefix("beside ")
    return None


def _cross(value: Any) -> str | None:
    try:
        flows_of([value], "cross")
    except TestbedError as error:
        return str(error).removeprefix("cross ")
    return None


def _client(value: Any) -> str | None:
    return None if value in CLIENTS else f"expected {' or '.join(CLIENTS)}{meant(value, CLIENTS)}"


def _transport(value: Any) -> str | None:
    return None if value in TRANSPORTS else f"expected {', '.join(TRANSPORTS)}{meant(value, TRANSPORTS)}"


CALL_FIGURES = (
    *("duration_s", "fps", "min_kbps", "start_kbps", "max_kbps"),
    *("feedback_ms", "decide_every_ms", "warm_up_s"),
)
"""Of `player/call/settings.py`, what a setting of calls may say."""


def _of_a_call(name: str) -> Check:
    """What `CallSettings` says of one figure; whether it goes with others is asked where all are known."""

    def check(value: Any) -> str | None:
        if not math.isfinite(value) or value < 0:
            return "expected 0 or more"
        try:
            CallSettings(**{name: value})
        except CallError as error:
            return (
                None
                if any(f"{other} " in str(error) for other in CALL_FIGURES if other != name)
                else str(error)
            )
        return None

    return check


def call_of(chosen: Mapping[str, Any]) -> CallSettings:
    """The call at a point of a setting.

    Raises:
        CallError: figures that make no call.
    """
    return CallSettings(**{name: chosen[name] for name in CALL_FIGURES})


def media_delay_ms(chosen: Mapping[str, Any]) -> float:
    """What of the RTT media meet at a point of a setting: a call's usual share of it where nobody says."""
    asked: float | None = chosen["media_delay_ms"]
    return CALL_MEDIA_SHARE * float(chosen["rtt_ms"]) if asked is None else asked


PARTS_OF_RTT = ("jitter_ms", "media_delay_ms", "media_jitter_ms")
KEYS: dict[str, Key] = {
    "video": Key(str, True, None, _anything, task=VIDEO),
    "chunks": Key(int, True, 48, _at_least(2), task=VIDEO),
    **{
        name: Key(float, True, getattr(CallSettings, name), _of_a_call(name), task=CALL)
        for name in CALL_FIGURES
    },
    "start_s": Key(float, True, 0.0, _at_least(0, 1e9), labelled=False),
    "cap_mbps": Key(float, False, None, _at_least(1e-3, 1e9)),
    "rtt_ms": Key(float, True, 80.0, _link("rtt_ms")),
    "jitter_ms": Key(float, True, 0.0, _link("jitter_ms")),
    "media_delay_ms": Key(float, True, 0.0, _link("media_delay_ms")),
    "media_jitter_ms": Key(float, True, 0.0, _link("media_jitter_ms")),
    "grant_ms": Key(float, True, 0.0, _link("grant_ms")),
    "loss_pct": Key(float, True, 0.0, _loss),
    "queue_ms": Key(float, True, 200.0, _link("queue_ms")),
    "queue_bytes": Key(int, True, None, _link("queue_bytes")),
    "aqm": Key(str, True, FIFO, _link("aqm")),
    "cc": Key(str, True, "cubic", _anything, task=VIDEO),
    "slow_start_after_idle": Key(bool, False, True, _anything, task=VIDEO),
    "live": Key(bool, False, False, _anything, task=VIDEO),
    "latency_s": Key(float, True, None, _at_least(LEAST_LATENCY_S, MOST_LATENCY_S), task=VIDEO),
    "part_s": Key(float, True, None, _at_least(LEAST_PART_S, MOST_PART_S), task=VIDEO),
    "player": Key(str, True, PYTHON, _client, task=VIDEO),
    "players": Key(int, True, 1, _at_least(1, 16)),
    "stagger_s": Key(float, True, 5.0, _at_least(0, 3600)),
    "beside": Key(str, True, None, _beside),
    "cross": Key(str, True, None, _cross),
    "buffer_cap_s": Key(float, True, BufferThresholds.buffer_cap_s, _at_least(0.5, 86_400), task=VIDEO),
    "startup_s": Key(float, True, BufferThresholds.startup_s, _at_least(0, 86_400), task=VIDEO),
    "resume_s": Key(float, True, BufferThresholds.resume_s, _at_least(0, 86_400), task=VIDEO),
    "abandon": Key(bool, True, False, _anything, task=VIDEO),
    "transport": Key(str, True, H1, _transport, task=VIDEO),
    "seeds": Key(int, True, 0, _at_least(0, 2**31), labelled=False),
    "repetitions": Key(int, False, 1, _at_least(1, 10_000)),
}
"""What a setting may say beside `label`, `seen`, `stress` and `traces`: units are in the names, `video` is
the family's own if not given, with `live` it is a live stream, watched `latency_s` behind its making and sent
in parts of `part_s`, `player` is ours or dash.js in a browser, `players` share the lane's bottleneck
and begin `stagger_s` apart, `beside` and `cross` say who else is on it (`call:gcc,video:bba`,
`cubic:2,bbr:1@10-40`), players hold requests above `buffer_cap_s`, begin to play at `startup_s`, go on after
a stall at `resume_s`, with `abandon` give requests up for a lower level, `transport` is the protocol by which
they fetch, `seeds` are of policies and of the
relay's loss, `repetitions` run the same again (emulated)."""

OF_LIVE = ("latency_s", "part_s")
OF_THE_PLAYER = ("buffer_cap_s", "startup_s", "resume_s", "abandon")
"""Those that `BufferThresholds` has, in its order."""

TOP = (
    *("task", "name", "question", "policies", "baseline", "order_seed", "retries"),
    *("decision_deadline_s", "fallback", "qoe"),
)
TOP_TABLES = ("defaults", "setting")
QOE = ("kind", "mu", "smooth", "latency")
MOST_VARIANTS = 10_000
"""Policies of one entry, by the lists among its parameters."""
POLICY = ("spec", "label", "delay_ms", "parameters")
SETTING = ("label", "seen", "stress", "traces")

RETRIES = 2
"""How often a session that failed, or whose link was invalid, is tried again, unless the file says else."""

MOST_NAME = 60
"""Characters of a sweep's or a setting's name: they become part of file names."""


@dataclass(frozen=True)
class PolicyEntry:
    """A policy as the file asks for it."""

    label: str
    spec: str
    place: Place


@dataclass(frozen=True)
class SettingEntry:
    """A `[[setting]]`, with the defaults filled in."""

    label: str
    seen: bool | None
    stress: bool
    traces: tuple[str, ...]
    values: Mapping[str, tuple[Any, ...]]
    """For each of `KEYS` the values asked for; one where it is no grid."""
    place: Place
    where: Mapping[str, Place]
    """Each key's own place: here, or in the defaults."""

    @property
    def axes(self) -> tuple[str, ...]:
        """The keys along which it is met at several values, in the order of `KEYS`."""
        return tuple(key for key, facts in KEYS.items() if facts.axis and len(self.values[key]) > 1)


@dataclass(frozen=True)
class SweepFile:
    """A whole file, checked as far as can be without traces, videos and policies."""

    path: Path
    text: str
    lines: Lines
    name: str
    question: str
    policies: tuple[PolicyEntry, ...]
    settings: tuple[SettingEntry, ...]
    baseline: str | None
    order_seed: int
    retries: int
    scoring: Scoring
    """What `[qoe]` asks for; without a mu, each video's ladder has its own."""
    latency_weight: float | None
    """Of live streams; None: a share of each ladder's top."""
    decision_deadline_s: float
    task: str = VIDEO
    """What its sessions are."""
    fallback: str | None = None
    """Of all policies, instead of what each names itself."""

    def fault(self, place: Place, message: str, *words: object) -> TestbedError:
        """An error that names the line of a place (or of the first of the words that is found in it)."""
        return TestbedError(f"{self.path}:{self.lines.of(place, *words)}: {message}")


def read_sweep(path: Path) -> SweepFile:
    """Read and check a file.

    Raises:
        TestbedError: it cannot be read, is no TOML, or says what it may not: file, line, way out.
    """
    way_out = "name a sweep's file (TOML)"
    try:
        text = read_text(path, MOST_TOML_BYTES)
    except BadFileError as error:
        raise TestbedError(f"{error}; {way_out}") from None
    except OSError as error:
        raise TestbedError(f"{path}: {error.strerror}; {way_out}") from None
    try:
        values = toml_tables(text, str(path))
    except BadFileError as error:
        raise TestbedError(str(error)) from None
    return _Reader(path, text, values).whole()


class _Reader:
    """Takes the parsed values apart."""

    def __init__(self, path: Path, text: str, values: dict[str, Any]) -> None:
        self._path, self._text, self._values = path, text, values
        self._lines = Lines(text)

    def whole(self) -> SweepFile:
        top = self._values
        self._known((), top, (*TOP, *TOP_TABLES), "")
        self._task = self._one((), "task", str, VIDEO, _task)
        for key in ("qoe", "fallback", "decision_deadline_s"):
            if self._task == CALL and key in top:
                raise self._fault((key,), f"{key} is of videos; leave it out: {_INSTEAD[key]}")
        name = self._text_of((), "name", MOST_NAME)
        policies = self._policies()
        baseline = self._one((), "baseline", str, None)
        labels = [one.label for one in policies]
        if baseline is not None and baseline not in labels:
            raise self._fault(
                ("baseline",), f"baseline {baseline!r} is none of the policies{meant(baseline, labels)}"
            )
        return SweepFile(
            path=self._path,
            text=self._text,
            lines=self._lines,
            name=name,
            question=self._one((), "question", str, ""),
            policies=policies,
            settings=self._settings(),
            baseline=baseline,
            order_seed=self._one((), "order_seed", int, 0, _at_least(0)),
            retries=self._one((), "retries", int, RETRIES, _at_least(0, 100)),
            scoring=self._scoring(),
            latency_weight=self._latency_weight(),
            decision_deadline_s=self._one((), "decision_deadline_s", float, DEADLINE_S, _at_least(1e-3, 1e9)),
            fallback=self._one((), "fallback", str, None),
            task=self._task,
        )

    def _fault(self, place: Place, message: str, *words: object) -> TestbedError:
        return TestbedError(f"{self._path}:{self._lines.of(place, *words)}: {message}")

    def _known(self, place: Place, table: Mapping[str, Any], words: Sequence[str], what: str) -> None:
        for key in table:
            if key not in words:
                there = f"there are {', '.join(words)}"
                raise self._fault((*place, key), f"unknown key {key!r}{what}{meant(key, words)}; {there}")

    def _table(self, place: Place) -> Mapping[str, Any]:
        found: Any = self._values
        for step in place:
            found = found[step]
        if not isinstance(found, dict):
            raise self._fault(place, f"{place[-1]} is {_shown(found)}; expected a table, [{place[-1]}]")
        return found

    def _one(self, place: Place, key: str, kind: type, default: Any, check: Check = _anything) -> Any:
        table = self._table(place)
        if key not in table:
            return default
        return self._right((*place, key), table[key], kind, check)

    def _right(self, place: Place, value: Any, kind: type, check: Check) -> Any:
        """A value of its kind (a whole number may stand for any number)."""
        name = next(str(step) for step in reversed(place) if isinstance(step, str))
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise self._fault(place, f"{name} is {_shown(value)}; expected {_KINDS[kind]}", value)
        wrong = check(value)
        if wrong:
            raise self._fault(place, f"{name} is {_shown(value)}: {wrong}", value)
        return value

    def _text_of(self, place: Place, key: str, most: int) -> str:
        text = self._one(place, key, str, None)
        if not text or not text.strip() or len(text) > most or not text.isprintable():
            where = place or ()
            raise self._fault((*where, key), f"{key}: expected one, of 1 to {most} characters on one line")
        return str(text)

    def _scoring(self) -> Scoring:
        if "qoe" not in self._values:
            return Scoring()
        table = self._table(("qoe",))
        self._known(("qoe",), table, QOE, " in [qoe]")
        kind = self._one(("qoe",), "kind", str, "linear")
        if kind not in MU:
            raise self._fault(("qoe", "kind"), f"kind {kind!r}{meant(kind, MU)}; there are {', '.join(MU)}")
        return Scoring(
            kind,
            self._one(("qoe",), "mu", float, None, _at_least(0, 1e9)),
            self._one(("qoe",), "smooth", float, 1.0, _at_least(0, 1e9)),
        )

    def _latency_weight(self) -> float | None:
        if "qoe" not in self._values:
            return None
        found: float | None = self._one(("qoe",), "latency", float, None, _at_least(0, 1e9))
        return found

    def _policies(self) -> tuple[PolicyEntry, ...]:
        asked = self._values.get("policies")
        if not isinstance(asked, list) or not asked:
            raise self._fault(("policies",), 'policies: expected a list, such as ["bba", "robustmpc"]')
        found: list[PolicyEntry] = []
        for number, entry in enumerate(asked):
            found += self._policy(("policies", number), entry)
        labels: set[str] = set()
        for one in found:
            if one.label in labels:
                raise self._fault(
                    one.place,
                    f"two policies are labelled {one.label!r}; give one of them another label",
                    f'label = "{one.label}"',
                    one.label,
                )
            labels.add(one.label)
        return tuple(found)

    def _policy(self, place: Place, entry: Any) -> list[PolicyEntry]:
        """A policy, or one for each combination of its listed parameters."""
        if isinstance(entry, str):
            return [PolicyEntry(entry, entry, place)]
        if not isinstance(entry, dict):
            raise self._fault(place, f'policies has {_shown(entry)}; expected "bba" or {{ spec = "bba" }}')
        self._known(place, entry, POLICY, " of a policy")
        spec = entry.get("spec")
        if not isinstance(spec, str) or not spec:
            raise self._fault(place, 'a policy without its spec; write { spec = "bba", … }')
        label = self._right((*place, "label"), entry.get("label", spec), str, _anything)
        parameters = dict(self._right((*place, "parameters"), entry.get("parameters", {}), dict, _anything))
        if "delay_ms" in entry:
            parameters["delay_ms"] = entry["delay_ms"]
        lengths = [len(value) if isinstance(value, list) else 1 for value in parameters.values()]
        if math.prod(lengths) > MOST_VARIANTS:
            fault = (
                f"{math.prod(lengths):,} policies of {label} are asked for; {MOST_VARIANTS:,} are the most"
            )
            raise self._fault(place, f"{fault}: shorten its lists")
        variants: list[tuple[str, str]] = [("", "")]
        for key, value in parameters.items():
            values = value if isinstance(value, list) else [value]
            if not values:
                raise self._fault((*place, key), f"{key} is an empty list; leave it out, or give values")
            for one in values:
                if not isinstance(one, str | int | float | bool):
                    raise self._fault((*place, key), f"{key} is {_shown(one)}; expected text or a number")
            told = isinstance(value, list)
            variants = [
                (f"{options}:{key}={_written(one)}", f"{words} {key}={_written(one)}" if told else words)
                for options, words in variants
                for one in values
            ]
        return [
            PolicyEntry(
                f"{label}{words}" if "label" in entry else f"{spec}{options}", f"{spec}{options}", place
            )
            for options, words in variants
        ]

    def _settings(self) -> tuple[SettingEntry, ...]:
        asked = self._values.get("setting")
        if not isinstance(asked, list) or not asked or not all(isinstance(one, dict) for one in asked):
            raise self._fault(("setting",), "no [[setting]]; a sweep needs one, with a label and traces")
        defaults: Mapping[str, Any] = {}
        if "defaults" in self._values:
            defaults = self._table(("defaults",))
            self._known(("defaults",), defaults, (*self._keys, "traces"), " in [defaults]")
        found = [self._setting(("setting", number), defaults) for number in range(len(asked))]
        labels: set[str] = set()
        for one in found:
            if one.label in labels:
                raise self._fault((*one.place, "label"), f"two settings are labelled {one.label!r}")
            labels.add(one.label)
        return tuple(found)

    @property
    def _keys(self) -> tuple[str, ...]:
        """The keys of this task's settings."""
        return tuple(key for key, facts in KEYS.items() if facts.task in ("", self._task))

    def _check_call(self, values: Mapping[str, tuple[Any, ...]], place: Place) -> None:
        """Refuse figures that together make no call."""
        for figures in itertools.product(*(values[name] for name in CALL_FIGURES)):
            try:
                call_of(dict(zip(CALL_FIGURES, figures, strict=True)))
            except CallError as error:
                raise self._fault(place, str(error)) from None

    def _check_delays(self, values: Mapping[str, tuple[Any, ...]], where: Mapping[str, Place]) -> None:
        """Refuse parts of the round trip that are more than it."""
        if max(values["jitter_ms"]) > min(values["rtt_ms"]):
            raise self._fault((*where["jitter_ms"], "jitter_ms"), "jitter_ms: expected 0 to the RTT")
        names = ("rtt_ms", *PARTS_OF_RTT)
        for figures in itertools.product(*(values[name] for name in names)):
            try:
                point = dict(zip(names, figures, strict=True))
                LinkSettings(**{**point, "media_delay_ms": media_delay_ms(point)})
            except TestbedError as error:
                key = "media_jitter_ms" if str(error).startswith("media jitter") else "media_delay_ms"
                raise self._fault((*where[key], key), str(error)) from None

    def _check_live(self, values: Mapping[str, tuple[Any, ...]], where: Mapping[str, Place]) -> None:
        """Refuse what is of live streams where there is none."""
        for name in OF_LIVE:
            if not values["live"][0] and values[name] != (None,):
                raise self._fault((*where[name], name), f"{name} is of live streams; write live = true, too")

    def _setting(self, place: Place, defaults: Mapping[str, Any]) -> SettingEntry:
        table = self._table(place)
        self._known(place, table, (*SETTING, *self._keys), " in a [[setting]]")
        label = self._text_of(place, "label", MOST_NAME)
        where = {key: place if key in table else ("defaults",) for key in (*KEYS, "traces")}
        whole = {**_without_rival(defaults, table), **table}
        if "traces" not in whole:
            raise self._fault(place, f'setting {label!r} has no traces; write traces = "4g[0:10]"')
        values = {
            key: self._values_of((*where[key], key), whole[key], facts) if key in whole else (facts.default,)
            for key, facts in KEYS.items()
        }
        if self._task == CALL and "media_delay_ms" not in whole:
            values["media_delay_ms"] = (None,)  # its usual share of the RTT
        if "queue_bytes" in whole:
            if "queue_ms" in whole:
                place_of = (*where["queue_bytes"], "queue_bytes")
                raise self._fault(place_of, "queue_bytes and queue_ms exclude each other; give one")
            values["queue_ms"] = (None,)
        self._check_delays(values, where)
        self._check_live(values, where)
        if self._task == CALL:
            self._check_call(values, place)
        for name in ("startup_s", "resume_s"):
            if max(values[name]) > min(values["buffer_cap_s"]):
                raise self._fault((*where[name], name), f"{name}: expected 0 to buffer_cap_s")
        return SettingEntry(
            label=label,
            seen=self._one(place, "seen", bool, None),
            stress=self._one(place, "stress", bool, False),
            traces=self._listed((*where["traces"], "traces"), whole["traces"], str, _anything),
            values=values,
            place=place,
            where={key: (*table_of, key) for key, table_of in where.items()},
        )

    def _values_of(self, place: Place, value: Any, facts: Key) -> tuple[Any, ...]:
        if facts.grid:
            return self._listed(place, value, facts.kind, facts.check)
        return (self._right(place, value, facts.kind, facts.check),)

    def _listed(self, place: Place, value: Any, kind: type, check: Check) -> tuple[Any, ...]:
        """One value or a list of some that differ."""
        values = value if isinstance(value, list) else [value]
        if not values:
            raise self._fault(place, f"{place[-1]} is an empty list; leave it out, or give values")
        found = tuple(self._right(place, one, kind, check) for one in values)
        times = Counter(found)
        for one in found:
            if times[one] > 1:
                raise self._fault(place, f"{place[-1]} has {_shown(one)} twice", one)
        labels: dict[str, Any] = {}
        for one in found:
            other = labels.setdefault(shown_value(one), one)
            if other != one:
                alike = f"{_shown(other)} and {_shown(one)}, which labels show alike, as {shown_value(one)}"
                raise self._fault(place, f"{place[-1]} has {alike}; round them, or give one", one)
        return found


_INSTEAD = {
    "qoe": "`python -m analysis compare` scores calls",
    "fallback": "GCC decides where a call's policy doesn't",
    "decision_deadline_s": "a call's old rate holds until an answer is there",
}


def _task(value: str) -> str | None:
    return None if value in TASKS else f"expected {' or '.join(TASKS)}"


_KINDS: dict[type, str] = {
    str: "text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table, { key = value }",
}


def _without_rival(defaults: Mapping[str, Any], table: Mapping[str, Any]) -> Mapping[str, Any]:
    """The defaults without the one way to say how long the queue is, where a setting says the other."""
    rival = {"queue_ms": "queue_bytes", "queue_bytes": "queue_ms"}
    dropped = {rival[key] for key in table if key in rival}
    return {key: value for key, value in defaults.items() if key not in dropped}


def shown_value(value: Any) -> str:
    """A value of a list as labels have it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _written(value: Any) -> str:
    """A parameter's value as a policy's spec has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
