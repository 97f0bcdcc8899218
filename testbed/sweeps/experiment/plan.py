"""From a sweep's file to its sessions: the grid, in blocks of random order.

A *block* is one setting, trace, start, seed and repetition; every policy has its session in it, and a
block's sessions follow each other. So whatever else the machine does for an hour hurts all policies
alike. The blocks' order and each block's own are drawn from the file's `order_seed`.

What goes onto a lane at a time is a *unit*: one session, or several of one policy whose players share
the lane's bottleneck.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import random
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from player.buffer import USUAL_THRESHOLDS, BufferThresholds
from player.fallback import FALLBACK_ONCE, fallback_spec, load_fallback
from player.policy import Policy, ToldFuture
from player.provenance import decided_by
from player.qoe import QoE, Scored
from player.registry import LoadedPolicy, PolicyError, load_policy
from player.simulated.link_published import refuse_loss
from player.simulated.session import Future, Link
from player.video.built_in import load_video
from player.video.video import Video, VideoError
from testbed.link.settings import LinkSettings, Loss
from testbed.process.errors import TestbedError
from testbed.session.options import capped
from testbed.session.trace_notes import trace_notes, video_notes
from testbed.session.video_to_play import VideoToPlay
from testbed.simulated.models import MODELS, PUBLISHED
from testbed.simulated.starts import Start
from testbed.sweeps.experiment.most import refuse_many
from testbed.sweeps.experiment.schema import KEYS, PolicyEntry, SettingEntry, SweepFile, shown_value
from traces.families.catalogue import default_video, placed, resolve_many
from traces.formats.reading import AS_A_WORD
from traces.trace import Trace, TraceError

LONGEST_NAME = 170
"""Characters of a unit's name: endings follow, and file systems take 255 bytes."""

TOLD_FUTURE = "it is told the future, which only the simulated player knows"


@dataclass(frozen=True)
class SweepPolicy:
    """One policy of the sweep."""

    label: str
    spec: str
    name: str
    delay_ms: float
    weights_sha256: str | None
    source_sha256: str | None
    """Hash of the file that its class stands in."""
    left_out: str | None
    """Why this engine cannot ask it; None if it can."""
    fallback: str
    """The spec of who decides where it can't."""
    sources: tuple[tuple[str, str], ...] = ()
    """Of a user's policy of several files: (path from its folder, hash) of each."""

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What makes it this policy, in plain values.

        The fallback is there only where it is another than it was before files could name one, the sources
        only where there are several: sessions from before are still the same.
        """
        mine = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if self.fallback == FALLBACK_ONCE:
            del mine["fallback"]
        del mine["sources"]
        return {**mine, "sources": dict(self.sources)} if self.sources else mine


@dataclass(frozen=True)
class SweepSetting:
    """A `[[setting]]` at one point: one value of each of its axes, and of each of its other lists."""

    label: str
    group: str
    """The label of the `[[setting]]`."""
    seen: bool | None
    stress: bool
    link: LinkSettings
    video: str | None
    """None: the family's own."""
    chunks: int
    cap_mbps: float | None
    players: int
    stagger_s: float
    left_out: str | None
    """Why this engine cannot do it; None if it can."""
    thresholds: BufferThresholds = USUAL_THRESHOLDS
    axis: Mapping[str, float] = dataclasses.field(default_factory=dict, hash=False)
    """Where it is on each axis of the `[[setting]]`, by key; empty where that has none."""

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What makes a session of this setting this and no other, in plain values.

        `stress` is there only where it is true, thresholds of the buffer only where they are not the usual
        ones: sessions from before these keys were known are still the same.
        `axis` is not: which other points there are makes no other session of one.
        """
        mine = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del mine["axis"]
        if not self.stress:
            del mine["stress"]
        del mine["thresholds"]
        return {**mine, "link": dataclasses.asdict(self.link), **self.thresholds.unusual}

    @property
    def told(self) -> dict[str, Any]:
        """The facts, and where on its axes it is, for whoever reads the results."""
        return {**self.facts, "axis": dict(self.axis)}


@dataclass(frozen=True)
class SweptTrace:
    """A trace and what was typed for it."""

    spec: str
    trace: Trace


@dataclass(frozen=True)
class Unit:
    """What goes onto a lane at a time: sessions of one policy, by `setting.players` players."""

    name: str
    setting: SweepSetting
    policy: SweepPolicy
    swept: SweptTrace
    start: Start
    video_spec: str
    whole: Video
    """As the policy is told it."""
    chunks: int
    """How many of its chunks are streamed."""
    seed: int
    repetition: int
    block: int

    @property
    def players(self) -> int:
        return self.setting.players

    @property
    def sessions(self) -> tuple[str, ...]:
        """Names of its sessions, one a player."""
        if self.players == 1:
            return (self.name,)
        return tuple(f"{self.name}_p{index}" for index in range(self.players))

    @property
    def records(self) -> tuple[str, ...]:
        """File names of its records."""
        return tuple(f"{session}.jsonl" for session in self.sessions)

    @property
    def video(self) -> Video:
        """Cut to the chunks that are streamed."""
        return _first(self.whole, self.chunks)

    @property
    def length_s(self) -> float:
        """How long it plays if nothing stalls."""
        return self.chunks * self.whole.chunk_s + (self.players - 1) * self.setting.stagger_s


@cache
def _first(video: Video, chunks: int) -> Video:
    return video.first(chunks)


@dataclass(frozen=True)
class SweepPlan:
    """All that a sweep is to do, in order."""

    file: SweepFile
    simulated: bool
    link_model: str | None
    policies: tuple[SweepPolicy, ...]
    settings: tuple[SweepSetting, ...]
    traces: tuple[SweptTrace, ...]
    units: tuple[Unit, ...]
    refused: Mapping[tuple[str, str], str]
    """(policy's label, video) -> why the policy cannot stream it."""
    left_out: int
    """Sessions that cannot be had from this engine or this policy."""
    notes: tuple[str, ...]
    strict: bool = False
    """A policy's first fault stops everything."""

    def qoe_of(self, unit: Unit) -> QoE:
        """What a unit's policies are told."""
        return self.file.scoring.on(unit.whole.ladder_kbps)

    @property
    def scored(self) -> list[Scored]:
        """What sessions are told, once a video."""
        videos = {unit.video_spec: unit.whole for unit in self.units}.values()
        return [(video.name, video.ladder_kbps, self.file.scoring.on(video.ladder_kbps)) for video in videos]

    @property
    def sessions(self) -> int:
        return sum(unit.players for unit in self.units)

    def identity(self, unit: Unit) -> str:
        """Hash of all that makes a unit's sessions what they are."""
        return self._identities[unit.name]

    @cached_property
    def _identities(self) -> dict[str, str]:
        return {unit.name: self._identity(unit) for unit in self.units}

    def _identity(self, unit: Unit) -> str:
        facts = {
            "simulated": self.simulated,
            "link_model": self.link_model,
            "qoe": dataclasses.asdict(self.qoe_of(unit)),
            "decision_deadline_s": self.file.decision_deadline_s,
            "setting": unit.setting.facts,
            "policy": unit.policy.facts,
            "trace": [unit.swept.trace.name, unit.swept.trace.sha256, unit.start.index],
            "video": [unit.whole.name, _sha256(unit.whole), unit.chunks],
            "seed": unit.seed,
            "repetition": unit.repetition,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def sha256(self) -> str:
        """Hash of the whole plan."""
        digest = hashlib.sha256()
        for unit in sorted(self.units, key=lambda one: one.name):
            digest.update(f"{unit.name} {self.identity(unit)}\n".encode())
        return digest.hexdigest()


@cache
def _sha256(video: Video) -> str:
    return video.sha256


Block = tuple[SweepSetting, SweptTrace, Start, int, int, SettingEntry]
"""Setting, trace, start, seed, repetition and the file's entry."""


def plan_sweep(
    file: SweepFile, *, simulated: bool, link_model: str = PUBLISHED, strict: bool = False
) -> SweepPlan:
    """Check what the file names, and make its sessions.

    Args:
        simulated: whether sessions are computed, by `link_model`, or emulated.
        strict: see `SweepPlan`.

    Raises:
        TestbedError: a policy, trace or video that is not there or does not go together; with the line.
    """
    model = link_model if simulated else None
    refuse_many(file, [1] * len(file.settings), simulated)  # lists alone may make too many
    policies = tuple(_policy(file, entry, model) for entry in file.policies)
    settings: list[SweepSetting] = []
    blocks: list[Block] = []
    traces: dict[str, SweptTrace] = {}
    notes: list[str] = []
    traces_of = [_traces(file, entry, model) for entry in file.settings]
    refuse_many(file, [len(found) for found in traces_of], simulated)
    for entry, found in zip(file.settings, traces_of, strict=True):
        _join(file, entry, traces, found)
        notes += _entry_notes(entry, found, simulated)
        for setting in _grid(entry, model):
            settings.append(setting)
            blocks += _blocks(setting, entry, found, simulated)
    everything = sum(setting.players for setting, *_ in blocks) * len(policies)
    able = [block for block in blocks if block[0].left_out is None]
    untold = dict(_untold(policies, settings, model))
    units = tuple(_units(file, able, [policy for policy in policies if policy.left_out is None], untold))
    refused = _refusals(file, units)
    units = tuple(unit for unit in units if (unit.policy.label, unit.video_spec) not in refused)
    notes += video_notes(unit.whole for unit in units)
    notes += [f"left out, video {video}: {why}" for (_, video), why in refused.items()]
    return SweepPlan(
        file=file,
        simulated=simulated,
        link_model=model,
        policies=policies,
        settings=tuple(settings),
        traces=tuple(traces.values()),
        units=units,
        refused=refused,
        left_out=everything - sum(unit.players for unit in units),
        notes=(*notes, *_left_out_notes(policies, settings, untold)),
        strict=strict,
    )


def _join(
    file: SweepFile, entry: SettingEntry, traces: dict[str, SweptTrace], found: Sequence[SweptTrace]
) -> None:
    """Add a setting's traces to all of them, by name.

    Raises:
        TestbedError: another one has that name.
    """
    for swept in found:
        other = traces.setdefault(swept.trace.name, swept)
        if other.trace.sha256 != swept.trace.sha256:
            raise file.fault(
                entry.where["traces"],
                f"two traces are named {swept.trace.name} (of {other.spec} and {swept.spec}); rename one",
                swept.spec,
            )


def _entry_notes(entry: SettingEntry, found: Sequence[SweptTrace], simulated: bool) -> Iterator[str]:
    """What is worth saying of a setting before it runs."""
    for note in trace_notes((swept.trace for swept in found), entry.values["rtt_ms"], "rtt_ms"):
        yield f"{entry.label}: {note}"
    if simulated and entry.values["repetitions"][0] > 1:
        yield f"{entry.label}: a computed session comes out the same; it is not repeated"


def _blocks(
    setting: SweepSetting, entry: SettingEntry, found: Sequence[SweptTrace], simulated: bool
) -> Iterator[Block]:
    """All that every policy meets in a setting."""
    repetitions = 1 if simulated else entry.values["repetitions"][0]
    for swept in found:
        for start in _starts(entry.values["start_s"], swept.trace):
            for seed in entry.values["seeds"]:
                for repetition in range(repetitions):
                    yield setting, swept, start, seed, repetition, entry


def _left_out_notes(
    policies: Sequence[SweepPolicy], settings: Sequence[SweepSetting], untold: Mapping[tuple[str, str], str]
) -> Iterator[str]:
    for policy in policies:
        if policy.left_out is not None:
            yield f"left out, policy {policy.label}: {policy.left_out}"
    for setting in settings:
        if setting.left_out is not None:
            yield f"left out, setting {setting.label}: {setting.left_out}"
    for (policy_label, setting_label), why in untold.items():
        yield f"left out, policy {policy_label} in setting {setting_label}: {why}"


def _policy(file: SweepFile, entry: PolicyEntry, link_model: str | None) -> SweepPolicy:
    try:
        found = loaded(entry.spec)
    except PolicyError as error:
        raise file.fault(entry.place, str(error), entry.spec.partition(":")[0]) from None
    decided = decided_by(found.spec, found.policy)
    return SweepPolicy(
        label=entry.label,
        spec=entry.spec,
        name=found.name,
        delay_ms=found.delay_ms,
        weights_sha256=found.weights_sha256,
        source_sha256=decided.source_sha256,
        left_out=_untellable_anywhere(file, found.policy, link_model),
        fallback=fallback_spec(found.policy, file.fallback),
        sources=tuple(decided.sources.items()),
    )


def _untellable_anywhere(file: SweepFile, policy: Policy, link_model: str | None) -> str | None:
    """Why a policy can be told the future in none of the settings; None where it can in one, or needn't."""
    if not isinstance(policy, ToldFuture):
        return None
    keys = ("buffer_cap_s", "startup_s", "resume_s")
    asked = {
        BufferThresholds(*values)
        for entry in file.settings
        for values in itertools.product(*(entry.values[key] for key in keys))
    }
    said = [_untellable(policy, link_model, each) for each in sorted(asked, key=dataclasses.astuple)]
    return None if None in said else said[0]


def _untold(
    policies: Sequence[SweepPolicy], settings: Sequence[SweepSetting], link_model: str | None
) -> Iterator[tuple[tuple[str, str], str]]:
    """(policy's label, setting's) and why it cannot be told the future there, of those that can elsewhere."""
    for policy in policies:
        asked = loaded(policy.spec).policy
        if policy.left_out is not None or not isinstance(asked, ToldFuture):
            continue
        for setting in settings:
            why = _untellable(asked, link_model, setting.thresholds)
            if setting.left_out is None and why is not None:
                yield (policy.label, setting.label), why


def _untellable(policy: ToldFuture, link_model: str | None, thresholds: BufferThresholds) -> str | None:
    """Why a policy cannot be told the future of such a link and player; None if it can."""
    if link_model is None:
        return TOLD_FUTURE
    if type(policy).__module__.startswith("policies."):
        steady = Trace("steady", (0.0, 1.0), (1.0, 1.0))
        try:
            cap_ms, *levels_ms = (1000.0 * each for each in dataclasses.astuple(thresholds))
            link = MODELS[link_model].link(LinkSettings())
            policy.tell(Future(steady, 1, link, 2, cap_ms, 0, *levels_ms))
        except ValueError as error:
            return str(error)
    return None


@cache
def loaded(spec: str) -> LoadedPolicy:
    """A policy to ask about itself; sessions have one of their own."""
    return load_policy(spec)


def _traces(file: SweepFile, entry: SettingEntry, link_model: str | None) -> list[SweptTrace]:
    """A setting's traces, which the link model can play (None: they are emulated)."""
    found: list[SweptTrace] = []
    for typed in entry.traces:
        spec = typed
        try:
            spec = placed(typed, file.path.parent)
            traces = [capped(trace, entry.values["cap_mbps"][0]) for trace in resolve_many(spec)]
            if link_model == PUBLISHED:
                for trace in traces:
                    refuse_loss(trace)
        except (TraceError, TestbedError, OSError) as error:
            fault = str(error).replace(AS_A_WORD, "convert it first by `python -m traces convert` with --")
            raise file.fault(entry.where["traces"], fault, typed) from None
        found += [SweptTrace(spec, trace) for trace in traces]
    names = Counter(swept.trace.name for swept in found)
    for swept in found:
        if names[swept.trace.name] > 1:
            raise file.fault(
                entry.where["traces"], f"trace {swept.trace.name} is named twice; once will do", swept.spec
            )
    return found


def _grid(entry: SettingEntry, link_model: str | None) -> Iterator[SweepSetting]:
    """Each combination of a setting's listed values."""
    several = [key for key, facts in KEYS.items() if facts.labelled and len(entry.values[key]) > 1]
    for values in itertools.product(*(entry.values[key] for key in several)):
        chosen = {key: value[0] for key, value in entry.values.items()} | dict(
            zip(several, values, strict=True)
        )
        words = ", ".join(f"{key} {shown_value(chosen[key])}" for key in several)
        link = LinkSettings(
            rtt_ms=chosen["rtt_ms"],
            jitter_ms=chosen["jitter_ms"],
            loss=Loss("uniform", chosen["loss_pct"]) if chosen["loss_pct"] else Loss(),
            queue_ms=chosen["queue_ms"],
            queue_bytes=chosen["queue_bytes"],
            congestion_control=chosen["cc"],
            slow_start_after_idle=chosen["slow_start_after_idle"],
        )
        yield SweepSetting(
            label=f"{entry.label}, {words}" if words else entry.label,
            group=entry.label,
            seen=entry.seen,
            stress=entry.stress,
            link=link,
            video=chosen["video"],
            chunks=chosen["chunks"],
            cap_mbps=chosen["cap_mbps"],
            players=chosen["players"],
            stagger_s=chosen["stagger_s"],
            left_out=None if link_model is None else _beyond(link_model, link, chosen["players"]),
            thresholds=BufferThresholds(chosen["buffer_cap_s"], chosen["startup_s"], chosen["resume_s"]),
            axis={key: chosen[key] for key in entry.axes},
        )


def simulated_link(model: str, setting: SweepSetting) -> Link:
    """A setting's link by a model that can do it."""
    return MODELS[model].link(setting.link)


def _beyond(model: str, link: LinkSettings, players: int) -> str | None:
    """What of a setting a link model does not know; None if it can do all of it."""
    if players > 1:
        return "simulated players do not share a bottleneck"
    beyond = MODELS[model].beyond(link)
    return None if beyond is None else f"link model {model}: {beyond}"


def _starts(starts_s: Sequence[float], trace: Trace) -> list[Start]:
    """Where sessions begin: at the trace's point at or before each time, wrapped."""
    found = [bisect_right(trace.time_s, start_s % trace.duration_s) for start_s in starts_s]
    return [Start(trace, index) for index in dict.fromkeys(found)]


def _units(
    file: SweepFile,
    blocks: Sequence[tuple[SweepSetting, SweptTrace, Start, int, int, SettingEntry]],
    policies: Sequence[SweepPolicy],
    untold: Container[tuple[str, str]],
) -> Iterator[Unit]:
    """All units in the order in which they are to run, without those of `_untold`."""
    draw = random.Random(file.order_seed)
    order = list(blocks)
    draw.shuffle(order)
    names: set[str] = set()
    for number, (setting, swept, start, seed, repetition, entry) in enumerate(order):
        video_spec = setting.video or default_video(swept.trace.family)
        whole, chunks = _video(file, entry, video_spec, setting.chunks)
        _check_cap(file, entry, setting, whole)
        for policy in draw.sample(policies, len(policies)):
            if (policy.label, setting.label) in untold:
                continue
            policy_word = re.sub(
                r"^[^:]*/(?=[^/:]+\.py(:|$))", "", policy.label
            )  # a file without its folders
            words = (setting.label, swept.trace.name, f"s{start.at_s:g}", policy_word)
            name = _name((*words, f"seed{seed}", f"r{repetition}"))
            if name in names or len(name) > LONGEST_NAME:
                whole_words = (*words, policy.label, str(seed), str(repetition))
                digest = hashlib.sha256("\n".join(whole_words).encode()).hexdigest()
                name = f"{name[:LONGEST_NAME]}-{digest[:8]}"
            names.add(name)
            yield Unit(
                name=name,
                setting=setting,
                policy=policy,
                swept=swept,
                start=start,
                video_spec=video_spec,
                whole=whole,
                chunks=chunks,
                seed=seed,
                repetition=repetition,
                block=number,
            )


def _name(words: Sequence[str]) -> str:
    """A file's name that says what is in it."""
    return "_".join(re.sub(r"[^A-Za-z0-9.=+-]+", "-", word).strip("-.") for word in words)


def _video(file: SweepFile, entry: SettingEntry, spec: str, chunks: int) -> tuple[Video, int]:
    """The whole video, and how many of its chunks are streamed."""
    place = entry.where["video"]
    try:
        whole = _whole(spec)
        file.scoring.on(whole.ladder_kbps)
    except VideoError as error:
        raise file.fault(place, str(error), spec) from None
    except ValueError as error:
        raise file.fault(("qoe", "kind"), f"{error} (video {spec})") from None
    if chunks > whole.chunks and chunks != KEYS["chunks"].default:
        raise file.fault(
            entry.where["chunks"],
            f"chunks is {chunks}; video {spec} has {whole.chunks}; give at most that",
        )
    return whole, min(chunks, whole.chunks)


def _check_cap(file: SweepFile, entry: SettingEntry, setting: SweepSetting, video: Video) -> None:
    """Raises TestbedError for a buffer that is not to hold a chunk."""
    try:
        setting.thresholds.check_holds(video.chunk_s)
    except ValueError as error:
        raise file.fault(entry.where["buffer_cap_s"], str(error)) from None


@cache
def _whole(spec: str) -> Video:
    return load_video(spec)


def _to_play(file: SweepFile, unit: Unit) -> VideoToPlay:
    return VideoToPlay(unit.whole, unit.video_spec, unit.seed, file.scoring.on(unit.whole.ladder_kbps))


def _refuse_fallbacks(file: SweepFile, units: Sequence[Unit]) -> None:
    """Raises TestbedError for a fallback that can't be had, or can't play a video."""
    for (spec, _), unit in {(unit.policy.fallback, unit.video_spec): unit for unit in units}.items():
        try:
            _to_play(file, unit).refuse(load_fallback(spec), "fallback")
        except PolicyError as error:
            raise file.fault(("fallback",), str(error), spec) from None


def _refusals(file: SweepFile, units: Sequence[Unit]) -> dict[tuple[str, str], str]:
    """(policy's label, video) -> why the policy can't play the video.

    Raises:
        TestbedError: a policy that refuses all of its sessions.
    """
    refused: dict[tuple[str, str], str] = {}
    pairs = {(unit.policy.label, unit.video_spec): unit for unit in units}
    for pair, unit in pairs.items():
        try:
            _to_play(file, unit).refuse(loaded(unit.policy.spec))
        except PolicyError as error:
            refused[pair] = str(error)
    _refuse_fallbacks(file, units)
    for entry in file.policies:
        mine = [pair for pair in pairs if pair[0] == entry.label]
        if mine and all(pair in refused for pair in mine):
            raise file.fault(entry.place, refused[mine[0]], entry.spec.partition(":")[0])
    return refused
