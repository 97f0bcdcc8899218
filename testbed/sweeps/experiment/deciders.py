"""A sweep's policies: found, asked what they can be told, and whether they can play its videos."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from functools import cache

from player.buffer import BufferThresholds
from player.call.policy import KnowsLink
from player.fallback import fallback_spec, load_fallback
from player.policy import Policy, ToldFuture
from player.provenance import decided_by
from player.registry import CALL, VIDEO, Kind, LoadedPolicy, PolicyError, load_policy
from player.simulated.session import Future
from testbed.browser.clients import DASHJS
from testbed.browser.settings import OwnRule, is_own, loaded_rule, own_rule
from testbed.cross.asked import companions_of
from testbed.link.settings import LinkSettings
from testbed.session.video_to_play import VideoToPlay
from testbed.simulated.models import MODELS
from testbed.simulating.tasks import CALL as TASK_CALL
from testbed.simulating.tasks import VIDEO as TASK_VIDEO
from testbed.sweeps.experiment.players import ELSEWHERE, NOT_COMPUTED, each_elsewhere
from testbed.sweeps.experiment.schema import PolicyEntry, SettingEntry, SweepFile
from testbed.sweeps.experiment.units import SweepPolicy, SweepSetting, Unit
from traces.trace import Trace

KINDS = {TASK_VIDEO: VIDEO, TASK_CALL: CALL}
"""What policies of a task are."""
CALL_FALLBACK = "gcc"
"""Every call carries it."""
TOLD_FUTURE = "it is told the future, which only the simulated player knows"


def policy_of(file: SweepFile, entry: PolicyEntry, link_model: str | None) -> SweepPolicy:
    """What an entry of the file names.

    Raises:
        TestbedError: there is no such policy; with the line.
    """
    try:
        found = loaded(entry.spec, KINDS[file.task])
    except PolicyError as error:
        raise file.fault(entry.place, str(error), entry.spec.partition(":")[0]) from None
    if is_own(found.spec):
        _refuse_without_browser(file, entry)
    decided = decided_by(found.spec, found.policy)
    return SweepPolicy(
        label=entry.label,
        spec=entry.spec,
        name=found.name,
        delay_ms=found.delay_ms,
        weights_sha256=found.weights_sha256,
        source_sha256=decided.source_sha256,
        left_out=_unplayable(found.policy, link_model)
        if file.task == TASK_CALL
        else _untellable_anywhere(file, found.policy, link_model),
        fallback=CALL_FALLBACK if file.task == TASK_CALL else fallback_spec(found.policy, file.fallback),
        sources=tuple(decided.sources.items()),
    )


def _unplayable(policy: object, link_model: str | None) -> str | None:
    """Why a policy can make no call of these; None if it can."""
    return TOLD_FUTURE if link_model is None and isinstance(policy, KnowsLink) else None


def _refuse_without_browser(file: SweepFile, entry: PolicyEntry) -> None:
    """Refuse a rule of dash.js's own where dash.js plays in no setting.

    Raises:
        TestbedError: with the line.
    """
    if not any(DASHJS in setting.values["player"] for setting in file.settings):
        way_out = f'give a setting player = "{DASHJS}"'
        raise file.fault(entry.place, f"policy {entry.spec}: {ELSEWHERE}; {way_out}", entry.spec)


def _untellable_anywhere(file: SweepFile, policy: Policy, link_model: str | None) -> str | None:
    """Why a policy can be asked in none of the settings; None where it can in one."""
    if isinstance(policy, OwnRule):
        return NOT_COMPUTED if link_model is not None else None
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


def each_untold(
    policies: Sequence[SweepPolicy], settings: Sequence[SweepSetting], link_model: str | None
) -> Iterator[tuple[tuple[str, str], str]]:
    """(policy's label, setting's) and why it cannot be asked there, of those that can elsewhere."""
    yield from each_elsewhere(policies, settings)
    for policy in policies:
        if any(setting.call for setting in settings):
            return
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
            cap_ms, startup_ms, resume_ms = thresholds.times_ms
            link = MODELS[link_model].link(LinkSettings())
            policy.tell(Future(steady, 1, link, 2, cap_ms, 0, startup_ms, resume_ms, thresholds.abandon))
        except ValueError as error:
            return str(error)
    return None


@cache
def loaded(spec: str, kind: Kind = VIDEO) -> LoadedPolicy:
    """A policy to ask about itself; sessions have one of their own. A rule of dash.js's is one, too."""
    if kind is VIDEO and is_own(spec):
        return loaded_rule(own_rule(spec))
    return load_policy(spec, kind=kind)


def refuse_companions(file: SweepFile, entry: SettingEntry) -> None:
    """Refuse policies of companions that there are not.

    Raises:
        TestbedError: with the line.
    """
    for text in filter(None, entry.values["beside"]):
        for one in companions_of([text], "beside"):
            try:
                load_policy(one.policy, real=True, kind=KINDS[one.kind])
            except PolicyError as error:
                raise file.fault(entry.where["beside"], f"beside {one.words}: {error}", text) from None


def _to_play(file: SweepFile, unit: Unit) -> VideoToPlay:
    return VideoToPlay(unit.whole, unit.video_spec, unit.seed, file.scoring.on(unit.whole.ladder_kbps))


def _refuse_fallbacks(file: SweepFile, units: Sequence[Unit]) -> None:
    """Raises TestbedError for a fallback that can't be had, or can't play a video."""
    for (spec, _), unit in {(unit.policy.fallback, unit.video_spec): unit for unit in units}.items():
        try:
            _to_play(file, unit).refuse(load_fallback(spec), "fallback")
        except PolicyError as error:
            raise file.fault(("fallback",), str(error), spec) from None


def refusals(file: SweepFile, units: Sequence[Unit]) -> dict[tuple[str, str], str]:
    """(policy's label, video) -> why the policy can't play the video.

    Raises:
        TestbedError: a policy that refuses all of its sessions.
    """
    refused: dict[tuple[str, str], str] = {}
    if file.task == TASK_CALL:
        return refused
    pairs = {(unit.policy.label, unit.video_spec): unit for unit in units}
    for pair, unit in pairs.items():
        if is_own(unit.policy.spec):  # it plays whatever a browser does
            continue
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
