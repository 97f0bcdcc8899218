"""What reads records of calls, sweeps of calls and bounds is fed spoiled ones, as in `test_readers.py`."""

from __future__ import annotations

import json
import zlib
from functools import partial
from pathlib import Path

import pytest

from analysis import __main__ as analysis
from analysis.knowable.bound_file import read_bounds
from analysis.sessions import AnalysisError
from player.call.record import read_call
from player.call.scored.outcomes import of_record
from player.record import RecordError
from policies.knowable.kept import BoundFileError, BoundsFile, held_of
from testbed import simulate, sweep
from testbed.process.errors import TestbedError
from testbed.sweeps.experiment.plan import plan_sweep
from testbed.sweeps.experiment.schema import read_sweep
from tests.fuzzing.readers import Reader, asked_seconds, command, fed

ROOT = Path(__file__).resolve().parents[2]
QUICKLY_S = 0.5
A_PICTURE_S = 20.0
"""A page with its pictures takes seconds."""
SHORT = (
    "--task",
    "call",
    "--duration-s",
    "4",
    "--warm-up-s",
    "1",
    "--traces",
    "3g[0:2]",
    "--jobs",
    "1",
    "--json",
)
SWEEP = """\
task = "call"
name = "calls"
question = "Which?"
policies = ["fixed:kbps=300", "fixed:kbps=600"]
baseline = "fixed:kbps=300"

[defaults]
duration_s = 2
warm_up_s = 1

[[setting]]
label = "a"
traces = "4g[0:2]"
rtt_ms = [40, 80]
media_jitter_ms = 1.5
queue_ms = 150
"""


def calls(folder: Path) -> list[Path]:
    """Two rates over two traces."""
    policies = "fixed:kbps=150,fixed:kbps=900"
    assert simulate.main([*SHORT, "--policy", policies, "--out", str(folder / "calls")]) == 0
    return sorted((folder / "calls").glob("*.jsonl"))


def a_sweep(folder: Path) -> list[Path]:
    (folder / "s.toml").write_text(SWEEP)
    return [folder / "s.toml"]


def a_run_sweep(folder: Path) -> list[Path]:
    """A sweep's folder that was run, and its file."""
    words = [str(*a_sweep(folder)), "--simulate", "--jobs", "1", "--json", "--out", str(folder / "out")]
    assert sweep.main(words) == 0
    out = folder / "out"
    return [*sorted(out.glob("*.jsonl"))[:2], out / "sweep.json", out / "sweep.attempts"]


def bounds(folder: Path) -> list[Path]:
    """Of the first family that ships, with a few members: a file that is small enough to be spoiled often."""
    held = json.loads((ROOT / "policies" / "knowable" / "bounds.json").read_text())
    first = held["bounds"][0]
    few = first["by_member"][:3]
    first |= {"by_member": few, "members": [few[0]["member"], few[-1]["member"] + 1]}
    (folder / "bounds.json").write_text(json.dumps({**held, "bounds": [first]}))
    return [folder / "bounds.json"]


def planned(path: Path) -> None:
    plan_sweep(read_sweep(path), simulated=True)


def gone_on_from(path: Path) -> None:
    for entry in BoundsFile(path).entries:
        held_of(entry, {"genet": "f" * 64})


def resumed(path: Path) -> list[str]:
    folder = path.parent
    return [str(folder.parent / "s.toml"), "--simulate", "--jobs", "1", "--out", str(folder), "--plan"]


ANALYSIS = partial(command, analysis.main)
READERS = (
    Reader("call", calls, lambda path: of_record(read_call(path)), (RecordError, OSError)),
    Reader("calls compared", calls, ANALYSIS(lambda path: ["compare", str(path.parent)])),
    Reader(
        "calls collected",
        calls,
        ANALYSIS(lambda path: ["collect", str(path.parent), "--out", f"{path.parent.parent}/x.csv"]),
    ),
    Reader(
        "calls over time",
        calls,
        ANALYSIS(
            lambda path: ["plot", str(path), "--what", "timeline", "--out", f"{path.parent.parent}/x.png"]
        ),
        (),
        A_PICTURE_S,
    ),
    Reader(
        "calls reported",
        calls,
        ANALYSIS(lambda path: ["report", str(path.parent), "--out", str(path.parent.parent / "page")]),
        (),
        A_PICTURE_S,
    ),
    Reader("call sweep", a_sweep, planned, (TestbedError,)),
    Reader("call resume", a_run_sweep, command(sweep.main, resumed)),
    Reader("bounds", bounds, read_bounds, (AnalysisError,)),
    Reader("bounds to go on from", bounds, gone_on_from, (BoundFileError,)),
)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_reader_of_calls_takes_or_refuses_what_it_is_fed(reader: Reader, tmp_path: Path) -> None:
    assert fed(reader, tmp_path, QUICKLY_S, zlib.crc32(reader.name.encode())) > 0


@pytest.mark.stress
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_reader_of_calls_takes_or_refuses_whatever_it_is_fed(reader: Reader, tmp_path: Path) -> None:
    assert fed(reader, tmp_path, asked_seconds(), zlib.crc32(reader.name.encode()) + 1) > 0
