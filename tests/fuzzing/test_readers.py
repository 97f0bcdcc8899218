"""Every reader of files from outside is fed spoiled ones: it reads them, or refuses them in one line.

`make stress` feeds each for ten minutes; STREAMBED_FUZZ_S=30 for half a minute each. A handful of files each
goes through in the usual tests.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import __main__ as analysis
from analysis.report.parts.planned import read_sweep as read_planned
from analysis.sessions import AnalysisError
from player.jobs.settings import ClusterSettings
from player.jobs.simulated.episode import Episode
from player.manifest import Manifest
from player.record import RecordError, read_record
from player.video import __main__ as video
from player.video.built_in import load_video
from player.video.mpd import Presentation, read_mpd
from player.video.mpd_live import LiveRead
from player.video.mpd_write import write_mpd
from player.video.mpd_xml import MpdError
from player.video.video import VideoError
from policies.apc import learned, rule
from policies.generalist import rows
from policies.generalist.rows import RunRow
from policies.llm.model import adapter
from policies.llm.serving.fields import FieldError, load_json
from policies.llm.tasks.jobs.seen import step_of
from policies.llm.tasks.jobs.task import TASK as JOBS
from policies.llm.tasks.jobs.wire import JobsContext, Previous
from policies.llm.tasks.ladder.task import TASK
from testbed import run, simulate, sweep
from testbed.link.log import read_link_log
from testbed.process.errors import TestbedError
from testbed.simulated.starts import read_starts
from testbed.sweeps.experiment.plan import plan_sweep
from testbed.sweeps.experiment.schema import read_sweep
from tests.fuzzing import trace_files
from tests.fuzzing.readers import Reader, asked_seconds, command, fed, json_file
from tests.support.one_file import write_one_file_video
from tests.support.report_sweeps import small_sweep
from tests.support.session_records import write_session
from traces import __main__ as traces
from traces import formats
from traces.families.catalogue import resolve
from traces.families.model import read_model
from traces.jobs.generator import member
from traces.trace import TraceError

ROOT = Path(__file__).resolve().parents[2]
QUICKLY_S, A_FEW = 0.7, 40
"""The usual tests end with whichever comes first: the same files on every machine, but of a slow reader's."""
A_REPORT_S = 20.0
"""Of a whole sweep it takes seconds: it draws a dozen pictures."""


def records(folder: Path) -> list[Path]:
    """Three policies over two traces, one by whom the fallback decided, one over a link that was checked."""
    found = []
    for policy in ("bba", "rate", "my.py:P"):
        for trace in ("t0", "t1"):
            path = folder / f"{policy.partition(':')[0]}-{trace}.jsonl"
            link = {"kind": "none", "p": 0.0}
            found.append(write_session(path, policy, trace, link={"rtt_ms": 80.0, "loss": link}))
    return found


def one_record(folder: Path) -> list[Path]:
    return records(folder)[:1]


def a_sweep(folder: Path) -> list[Path]:
    small_sweep(folder / "results")
    return [*sorted((folder / "results").glob("*.jsonl"))[:3], folder / "results" / "sweep.json"]


def a_run_sweep(folder: Path) -> list[Path]:
    """A sweep's folder that was run, and its file."""
    (folder / "s.toml").write_text(
        'name = "small"\npolicies = ["bba", "rate"]\nretries = 1\n\n[[setting]]\nlabel = "usual"\n'
        'traces = "4g[0:2]"\nchunks = 3\nrtt_ms = 80\n'
    )
    out = folder / "out"
    assert sweep.main([str(folder / "s.toml"), "--simulate", "--jobs", "1", "--out", str(out)]) == 0
    return [*sorted(out.glob("*.jsonl"))[:2], out / "sweep.json", out / "sweep.attempts"]


def a_toml(folder: Path) -> list[Path]:
    return [copied(path, folder) for path in sorted((ROOT / "testbed" / "sweeps").glob("*.toml"))]


def a_small_toml(folder: Path) -> list[Path]:
    (folder / "s.toml").write_text(
        'name = "small"\nquestion = "Which?"\npolicies = ["bba", "rate"]\nbaseline = "bba"\nretries = 1\n'
        "order_seed = 3\n\n[defaults]\nchunks = 5\nrepetitions = 2\n\n"
        '[[setting]]\nlabel = "usual"\nseen = true\n'
        'traces = "4g[0:3]"\nrtt_ms = [20, 80]\nstart_s = [0, 7.5]\nplayers = 1\n'
    )
    planned(folder / "s.toml")
    return [folder / "s.toml"]


def copied(path: Path, folder: Path) -> Path:
    (folder / path.name).write_bytes(path.read_bytes())
    return folder / path.name


def an_mpd(folder: Path) -> list[Path]:
    (folder / "a.mpd").write_text(write_mpd(load_video("envivio").first(4)))
    return [folder / "a.mpd"]


def an_mpd_of_templates(folder: Path) -> list[Path]:
    """As packagers write it: with a timeline, of files whose names are made of a pattern; and packed."""
    head = (
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT12S"><Period>'
    )
    level = '<Representation id="{0}" bandwidth="{0}00000" width="320" height="180" codecs="avc1"/>'
    levels = "".join(level.format(n) for n in (3, 9))
    kinds = (
        '<SegmentTemplate media="$RepresentationID$/$Number%05d$.m4s" initialization="$RepresentationID$/i"'
        ' timescale="1000" duration="4000" startNumber="1"/>',
        '<SegmentTemplate media="$RepresentationID$/$Time$.m4s" timescale="90000"><SegmentTimeline>'
        '<S t="0" d="360000" r="1"/><S d="360000"/></SegmentTimeline></SegmentTemplate>',
    )
    found = []
    for number, kind in enumerate(kinds):
        path = folder / f"{number}.mpd"
        path.write_text(
            f'{head}<AdaptationSet mimeType="video/mp4">{kind}{levels}</AdaptationSet></Period></MPD>'
        )
        found.append(path)
    packed = folder / "2.mpd.gz"
    packed.write_bytes(gzip.compress(found[0].read_bytes(), mtime=0))
    return [*found, packed]


def one_file_a_level(folder: Path) -> list[Path]:
    """An MPD, and the file whose index it names."""
    return [write_one_file_video(folder, [[5, 6, 7]]), folder / "v0.mp4"]


def a_live_mpd(folder: Path) -> list[Path]:
    path = folder / "live.mpd"
    path.write_text(
        '<MPD type="dynamic" availabilityStartTime="2026-11-27T12:00:00Z" suggestedPresentationDelay="PT9S">'
        '<Period start="PT1S"><AdaptationSet contentType="video"><SegmentTemplate timescale="10"'
        ' media="$Time$" availabilityTimeOffset="1.5"><SegmentTimeline><S t="50" d="20" r="9"/>'
        '<S d="30" r="-1"/>'
        '</SegmentTimeline></SegmentTemplate><Representation id="v" bandwidth="800000"/></AdaptationSet>'
        "</Period></MPD>"
    )
    return [path]


def joined(path: Path) -> Presentation:
    return read_mpd(path.read_bytes(), "http://a/b.mpd", live=LiveRead(1_796_000_000.0, 9))


def a_folder_of_sizes(folder: Path) -> list[Path]:
    """A video of two levels, as published ones are, with all that may lie beside the sizes."""
    for name, text in (("video_size_0", "9\n8\n7\n"), ("video_size_1", "90\n80\n70\n")):
        (folder / name).write_text(text)
    (folder / "ladder_kbps").write_text("300\n750\n")
    (folder / "chunk_s").write_text("4\n")
    return sorted(folder.iterdir())


def a_family(folder: Path) -> list[Path]:
    return [copied(ROOT / "traces" / "families" / "4g.json", folder)]


def several_tasks_adapter(folder: Path) -> list[Path]:
    config, *_ = an_adapter(folder)
    held = json.loads(config.read_text())
    own = ("head", "modalities", "objective", "target", "max_steps", "keep_steps")
    tasks = {held["task"]: {name: held.pop(name) for name in own}}
    config.write_text(json.dumps({**held, "format": adapter.SEVERAL, "tasks": tasks}))
    return [config]


def rows_of_runs(folder: Path) -> list[Path]:
    run = RunRow("own", "random", ("a",), "a", 1, 10.0, (), {"x": [1.0, 2.0]}, 1.5, 9, 0.1, 10, 1.0)
    row = rows.TaskRow("a", "points", "line", {"x": [0, 1]}, {"x": 1.0}, "p", None)
    rows.write(folder, "a", [row, run])
    return [folder / rows.FOLDER / "a.jsonl"]


def an_adapter(folder: Path) -> list[Path]:
    shipped = ROOT / "policies" / "llm" / "tasks" / "ladder" / "weights" / "adapter.json"
    copied(shipped.with_name("adapter.safetensors"), folder)
    return [copied(shipped, folder)]


def a_link_log(folder: Path) -> list[Path]:
    path = folder / "link.jsonl"
    line = {
        "t": 1.0,
        "rate_mbps": 1.0,
        "late_ms": 0.0,
        "delivered_bytes": 7,
        "dropped": 0,
        "backlog_bytes": 0,
    }
    path.write_text("\n".join(json.dumps(line) for _ in range(5)) + "\n")
    return [path]


def some_starts(folder: Path) -> list[Path]:
    (folder / "starts").write_text("4g/0 5\n4g/0 7\n# more\n4g/0 1\n")
    return [folder / "starts"]


def a_body(folder: Path) -> list[Path]:
    (folder / "body").write_text(
        '{"task": "ladder", "session": "a", "from": 0, "steps": [{"past": null}], "deadline_ms": 5}'
    )
    return [folder / "body"]


def a_step_of_jobs(folder: Path) -> list[Path]:
    seen = Episode(member(7, 4), ClusterSettings(), 0).observation()
    return json_file("step", JOBS.dump_step(step_of(seen, Previous(3, 25.0, 2.5)).step))(folder)


def fed_to_the_model(path: Path) -> None:
    """A step that is taken makes finite numbers."""
    step, context = JOBS.load_step(load_json(path.read_bytes()), "step", 0), JobsContext(50)
    JOBS.check([step], context)
    assert np.isfinite(JOBS.features(step, (), context)).all()


def planned(path: Path) -> None:
    plan_sweep(read_sweep(path), simulated=True, link_model="published")


def typed(path: Path) -> Any:
    record = read_record(path)
    return Manifest.of_line(record.manifest).to_json(), record.told


def computed(folder: Path) -> list[Path]:
    """A session by each link model, to be run again."""
    words = ["--traces", "4g/1", "--policy", "bba", "--chunks", "2", "--jobs", "1"]
    for link in ("published", "tcp"):
        assert simulate.main([*words, "--link", link, "--out", str(folder / link)]) == 0
    return sorted(folder.glob("*/*.jsonl"))


def reproduced(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as out:
        command(run.main, lambda spoiled: ["--reproduce", str(spoiled), "--out", f"{out}/again"])(path)


ANALYSIS = partial(command, analysis.main)
READERS = (
    Reader("record", one_record, typed, (RecordError, OSError)),
    Reader("reproduce", computed, reproduced),
    Reader("compare", records, ANALYSIS(lambda path: ["compare", str(path.parent)])),
    Reader("table", records, ANALYSIS(lambda path: ["table", str(path.parent), "--by", "link"])),
    Reader(
        "collect",
        records,
        ANALYSIS(lambda path: ["collect", str(path.parent), "--out", f"{path.parent}/x.csv"]),
    ),
    Reader(
        "chunks",
        records,
        ANALYSIS(lambda path: ["collect", str(path.parent), "--chunks", "--out", f"{path.parent}/x.parquet"]),
    ),
    Reader(
        "timeline",
        one_record,
        ANALYSIS(lambda path: ["plot", str(path), "--what", "timeline", "--out", f"{path.parent}/x.png"]),
    ),
    Reader("power", records, ANALYSIS(lambda path: ["power", str(path.parent)])),
    Reader(
        "report", a_sweep, ANALYSIS(lambda path: ["report", str(path.parent), "--jobs", "1"]), (), A_REPORT_S
    ),
    Reader("planned", a_sweep, lambda path: read_planned(path.parent), (AnalysisError,)),
    Reader(
        "resume",
        a_run_sweep,
        command(
            sweep.main,
            lambda path: [
                *(
                    str(path.parent.parent / "s.toml"),
                    "--simulate",
                    "--jobs",
                    "1",
                    "--out",
                    str(path.parent),
                    "--plan",
                )
            ],
        ),
    ),
    Reader("sweep", a_toml, read_sweep, (TestbedError,)),
    Reader("plan", a_small_toml, planned, (TestbedError, TraceError, VideoError)),
    Reader("trace", trace_files.seeds, formats.load, (TraceError,)),
    Reader(
        "trace with gaps", trace_files.seeds, lambda path: formats.load(path, ":idle=hold"), (TraceError,)
    ),
    Reader("lint", trace_files.seeds, command(traces.main, lambda path: ["lint", str(path)])),
    Reader("show", trace_files.seeds, command(traces.main, lambda path: ["show", str(path)])),
    Reader("family", a_family, read_model, (TraceError,)),
    Reader("mpd", an_mpd, lambda path: read_mpd(path.read_bytes(), "http://a/b.mpd"), (MpdError,)),
    Reader("video", an_mpd, lambda path: load_video(str(path)), (VideoError,)),
    Reader("templates", an_mpd_of_templates, lambda path: load_video(str(path)), (VideoError,)),
    Reader("video show", an_mpd_of_templates, command(video.main, lambda path: ["show", str(path)])),
    Reader("one file", one_file_a_level, lambda path: load_video(str(path.parent)), (VideoError,)),
    Reader("live mpd", a_live_mpd, joined, (MpdError,)),
    Reader("sizes", a_folder_of_sizes, lambda path: load_video(str(path.parent)), (VideoError,)),
    Reader("link log", a_link_log, read_link_log, (ValueError,)),
    Reader("starts", some_starts, lambda path: read_starts(str(path), [resolve("4g/0")]), (TestbedError,)),
    Reader(
        "rule",
        lambda folder: [copied(rule.SHIPPED, folder)],
        lambda path: rule.read_rule("robustmpc", path),
        (rule.SchedulerError,),
    ),
    Reader(
        "net",
        lambda folder: [copied(learned.SHIPPED, folder)],
        lambda path: learned.read_net("genet", path),
        (rule.SchedulerError,),
    ),
    Reader(
        "adapter of several tasks",
        several_tasks_adapter,
        lambda path: adapter.read(path.parent, TASK),
        (adapter.AdapterError,),
    ),
    Reader("rows of the generalist", rows_of_runs, rows.read, (rows.RowsError,)),
    Reader("adapter", an_adapter, lambda path: adapter.read(path.parent, TASK), (adapter.AdapterError,)),
    Reader("body", a_body, lambda path: load_json(path.read_bytes()), (FieldError,)),
    Reader("jobs step", a_step_of_jobs, fed_to_the_model, (FieldError,)),
)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_reader_takes_or_refuses_what_it_is_fed(reader: Reader, tmp_path: Path) -> None:
    assert fed(reader, tmp_path, QUICKLY_S, zlib.crc32(reader.name.encode()), A_FEW) > 0


@pytest.mark.stress
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_reader_takes_or_refuses_whatever_it_is_fed(reader: Reader, tmp_path: Path) -> None:
    assert fed(reader, tmp_path, asked_seconds(), zlib.crc32(reader.name.encode()) + 1) > 0
