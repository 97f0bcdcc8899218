"""The benchmark measures what it says: every way does the same work, and the figures are of the run."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.qoe import QoE
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from policies import bench_batch
from tests.support.batch_worlds import Script, traces, videos
from traces.totals import running_total
from traces.trace import Trace


@settings(max_examples=50, deadline=None)
@given(
    trace=traces(),
    video=st.one_of(videos(30), videos(30, most_bytes=200_000)),
    levels=st.lists(st.integers(0, 2), min_size=30, max_size=30),
)
def test_the_bare_loop_does_the_whole_arithmetic(trace: Trace, video: Video, levels: list[int]) -> None:
    qoe = QoE()
    rows, _ = simulate(
        video, trace, Script(levels), seed=0, qoe=qoe, link=PublishedLink(), chunks=30, first_level=levels[0]
    )
    expected = qoe.per_chunk([row.level for row in rows], [row.stall_s for row in rows], video.ladder_kbps)
    assert bench_batch.bare_loop(trace, video, levels, qoe) == running_total(expected)


def test_one_run_measures_everything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_batch, "PLAN_SESSIONS", 6)
    monkeypatch.setattr(bench_batch, "ORACLE_SESSIONS", 3)
    quick = ["--traces", "3g[0:3]", "--sessions", "64", "--seconds", "0.02", "--threads", "1"]
    assert bench_batch.main([*quick, "--json"]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert err == "" and answer["threads"] == 1
    names = [rate["name"] for rate in answer["rates"]]
    assert names[0] == "batch" and len(set(names)) == 5
    for rate in answer["rates"]:
        assert rate["chunks"] % 48 == 0 and rate["seconds"] >= 0.02
        assert rate["chunks_per_s"] == pytest.approx(rate["chunks"] / rate["seconds"])
    mpc, oracle = answer["planners"]
    assert (mpc["sessions"], oracle["sessions"]) == (6, 3)
    assert oracle["mean_qoe"] > mpc["mean_qoe"]  # over the same three traces
    assert bench_batch.main(quick) == 0
    table = capsys.readouterr().out
    assert "cpu " in table and "robustmpc" in table and "x bare loop" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--traces", "6g[0:3]"], "no family and no file"), (["--video", "nothing"], "no video 'nothing'")],
)
def test_bad_input_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert bench_batch.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
    with pytest.raises(SystemExit) as stop:
        bench_batch.main(["--sessions", "0"])
    assert stop.value.code == 2
