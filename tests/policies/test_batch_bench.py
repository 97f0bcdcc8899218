"""The benchmark measures what it says: every way does the same work, and the figures are of the run."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from player.qoe import QoE
from player.simulated.batch.sessions import Sessions
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.video import Video
from policies import bench_batch
from policies.bench_batch_drawn import MOST_CHUNKS, draw_setup, drawn_library
from tests.support.batch_worlds import Script, traces, videos
from traces.families.catalogue import resolve_many
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
    quick += ["--turns", "2"]
    assert bench_batch.main([*quick, "--json"]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert err == "" and answer["threads"] == 1
    names = [rate["name"] for rate in answer["rates"]]
    assert names[0] == "batch" and len(set(names)) == 5
    assert not answer["drawn"]
    for rate in answer["rates"]:
        assert len(rate["turns"]) == len(rate["to_bare"]) == 2
        assert rate["chunks"] % 48 == 0 and rate["seconds"] >= 0.02
        assert rate["chunks_per_s"] == pytest.approx(rate["chunks"] / rate["seconds"])
    mpc, oracle = answer["planners"]
    assert (mpc["sessions"], oracle["sessions"]) == (6, 3)
    assert oracle["mean_qoe"] > mpc["mean_qoe"]  # over the same three traces
    assert bench_batch.main(quick) == 0
    table = capsys.readouterr().out
    assert "cpu " in table and "robustmpc" in table and "x bare loop" in table


def test_drawn_sessions_are_of_every_kind_and_alike_in_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = ["--drawn", "--traces", "3g[0:5]", "--sessions", "64", "--seconds", "0.02", "--turns", "1"]
    assert bench_batch.main([*drawn, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["drawn"] and answer["planners"] == []
    assert [rate["name"] for rate in answer["rates"]][-2:] == [bench_batch.BARE, bench_batch.PLAYED]
    assert answer["rates"][-2]["to_bare"] == [1.0]
    assert bench_batch.main(drawn) == 0
    assert "everything drawn" in capsys.readouterr().out
    library = drawn_library(resolve_many("3g[0:5]"))
    setup = draw_setup(library, np.random.default_rng(1), 300).on(library, MOST_CHUNKS)
    assert {2, 12} <= {video.levels for video in library.videos}
    for each in ("trace", "start_index", "video", "rtt_ms", "cap_ms", "kind", "mu", "smooth", "chunks"):
        assert len(set(getattr(setup, each).tolist())) > 1, each
    batch, dice, sums = Sessions(library, setup, chunks=MOST_CHUNKS), random.Random(3), np.zeros(300)
    played = [[0] for _ in range(300)]
    while not batch.done.all():
        levels = [int(dice.random() * library.videos[each].levels) for each in setup.video]
        for levels_of, level in zip(played, levels, strict=True):
            levels_of.append(level)
        batch.step(levels)
        sums += batch.state.reward
    for at, levels in enumerate(played):
        total = bench_batch.bare_loop(
            library.traces[setup.trace[at]],
            library.videos[setup.video[at]],
            levels[: setup.chunks[at]],
            batch.qoe_of(at),
            bench_batch.Place(int(setup.start_index[at]), float(setup.rtt_ms[at]), float(setup.cap_ms[at])),
        )
        assert sums[at] == total


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
