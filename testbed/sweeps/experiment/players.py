"""A sweep's players: which settings they can't play, and what a machine needs for those in a browser."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from testbed.browser.able import BROWSER_LOAD, OF_ITS_OWN, beyond_dashjs, media_for
from testbed.browser.clients import DASHJS
from testbed.browser.settings import is_own
from testbed.lanes.capacity import lanes_held
from testbed.machine.load import SESSION_LOAD
from testbed.sweeps.experiment.units import SweepPolicy, SweepSetting, Unit

NOT_COMPUTED = "dash.js plays in a browser, which nobody computes"
ELSEWHERE = "dash.js decides so only where it plays"


def beyond_player(chosen: Mapping[str, Any], simulated: bool) -> str | None:
    """Why its player can't play a point of a setting; None if it can."""
    if chosen["player"] != DASHJS:
        return None
    if simulated:
        return NOT_COMPUTED
    if chosen["players"] > 1 or chosen["beside"] or chosen["cross"]:
        return OF_ITS_OWN
    return beyond_dashjs(chosen)


def each_elsewhere(
    policies: Sequence[SweepPolicy], settings: Sequence[SweepSetting]
) -> Iterator[tuple[tuple[str, str], str]]:
    """(policy's label, setting's) and why the policy, a rule of dash.js's own, does not decide there."""
    for policy in policies:
        if policy.left_out is None and is_own(policy.spec):
            for setting in settings:
                if setting.left_out is None and setting.client != DASHJS:
                    yield (policy.label, setting.label), ELSEWHERE


def has_browsers(units: Iterable[Unit]) -> bool:
    """Whether dash.js plays some of them."""
    return any(unit.setting.client == DASHJS for unit in units)


def lane_load(units: Iterable[Unit]) -> float:
    """Processors that a lane keeps busy in the mean, whichever of the units is on it."""
    return BROWSER_LOAD if has_browsers(units) else SESSION_LOAD


def lanes_with_browsers() -> int:
    """How many lanes with a browser on each this machine holds, if it does nothing else."""
    return lanes_held(len(os.sched_getaffinity(0)), 0.0, 0.0, 0.0, BROWSER_LOAD)


def make_media(units: Iterable[Unit]) -> None:
    """Make the real media that browsers play, where they are not there yet.

    Raises:
        TestbedError: they can't be made.
    """
    browsed = [unit for unit in units if unit.setting.client == DASHJS]
    wanted = {(unit.video_spec, None if unit.live is None else unit.live.part_s): unit for unit in browsed}
    for (_, part_s), unit in wanted.items():
        media_for(unit.whole, part_s)
