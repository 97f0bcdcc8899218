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
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from player.defaults import PUBLISHED
from player.qoe import QoE, Scored, live_qoe
from player.video.video import Video
from testbed.session.trace_notes import trace_notes, video_notes
from testbed.simulating.tasks import CALL
from testbed.sweeps.experiment.deciders import each_untold, policy_of, refusals, refuse_companions
from testbed.sweeps.experiment.grid import Block, blocks_of, grid, traces_in, units_of
from testbed.sweeps.experiment.most import refuse_many
from testbed.sweeps.experiment.schema import SettingEntry, SweepFile
from testbed.sweeps.experiment.units import SweepPolicy, SweepSetting, SweptTrace, Unit


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
        ladder_kbps = unit.whole.ladder_kbps
        qoe = self.file.scoring.on(ladder_kbps)
        return qoe if unit.setting.live is None else live_qoe(qoe, ladder_kbps, self.file.latency_weight)

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
    calls = file.task == CALL
    model = (CALL if calls else link_model) if simulated else None
    refuse_many(file, [1] * len(file.settings), simulated)  # lists alone may make too many
    policies = _policies(file, model)
    settings: list[SweepSetting] = []
    blocks: list[Block] = []
    traces: dict[str, SweptTrace] = {}
    notes: list[str] = []
    traces_of = [traces_in(file, entry, model) for entry in file.settings]
    refuse_many(file, [len(found) for found in traces_of], simulated)
    for entry, found in zip(file.settings, traces_of, strict=True):
        _join(file, entry, traces, found)
        notes += _entry_notes(entry, found, simulated)
        for setting in grid(entry, model, calls):
            settings.append(setting)
            blocks += blocks_of(setting, entry, found, simulated)
    everything = sum(setting.players for setting, *_ in blocks) * len(policies)
    able = [block for block in blocks if block[0].left_out is None]
    untold = dict(each_untold(policies, settings, model))
    units = tuple(units_of(file, able, [policy for policy in policies if policy.left_out is None], untold))
    refused = refusals(file, units)
    units = tuple(unit for unit in units if (unit.policy.label, unit.video_spec) not in refused)
    notes += [] if calls else video_notes(unit.whole for unit in units)
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


def _policies(file: SweepFile, model: str | None) -> tuple[SweepPolicy, ...]:
    """Those that the file is about; those that are made besides are there, too.

    Raises:
        TestbedError: one that there is not; with the line.
    """
    for entry in file.settings:
        refuse_companions(file, entry)
    return tuple(policy_of(file, entry, model) for entry in file.policies)


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
