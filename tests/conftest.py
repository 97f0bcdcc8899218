"""Which tests run where: `emulation` tests need root and a kernel that can emulate, `stress` tests a wish.

Where a machine cannot emulate, emulation tests are skipped and say why; under
STREAMBED_REQUIRE_EMULATION=1 (CI) they fail instead, so that a green run has tested the links.
"""

from __future__ import annotations

import os

import pytest

from testbed.machine.capabilities import probe
from testbed.machine.finding import Report

for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_library, "1")  # tests run side by side: idle threads of a pool would spin


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave `stress` tests out unless the command line names that mark."""
    if "stress" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("stress")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("stress")]


@pytest.fixture(scope="session")
def machine() -> Report:
    """What the doctor says of this machine."""
    return probe()


@pytest.fixture(autouse=True)
def _emulation_gate(request: pytest.FixtureRequest) -> None:
    if not (request.node.get_closest_marker("emulation") or request.node.get_closest_marker("stress")):
        return
    report: Report = request.getfixturevalue("machine")
    if report.can_emulate:
        return
    if os.environ.get("STREAMBED_REQUIRE_EMULATION") == "1":
        pytest.fail(report.summary(), pytrace=False)
    pytest.skip(report.summary())
