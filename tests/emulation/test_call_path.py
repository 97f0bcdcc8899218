"""A path is measured packet by packet, over a real lane: what the kernel does, however busy the machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from testbed.checks.call_path.facts import CallPathFacts
from testbed.checks.call_path.measure import measure
from testbed.link.settings import LinkSettings

pytestmark = [pytest.mark.emulation, pytest.mark.beside]


def measured(settings: LinkSettings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> CallPathFacts:
    monkeypatch.setattr("testbed.checks.call_path.measure.OVERLOAD_S", 2.0)
    return asyncio.run(measure(settings, "relay", 2.0, 2.0, folder))


def test_all_comes_spaced_as_the_rate_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LinkSettings(rtt_ms=40.0, media_delay_ms=15.0)
    found = measured(settings, tmp_path, monkeypatch)
    assert (found.idle.came, found.overload.came) == (found.idle.sent, found.overload.sent)
    assert found.idle.p50_ms >= 15.0
    assert found.overload.spacing_ms == pytest.approx(4.968, rel=0.03)
    assert found.overload.slope == pytest.approx(found.overload.slope_due, rel=0.5)
