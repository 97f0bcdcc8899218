"""`python -m analysis plot`: what it takes, what it leaves out, what it refuses, what it draws."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.colors import to_rgb

from analysis import style
from analysis.__main__ import main
from analysis.sessions import SessionRecord, load_sessions
from analysis.timeline import MOST_SESSIONS, draw_timeline, shared_facts
from player.record import ChunkRow, EndRow, RecordWriter, read_record
from tests.support.session_records import write_session

PNG_HEAD, PDF_HEAD, SVG_HEAD, EPS_HEAD = b"\x89PNG\r\n", b"%PDF-", b"<?xml", b"%!PS-Adobe-3.0 EPSF"


def a_record(
    path: Path,
    policy: str = "bba",
    *,
    valid: bool = True,
    outcome: str = "finished",
    fallback: bool = False,
    **manifest: Any,
) -> Path:
    """Three chunks: 1 s of startup, then a stall of 2 s in the second."""
    facts: dict[str, Any] = {
        "video": {"name": "small", "ladder_kbps": [300, 750], "chunk_s": 4.0},
        "policy": {"spec": policy},
        "told_qoe": {"kind": "linear", "mu": 4.3, "smooth": 1.0},
        "trace": {"name": "4g/0", "start_s": 0.0, "time_s": [0.0, 2.0, 5.0], "rate_mbps": [1.0, 2.0, 0.5]},
        "link": {"rtt_ms": 80.0, "congestion_control": "cubic"},
    }
    rows = [
        ChunkRow(0, 0, 300, 150_000, 0.0, 0.1, 1.0, 1.2, 0.0, 4.0, 0.0, 0.0, 0.0, "policy"),
        ChunkRow(1, 1, 750, 375_000, 1.0, 0.1, 6.0, 0.5, 4.0, 4.0, 0.0, 2.0, 0.0, "policy"),
        ChunkRow(
            2, 0, 300, 150_000, 7.0, 0.1, 1.0, 1.2, 4.0, 7.0, 0.0, 0.0, 0.0, "fallback" * fallback or "policy"
        ),
    ]
    with RecordWriter(path, facts | manifest) as writer:
        for row in rows:
            writer.chunk(row)
        writer.finish(EndRow(outcome, "", 3, 1.0, 2.0, 12.0, 15.0, valid))
    return path


def plot(*words: str | Path) -> int:
    try:
        return main(["plot", "--what", "timeline", *map(str, words)])
    except SystemExit as stopped:
        assert isinstance(stopped.code, int)
        return stopped.code


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """The one line on stderr of a command that could not be carried out."""
    assert plot(*words) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "Traceback" not in said.err
    return said.err


@pytest.mark.parametrize(
    ("name", "head"),
    [("a.png", PNG_HEAD), ("new/a.PDF", PDF_HEAD), ("new/a.svg", SVG_HEAD), ("a.eps", EPS_HEAD)],
)
def test_draws_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, head: bytes) -> None:
    a_record(tmp_path / "bba.jsonl")
    a_record(tmp_path / "mine.jsonl", "./some/my_policy.py:Mine:x=1", fallback=True, outcome="origin-lost")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "bba.link.jsonl").write_text('{"step": 0}\n')
    (tmp_path / "summary.json").write_text("{}")
    assert plot(tmp_path, "--out", tmp_path / name) == 0
    assert (tmp_path / name).read_bytes().startswith(head)
    assert capsys.readouterr().out.splitlines() == [
        f"timeline of 2 sessions, 0 invalid left out: {tmp_path / name}"
    ], "one finished: there is nothing to compare it with"
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("ending", ["png", "pdf", "svg", "eps"])
def test_equal_records_give_equal_files_without_a_date(tmp_path: Path, ending: str) -> None:
    record = a_record(tmp_path / "bba.jsonl")
    first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    assert plot(record, "--out", first) == plot(record, "--out", second) == 0
    assert first.read_bytes() == second.read_bytes()
    assert not re.search(rb"CreationDate|<dc:date>", first.read_bytes())


def test_what_cannot_be_drawn_makes_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none").mkdir()
    assert "no records" in refused(capsys, tmp_path / "none", "--out", tmp_path / "new" / "a.png")
    assert not (tmp_path / "new").exists()


def test_json_says_what_is_in_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = a_record(tmp_path / "a.jsonl")
    bad = a_record(tmp_path / "b.jsonl", "rate", valid=False)
    assert plot(tmp_path, "--out", tmp_path / "a.png", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert [session["record"] for session in said["sessions"]] == [str(good)]
    assert said["sessions"][0] == {
        "policy": "bba",
        "trace": "4g/0",
        "outcome": "finished",
        "valid": True,
        "qoe": pytest.approx((0.75 - 4.3 * 2 - 0.45 + 0.3 - 0.45) / 2),
        "qoe_weights": {"kind": "linear", "mu": 4.3, "smooth": 1.0},
        "stall_s": 2.0,
        "record": str(good),
    }
    assert said["invalid"] == 1 and said["left_out"] == [str(bad)]


def test_invalid_sessions_are_counted_and_named_or_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_record(tmp_path / "a.jsonl")
    bad = a_record(tmp_path / "b.jsonl", "rate", valid=False)
    out = tmp_path / "a.png"
    assert plot(tmp_path, "--out", out) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert str(bad) in first and "1 session, 1 invalid left out" in last
    assert plot(tmp_path, "--out", out, "--invalid") == 0
    assert "2 sessions, 0 invalid left out" in capsys.readouterr().out
    assert "--invalid takes them" in refused(capsys, bad, "--out", out)


def test_chooses_policies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("bba", "rate", "bola"):
        a_record(tmp_path / f"{name}.jsonl", name)
    out = tmp_path / "a.png"
    assert plot(tmp_path, "--out", out, "--policy", "bola", "--policy", "bba", "--json") == 0
    assert [one["policy"] for one in json.loads(capsys.readouterr().out)["sessions"]] == ["bba", "bola"]
    assert "'panda'; there are bba, bola, rate" in refused(
        capsys, tmp_path, "--out", out, "--policy", "panda"
    )


def test_a_session_over_a_real_network_has_no_trace(tmp_path: Path) -> None:
    record = a_record(tmp_path / "a.jsonl", trace=None, link=None, told_qoe=None)
    assert plot(record, "--out", tmp_path / "a.png") == 0


def test_a_session_without_a_chunk_can_be_drawn(tmp_path: Path) -> None:
    manifest = {"video": {"ladder_kbps": [300]}, "policy": {"spec": "bba"}}
    with RecordWriter(tmp_path / "a.jsonl", manifest) as writer:
        writer.finish(EndRow("origin-lost", "", 0, 9.0, 0.0, 0.0, 9.0))
    assert plot(tmp_path, "--out", tmp_path / "a.png") == 0


def cut(path: Path) -> Path:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    return path


def test_refuses_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, empty = tmp_path / "a.png", tmp_path / "empty"
    empty.mkdir()
    assert "no records" in refused(capsys, empty, "--out", out)
    (empty / "bba.jsonl.partial").touch()
    assert "1 of a run that goes on or was killed" in refused(capsys, empty, "--out", out)
    assert "no such file or folder" in refused(capsys, tmp_path / "none.jsonl", "--out", out)
    whole = a_record(tmp_path / "whole.jsonl")
    assert "cut.jsonl:4: no end line" in refused(capsys, cut(a_record(tmp_path / "cut.jsonl")), "--out", out)
    assert plot(whole, tmp_path / "cut.jsonl", "--out", out) == 1
    assert "left out: " in capsys.readouterr().err and out.exists()
    out.unlink()
    other = tmp_path / "other.jsonl"
    other.write_text(whole.read_text().replace('"schema":1', '"schema":99'))
    assert "1 of schema 99, where this version reads 1" in refused(capsys, other, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("manifest", "complaint"),
    [
        ({"trace": {"time_s": [0.0, 1.0, 1.0], "rate_mbps": [1.0, 1.0, 1.0]}}, "no series of rising times"),
        ({"trace": {"time_s": [0.0, 1.0], "rate_mbps": [1.0]}}, "no series of rising times"),
        ({"trace": {"name": "4g/0"}}, "no series of rising times"),
        (
            {"trace": {"time_s": [0.0, 1.0], "rate_mbps": [1.0, 1.0], "delay_ms": [5.0]}},
            "a delay_ms that is not one a point",
        ),
        ({"told_qoe": {"kind": "best"}}, "no QoE"),
        ({"told_qoe": {"kind": "hd"}, "video": {"ladder_kbps": [1, 2]}}, "no value for 1 kbit/s"),
    ],
)
def test_refuses_a_manifest_that_makes_no_sense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], manifest: dict[str, Any], complaint: str
) -> None:
    record = a_record(tmp_path / "a.jsonl", **manifest)
    said = refused(capsys, record, "--out", tmp_path / "a.png")
    assert "a.jsonl:1: " in said and complaint in said


def test_refuses_a_picture_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = a_record(tmp_path / "a.jsonl")
    assert ".png, .pdf, .svg or .eps" in refused(capsys, record, "--out", tmp_path / "a.jpg")
    assert "a.jsonl" in refused(capsys, record, "--out", record / "a.png")
    many = [a_record(tmp_path / f"{number}.jsonl", f"policy{number}") for number in range(MOST_SESSIONS + 1)]
    assert f"shows {MOST_SESSIONS} at most" in refused(capsys, *many, "--out", tmp_path / "a.png")


def test_one_line_for_a_disk_that_is_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    record = a_record(tmp_path / "a.jsonl")
    monkeypatch.setattr("analysis.style.write_aside", full)
    assert "No space left" in refused(capsys, record, "--out", tmp_path / "a.png")


def test_the_figure_shows_what_the_record_says(tmp_path: Path) -> None:
    a_record(tmp_path / "a.jsonl", fallback=True)
    a_record(tmp_path / "b.jsonl", "rate", valid=False, outcome="origin-lost")
    sessions = load_sessions([tmp_path], with_invalid=True).taken
    with matplotlib.rc_context(style.RC):
        figure = draw_timeline(sessions)
    buffer, other_buffer, level, other_level, rate, _ = figure.axes
    assert "QoE" in buffer.get_title(loc="left") and "bba" in buffer.get_title(loc="left")
    assert "LINK INVALID" in other_buffer.get_title(loc="left")
    assert "cut short: origin-lost" in other_buffer.get_title(loc="left")
    for panel, label in ((buffer, "(s)"), (level, "(Mbit/s)"), (rate, "(Mbit/s)")):
        assert label in panel.get_ylabel()
        (shaded,) = panel.patches
        left, right = shaded.get_x(), shaded.get_x() + shaded.get_width()  # type: ignore[attr-defined]
        assert (left, right) == (5.0, 7.0)
    (marks,) = [line for line in level.lines if line.get_marker() == "v"]
    assert (list(marks.get_xdata()), list(marks.get_ydata())) == ([7.0], [0.3])
    assert not [line for line in other_level.lines if line.get_marker() == "v"]
    assert buffer.get_xlim() == other_level.get_xlim() == (0.0, 15.0)
    assert level.get_ylim() == other_level.get_ylim()
    assert [to_rgb(line.get_color()) for line in buffer.lines] == [to_rgb(style.BLUE)]
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["ladder", "link rate (trace)", "stall", "decided by the fallback", "cut short"]


def test_the_buffer_holds_until_the_player_has_what_it_begins_with(tmp_path: Path) -> None:
    player = {"buffer_cap_s": 60.0, "startup_s": 8.0}
    session = SessionRecord(read_record(write_session(tmp_path / "a.jsonl", player=player)))
    (buffer, *_) = draw_timeline([session]).axes
    drawn = buffer.lines[0].get_xydata()
    assert [1.0, 4.0] in drawn.tolist() and [2.0, 4.0] in drawn.tolist()  # type: ignore[union-attr]


def test_a_simulated_link_has_no_congestion_control_to_be_said(tmp_path: Path) -> None:
    session = SessionRecord(read_record(write_session(tmp_path / "a.jsonl")))
    figure = draw_timeline([session])
    assert (
        figure.get_suptitle()
        .replace("\n", " ")
        .startswith("trace t0 from 0 s; video small; RTT 80 ms; simulated; QoE linear")
    )


def test_facts_that_all_share_are_said_once() -> None:
    common, own = shared_facts([["4g/0", "80 ms"], ["4g/1", "80 ms"]])
    assert (common, own) == (["80 ms"], [["4g/0"], ["4g/1"]])


def test_a_policy_keeps_its_colour() -> None:
    known = [style.policy_colour(name) for name in style.KNOWN]
    assert len(set(known)) == len(known)
    assert style.policy_colour("a/b/my.py:Mine:x=1/2") == style.policy_colour("my.py:Mine:x=1/2")
    assert style.policy_colour("fixed:3") == style.PURPLE
    assert {style.policy_colour(f"fixed:{number}") for number in range(40)} == set(style.OTHERS)


def test_the_yellow_that_is_lost_on_white_is_not_used() -> None:
    luminances = [
        0.2126 * r + 0.7152 * g + 0.0722 * b
        for r, g, b in map(to_rgb, {*style.KNOWN.values(), *style.OTHERS})
    ]
    assert max(luminances) < 0.72
