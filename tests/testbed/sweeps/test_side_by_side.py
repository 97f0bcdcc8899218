"""A computed sweep hands out the sessions of a policy that decides for many at once in parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import sweep
from testbed.sweeps import computed
from testbed.sweeps.folder import JOURNAL
from tests.support.simulating import rows_of

MIXED = """\
name = "mixed"
policies = ["bba", "small:server=none"]
baseline = "bba"

[[setting]]
label = "usual"
traces = "4g[0:3]"
rtt_ms = 80
chunks = 4
seeds = [0, 1]
"""


def _swept(folder: Path, out: str, jobs: int = 1) -> dict[str, list[str]]:
    (folder / "m.toml").write_text(MIXED)
    words = [str(folder / "m.toml"), "--simulate", "--jobs", str(jobs), "--out", str(folder / out)]
    assert sweep.main(words) == 0
    return rows_of(folder / out)


@pytest.mark.parametrize("jobs", [1, 2])
def test_parts_leave_the_records_of_sessions_one_by_one(
    jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = computed.compute_all

    def counted(sessions, *more):  # type: ignore[no-untyped-def]
        sizes.append(len(sessions))
        return real(sessions, *more)

    if jobs == 1:
        monkeypatch.setattr(computed, "compute_all", counted)
    together = _swept(tmp_path, "together", jobs)
    assert jobs == 2 or sorted(sizes) == [1] * 6 + [6]
    monkeypatch.setattr(computed, "together", lambda policy: 1)
    assert together == _swept(tmp_path, "alone") and len(together) == 12
    units = (tmp_path / "together" / JOURNAL).read_text().count('"done"')
    assert units == 12
