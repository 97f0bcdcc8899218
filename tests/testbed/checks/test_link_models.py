"""`testbed/link_models.py`, on records that the models themselves have made, as if emulated."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from player.qoe import QoE
from player.record import RecordWriter, read_record
from player.simulated.session import Link, simulate
from player.simulated.tcp.link import TcpLink
from player.video.video import Video
from policies.rules.bba import BBA
from testbed import link_models
from testbed import simulate as simulate_command
from testbed.link_models import quantile_interval
from traces.trace import Trace

VIDEO = Video("v", 4.0, (300, 750, 1200), tuple((150_000, 375_000, 600_000) for _ in range(8)))
QUEUE_BYTES = 60_000


def trace_of(number: int, family: str) -> Trace:
    rates = np.random.default_rng([number, *family.encode()]).uniform(0.5, 4.0, 61)
    trace = Trace(f"{family}/{number}", tuple(map(float, range(61))), tuple(map(float, rates)), family)
    delays = tuple(float(7 * second % 90) for second in range(61))
    return dataclasses.replace(trace, delay_ms=delays) if number == 2 else trace


def write(folder: Path, trace: Trace, link: Link, **changes: Any) -> Path:
    """The record of a session over a link model, with an emulated one's manifest."""
    rows, end = simulate(VIDEO, trace, BBA(), seed=0, qoe=QoE(), link=link, chunks=8, first_level=None)
    manifest: dict[str, Any] = {
        "simulated": False,
        "seed": 0,
        "video": {
            "name": "v",
            "chunk_s": 4.0,
            "ladder_kbps": list(VIDEO.ladder_kbps),
            "chunks": 8,
            "sizes_bytes": [list(row) for row in VIDEO.sizes_bytes],
            "sha256": VIDEO.sha256,
        },
        "policy": {"spec": "bba", "name": "bba"},
        "told_qoe": {"kind": "linear", "mu": 4.3, "smooth": 1.0},
        "player": {"buffer_cap_s": 60.0},
        "trace": {
            "name": trace.name,
            "family": trace.family,
            "start_s": 0.0,
            **trace.columns,
        },
        "link": {
            "rtt_ms": 80.0,
            "jitter_ms": 0.0,
            "loss": {"kind": "none"},
            "congestion_control": "cubic",
            "slow_start_after_idle": True,
            "queue_limit_bytes": QUEUE_BYTES,
        },
    }
    for section, values in changes.get("manifest", {}).items():
        manifest[section] = {**manifest[section], **values} if isinstance(values, dict) else values
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{trace.name.replace('/', '-')}.jsonl"
    with RecordWriter(path, manifest) as writer:
        for row in rows:
            writer.chunk(row)
        writer.finish(dataclasses.replace(end, valid=changes.get("valid", True)))
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = link_models.main(words)
    out, err = capsys.readouterr()
    return status, out, err


def test_sessions_of_the_tcp_model_are_found_to_be_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_models, "RESAMPLES", 50)
    for family in ("3g", "4g"):
        for number in (1, 2):
            write(tmp_path, trace_of(number, family), TcpLink(queue_bytes=QUEUE_BYTES))
    write(tmp_path, trace_of(9, "4g"), TcpLink(queue_bytes=QUEUE_BYTES), valid=False)
    picture = tmp_path / "f.png"
    status, out, err = run(capsys, "compare", str(tmp_path), "--json", "--out", str(picture))
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert (report["sessions"], report["traces"], report["chunks"]) == (4, 4, 32)
    assert (report["invalid"], report["unfinished"]) == (1, 0)
    rows = {(row["family"], row["clock"], row["model"]): row for row in report["downloads"]}
    assert len(rows) == 3 * 2 * 2
    for clock in ("recorded", "own"):
        assert rows["all", clock, "tcp"]["p95"] < 1e-9
        assert rows["all", clock, "published"]["median"] > 1e-3
    low, high = rows["4g", "recorded", "published"]["p95_ci95"]
    assert low <= rows["4g", "recorded", "published"]["p95"] <= high
    qoe = {(row["family"], row["model"]): row for row in report["qoe"]}
    assert qoe["all", "tcp"]["difference"] == pytest.approx(0.0, abs=1e-12)
    assert qoe["all", "tcp"]["sessions"] == 4
    assert picture.read_bytes().startswith(b"\x89PNG")
    status, out, _ = run(capsys, "compare", str(tmp_path))
    assert status == 0
    assert "4 emulated sessions over 4 traces, 32 chunks; left out: 1 invalid, 0 unfinished" in out


def test_fit_finds_the_constant_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        write(tmp_path, trace_of(number, "4g"), TcpLink(queue_bytes=QUEUE_BYTES, handling_ms=4.5))
    status, out, _ = run(capsys, "fit", str(tmp_path), "--json")
    assert status == 0
    assert json.loads(out)["handling_ms"] == 4.5
    status, out, _ = run(capsys, "fit", str(tmp_path))
    assert "HANDLING_MS = 4.5 fits best" in out


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"simulated": True}, "not an emulated session; `testbed/run.py` makes those"),
        ({"link": {"congestion_control": "bbr"}}, "congestion control bbr; the models know cubic only"),
        ({"link": {"jitter_ms": 5.0}}, "jitter or loss, which the models have not"),
        ({"link": {"loss": {"kind": "uniform"}}}, "jitter or loss, which the models have not"),
        ({"link": {"queue_limit_bytes": "x"}}, "expected a number"),
        ({"policy": {"spec": "nobody"}}, "nobody"),
    ],
)
def test_what_cannot_be_played_again_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], manifest: dict[str, Any], said: str
) -> None:
    write(tmp_path, trace_of(1, "4g"), TcpLink(), manifest=manifest)
    status, out, err = run(capsys, "compare", str(tmp_path), "--json")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize("place", ["policy", "fallback"])
def test_a_policy_file_that_a_record_names_is_not_run_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    (tmp_path / "mine.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\nfrom policies.rules.bba import BBA\n"
        "class Mine(BBA): pass\n"
    )
    spec = f"{tmp_path / 'mine.py'}:Mine"
    manifest = {"policy": {"spec": spec}} if place == "policy" else {"player": {"fallback": spec}}
    write(tmp_path / "out", trace_of(1, "4g"), TcpLink(queue_bytes=QUEUE_BYTES), manifest=manifest)
    status, out, err = run(capsys, "compare", str(tmp_path / "out"))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "names a policy file" in err and "--trust" in err and not (tmp_path / "ran").exists()
    assert run(capsys, "fit", str(tmp_path / "out"))[0] == 0  # asks no policy
    assert not (tmp_path / "ran").exists()
    status, out, err = run(capsys, "compare", str(tmp_path / "out"), "--json", "--trust")
    assert status == 0 and err.startswith("note: policy file ") and (tmp_path / "ran").exists()


def test_a_session_is_played_again_with_its_own_thresholds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = Trace("slow", (0.0, 600.0), (0.28, 0.28))  # below the lowest level: it stalls
    thresholds = {"startup_s": 12.0, "resume_s": 8.0}
    write(tmp_path, slow, TcpLink(queue_bytes=QUEUE_BYTES), manifest={"player": thresholds})
    (path,) = tmp_path.glob("*.jsonl")
    record = read_record(path)
    rows, end = simulate(
        VIDEO,
        slow,
        BBA(),
        seed=0,
        qoe=QoE(),
        link=TcpLink(queue_bytes=QUEUE_BYTES),
        chunks=8,
        first_level=None,
        startup_ms=12_000.0,
        resume_ms=8_000.0,
    )
    assert rows != record.chunks  # else the thresholds would tell nothing
    manifest = {key: value for key, value in record.manifest.items() if key not in ("line", "schema")}
    with RecordWriter(path, manifest) as writer:
        for row in rows:
            writer.chunk(row)
        writer.finish(dataclasses.replace(end, valid=True))
    _, out, _ = run(capsys, "compare", str(path), "--json")
    differences = {row["model"]: row["difference"] for row in json.loads(out)["qoe"]}
    assert differences["tcp"] == pytest.approx(0.0, abs=1e-12)


def test_places_without_records_are_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "bad", trace_of(1, "4g"), TcpLink(), valid=False)
    for words, said in (
        (("compare", str(tmp_path / "none")), "no such file or folder"),
        (("compare", str(tmp_path)), "no records"),
        (("fit", str(tmp_path / "bad")), "is invalid"),
        (
            ("compare", str(tmp_path / "bad"), "--out", "x.doc"),
            "--out x.doc: expected a name that ends in .png",
        ),
    ):
        status, out, err = run(capsys, *words)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert said in err


def test_a_session_over_a_trace_that_loses_frames_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lossy = dataclasses.replace(trace_of(1, "4g"), loss_pct=(0.0, *(1.0,) * 60))
    write(tmp_path, lossy, TcpLink(queue_bytes=QUEUE_BYTES))
    status, out, err = run(capsys, "compare", str(tmp_path))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "its trace loses frames; no model loses the same ones" in err


def test_a_session_that_began_within_a_step_is_played_from_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same link, written as a trace that begins half a second earlier."""
    trace = trace_of(3, "4g")
    path = write(tmp_path, trace, TcpLink(queue_bytes=QUEUE_BYTES))
    record = read_record(path)
    manifest = {key: value for key, value in record.manifest.items() if key not in ("line", "schema")}
    manifest["trace"] |= {
        "start_s": 0.5,
        "time_s": [0.0, *(time_s + 0.5 for time_s in trace.time_s[1:])],
    }
    with RecordWriter(path, manifest) as writer:
        for row in record.chunks:
            writer.chunk(row)
        writer.finish(record.end)
    _, out, _ = run(capsys, "compare", str(path), "--json")
    for row in json.loads(out)["downloads"]:
        if row["model"] == "tcp":
            assert row["p95"] < 1e-9
            assert row["p95_ci95"] is None


def test_quantile_intervals_are_of_clusters() -> None:
    random = np.random.default_rng(0)
    groups = [random.normal(place, 0.1, 50) for place in range(30)]
    whole = quantile_interval(groups, 0.5, 200)
    assert whole.mean == pytest.approx(np.median(np.concatenate(groups)))
    assert whole.low is not None and whole.high is not None
    assert whole.low < whole.mean < whole.high
    assert whole.high - whole.low > 3.0  # not the 0.5 that 1500 free draws would have
    assert quantile_interval(groups[:1], None).bounds is None


def simulated(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = simulate_command.main(("--traces", "4g/0", "--chunks", "4", "--jobs", "1", *words))
    out, err = capsys.readouterr()
    return status, out, err


def test_the_simulate_command_streams_over_the_tcp_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--policy", "bba", "--link", "tcp", "--queue-ms", "100", "--out", str(tmp_path), "--json")
    status, out, _ = simulated(capsys, *words)
    assert status == 0
    assert json.loads(out)["link"] == "tcp"
    [path] = tmp_path.glob("*.jsonl")
    link = read_record(path).manifest["link"]
    assert (link["model"], link["queue_ms"], link["congestion_control"]) == ("tcp", 100.0, "cubic")
    status, _, err = simulated(capsys, *words)
    assert status == 0
    assert "1 of 1 sessions are recorded already" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--link", "tcp", "--cc", "bbr"), "models cubic only; emulate the others"),
        (("--link", "tcp", "--noise"), "--noise: the tcp link has none"),
        (("--link", "tcp", "--rtt-ms", "-1"), "RTT -1.0 ms: expected 0 to 10000"),
        (("--link", "tcp", "--policy", "oracle"), "the oracle plans for the published link only"),
        (("--policy", "oracle", "--startup-s", "8"), "leave --startup-s and --resume-s away"),
        (("--policy", "oracle", "--resume-s", "8"), "leave --startup-s and --resume-s away"),
        (("--queue-ms", "100"), "--queue-ms: the published link has no TCP and no queue; add --link tcp"),
    ],
)
def test_the_simulate_command_refuses_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    policy = () if "oracle" in words else ("--policy", "bba")
    status, out, err = simulated(capsys, *policy, *words, "--out", str(tmp_path / "out"))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err
