"""How true the simulated call is: emulated calls, each made again in the simulator by the policy itself.

The simulated call has the record's trace and start, path, call, seed and policy; what the link log saw is
not used. Simulated less emulated, call by call: means with intervals over traces, held against the bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rich.table import Table
from rich.text import Text

from analysis.bootstrap import Interval, mean_interval
from analysis.calls.outcomes import CallSession
from analysis.clusters import ClusterRule
from analysis.sessions import AnalysisError, complaint, read_each
from player.call.checks import CallError
from player.call.compiled_rule import HasCompiledRule
from player.call.path import CallPath, PathLoss
from player.call.policy import CallPolicy
from player.call.record import CallRecord, read_call
from player.call.scored.outcomes import CallOutcomes, call_outcomes, of_record
from player.call.scored.qoe import CallQoE
from player.call.simulated.batch import SimulatedCalls
from player.call.simulated.playing import play_policies, play_rule
from player.call.simulated.told import end_of, seconds_of
from player.manifest import LinkSection
from player.record import FINISHED
from player.registry import CALL, load_policy
from testbed.again.told import Told
from testbed.again.trust import trusted_files
from testbed.process.errors import TestbedError
from traces.trace import Trace, TraceError
from traces.words import counted

ALL = "all"


@dataclass(frozen=True)
class Held:
    """A figure that is held against its bound."""

    name: str
    title: str
    unit: str
    scale: float
    bound: float
    """Of the mean difference, in the unit."""
    relative: bool
    """Differences are shares of the emulated figure."""

    def difference(self, simulated: CallOutcomes, emulated: CallOutcomes) -> float | None:
        """Simulated less emulated, in the unit; None where one of them has no such figure."""
        here, there = getattr(simulated, self.name), getattr(emulated, self.name)
        if here is None or there is None or (self.relative and not there):
            return None
        return self.scale * float((here - there) / there if self.relative else here - there)


HELD = (
    Held("bitrate_mbps", "bitrate", "%", 100.0, 3.0, True),
    Held("stall_ratio", "stall ratio", "points", 100.0, 0.3, False),
    Held("frame_delay_p95_ms", "frame delay p95", "%", 100.0, 10.0, True),
)


@dataclass(frozen=True)
class CallTwice:
    """A call as it was emulated, and as it is simulated."""

    record: str
    policy: str
    family: str
    trace: str
    emulated: CallOutcomes
    simulated: CallOutcomes


@dataclass(frozen=True)
class FoundTwice:
    """All of them, and how many were put aside."""

    calls: tuple[CallTwice, ...]
    invalid: int
    """Whose links were not true: left out, or, where that was asked for, among them."""
    unfinished: int
    shared: int
    """Others were on their bottleneck, of which the simulator knows nothing."""
    with_invalid: bool = False

    def __str__(self) -> str:
        traces = len({one.trace for one in self.calls})
        return (
            f"{counted(len(self.calls), 'emulated call')} over {counted(traces, 'trace')}, each simulated"
            f" again; {self.invalid} invalid{' among them' if self.with_invalid else ' left out'}, left out"
            f" {self.unfinished} unfinished and {self.shared} on shared links"
        )


def find_calls(
    places: Sequence[Path], trust: bool, with_invalid: bool = False
) -> tuple[FoundTwice, list[str]]:
    """Read emulated calls and simulate each; and what is to be said of policy files that records name.

    Args:
        with_invalid: also those whose links were not true.

    Raises:
        TestbedError, AnalysisError: what cannot be read or made again.
    """
    read, faults = read_each(places, lambda path: CallSession(read_call(path)))
    if not read:
        raise AnalysisError(complaint(faults, len(faults)))
    ours = [one for one in read if not one.record.told.simulated]
    if not ours:
        raise TestbedError(f"all {counted(len(read), 'call')} are simulated; name emulated ones")
    valid = [one for one in ours if one.record.end.valid]
    taken = ours if with_invalid else valid
    whole = [one for one in taken if one.record.end.outcome == FINISHED]
    alone = [one for one in whole if one.shared is None]
    said = [trusted_files(Told(one.record), _spec(one.record), "gcc", trust) for one in alone]
    if not alone:
        raise TestbedError(
            f"none of {counted(len(ours), 'emulated call')} can be simulated again: see its link"
        )
    left_out = (len(taken) - len(whole), len(whole) - len(alone))
    found = FoundTwice(tuple(map(_twice, alone)), len(ours) - len(valid), *left_out, with_invalid)
    return found, list(dict.fromkeys(filter(None, said)))


def _spec(record: CallRecord) -> str:
    policy = record.told.policy
    if policy is None or not policy.spec:
        raise TestbedError(f"{record.path}:1: the manifest names no policy")
    return policy.spec


def _twice(session: CallSession) -> CallTwice:
    record, section = session.record, session.section("trace")
    try:
        trace = Trace.of(str(section.get("name", "trace")), section, str(section.get("family") or ""))
        simulated = simulated_again(record, trace)
    except (TraceError, CallError) as error:
        raise TestbedError(f"{record.path}:1: {error}") from None
    family = trace.family or "-"
    return CallTwice(record.path, session.policy, family, trace.name, of_record(record), simulated)


def simulated_again(record: CallRecord, trace: Trace) -> CallOutcomes:
    """The figures of a recorded call, simulated.

    Raises:
        CallError: its link is none that the simulator knows.
    """
    told = record.told
    start_s = (told.trace.start_s if told.trace else None) or 0.0
    path = path_of(told.link or LinkSection())
    calls = SimulatedCalls(record.call, [trace], path, told.seed or 0, start_s)
    loaded = load_policy(_spec(record), kind=CALL)
    if isinstance(loaded.policy, HasCompiledRule):
        made = play_rule(calls, loaded.policy.compiled_rule(), getattr(loaded.policy, "may_probe", True))
    else:
        made = play_policies(calls, [cast(CallPolicy, loaded.policy)], CallQoE(), loaded.delay_ms / 1000.0)
    rows = made.rows(0)
    return call_outcomes(record.call, rows, seconds_of(calls, 0), end_of(calls, 0, len(rows)))


def path_of(link: LinkSection) -> CallPath:
    """A recorded link as the simulator has it.

    Raises:
        CallError: figures that make no path.
    """
    loss: dict[str, Any] = {name: value for name, value in (link.loss or {}).items() if value is not None}
    return CallPath(
        rtt_ms=link.rtt_ms or 0.0,
        media_delay_ms=link.media_delay_ms or 0.0,
        queue_ms=link.queue_ms,
        queue_bytes=link.queue_bytes,
        media_jitter_ms=link.media_jitter_ms or 0.0,
        grant_ms=link.grant_ms or 0.0,
        loss=PathLoss(**loss),
        jitter_ms=link.jitter_ms or 0.0,
    )


def call_rows(calls: Sequence[CallTwice], rule: ClusterRule) -> list[dict[str, Any]]:
    """A row for each policy and family, and for all families of a policy; and for each figure in it the mean
    difference with its interval, and the mean distance."""
    return [_row(policy, family, mine, rule) for policy, family, mine in _groups(calls)]


def _groups(calls: Sequence[CallTwice]) -> Iterator[tuple[str, str, list[CallTwice]]]:
    for policy in dict.fromkeys(one.policy for one in calls):
        mine = [one for one in calls if one.policy == policy]
        families = sorted({one.family for one in mine})
        for family in families:
            yield policy, family, [one for one in mine if one.family == family]
        if len(families) > 1:
            yield policy, ALL, mine


def _row(policy: str, family: str, mine: Sequence[CallTwice], rule: ClusterRule) -> dict[str, Any]:
    row: dict[str, Any] = {"policy": policy, "family": family, "calls": len(mine)}
    for held in HELD:
        pairs = [(one, held.difference(one.simulated, one.emulated)) for one in mine]
        known = [(one, value) for one, value in pairs if value is not None]
        if not known:
            row[held.name] = None
            continue
        values = [value for _, value in known]
        interval: Interval = mean_interval(values, [rule.key(one.trace) for one, _ in known])
        row[held.name] = {
            "emulated": sum(float(getattr(one.emulated, held.name)) for one, _ in known) / len(known),
            "difference": interval.mean,
            "ci95": interval.bounds,
            "mean_distance": sum(map(abs, values)) / len(values),
            "bound": held.bound,
            "unit": held.unit,
            "within": abs(interval.mean) <= held.bound,
        }
    return row


def all_within(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether each policy is within all bounds over all of its calls."""
    whole = [row for row in rows if row["family"] == ALL] or list(rows)
    return all(row[held.name]["within"] for row in whole for held in HELD if row[held.name] is not None)


def call_table(rows: Sequence[dict[str, Any]]) -> Table:
    """What a person sees."""
    bounds = ", ".join(f"{held.title} {held.bound:g} {held.unit}" for held in HELD)
    shown = Table(
        title=f"Simulated less emulated, mean (95 % interval over traces) / mean distance; bounds: {bounds}",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for name in ("policy", "family", "calls"):
        shown.add_column(name, justify="right" if name == "calls" else "left")
    for held in HELD:
        shown.add_column(f"{held.title}, {held.unit}", justify="right")
    for row in rows:
        cells = (row["policy"], row["family"], str(row["calls"]), *(_cell(row[held.name]) for held in HELD))
        shown.add_row(*map(Text, cells))
    return shown


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    bounds = found["ci95"]
    interval = "" if bounds is None else f" ({bounds[0]:+.2f} to {bounds[1]:+.2f})"
    out = "" if found["within"] else " OUT"
    return f"{found['difference']:+.2f}{interval} / {found['mean_distance']:.2f}{out}"
