"""Which tests run where: `emulation` tests need root and a kernel that can emulate, `stress` tests a wish.

Where a machine cannot emulate, emulation tests are skipped and say why; under
STREAMBED_REQUIRE_EMULATION=1 (CI) they fail instead, so that a green run has tested the links.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import settings

from policies.llm.model.base_names import DEFAULT
from testbed.machine.capabilities import probe
from testbed.machine.finding import Report
from testbed.simulated.computing_pace import FILE as PACE
from traces.ownership import caller_cache_dir

for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_library, "1")  # tests run side by side: idle threads of a pool would spin

settings.register_profile("no deadline", deadline=None)  # a machine that is busy is no fault of the code
settings.load_profile("no deadline")

CACHE = Path(__file__).resolve().parents[1] / "build" / "tests-cache"
"""The tests' own: what they time and compile is nothing that the user's commands should know. It stays from
run to run, as compiling takes long; `make clean` takes it away."""


def _take_own_cache() -> None:
    """Before any test; processes that tests start have it, too. Only the converted model is the user's."""
    users, own = caller_cache_dir(), CACHE / "streambed"
    own.mkdir(parents=True, exist_ok=True)
    if "PYTEST_XDIST_WORKER" not in os.environ:  # its paces would be known to the next run's tests
        (own / PACE).unlink(missing_ok=True)
    for gone in (each for each in own.iterdir() if each.is_symlink() and not each.exists()):
        gone.unlink(missing_ok=True)
    for model in users.glob(f"{DEFAULT}-*"):
        if users != own and model.is_dir() and not model.name.endswith(".part"):
            with contextlib.suppress(FileExistsError):  # another process was sooner, or an earlier run
                (own / model.name).symlink_to(model)
    os.environ["XDG_CACHE_HOME"] = str(CACHE)
    # Where Python keeps no bytecode (emulation tests, what they start) machine code would be kept elsewhere
    # than where the other tests have put it, and would be compiled a second time.
    os.environ["NUMBA_CACHE_DIR"] = str(CACHE / "numba")


_take_own_cache()


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's
def pytest_xdist_auto_num_workers() -> int | None:
    """One process more than there are processors: some tests mostly wait, and leave theirs to another."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None  # what it says
    return (os.cpu_count() or 1) + 1


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
