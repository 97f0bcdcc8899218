"""Tables of policies side by side: what is in them, and that each plays what was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from player.qoe import QoE, summarise
from player.registry import PolicyError, load_policy
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from player.video.built_in import load_video
from policies.bootstrap import share_interval
from policies.llm.__main__ import main
from policies.llm.model.tiny import tiny_adapter
from policies.llm.tasks.ladder import settings
from policies.llm.tasks.ladder.batch_model import BatchModel, model_of
from policies.llm.tasks.ladder.brought import brought
from policies.llm.tasks.ladder.sets import SessionSet, Spread, chosen, maker, played, teacher
from policies.llm.tasks.ladder.task import TASK as LADDER
from tests.support.batch_worlds import Script

SPEC = "3g[400:403]"


def sessions(mu: float = 4.3) -> SessionSet:
    traces = chosen(SPEC, every=False)
    return SessionSet.of(SPEC, traces, load_video("envivio"), QoE(mu=mu), starts=1, rtt_ms=80.0, cap_s=60.0)


def test_a_set_is_played_as_its_sessions_alone() -> None:
    made = sessions()
    video = made.library.videos[0]
    for name in ("robustmpc", "robustmpc:horizon=5", "bba", "genet", "fixed:2"):
        found = played(made, maker(name), at_once=2)
        stalled_s = played_s = 0.0
        for place, trace in enumerate(made.library.traces):
            rows, end = simulate(
                video, trace, load_policy(name).policy, seed=0, qoe=QoE(), link=PublishedLink(), start_index=1
            )
            stalled_s += end.stall_s
            played_s += end.played_s - rows[-1].buffer_after_s
            assert found.qoe[place] == pytest.approx(summarise(rows, end, video.ladder_kbps, QoE()).qoe)
        assert found.stall_pct == pytest.approx(100.0 * stalled_s / (stalled_s + played_s))


def test_a_stall_costs_the_top_of_the_ladder_where_nothing_else_is_asked() -> None:
    made = SessionSet.on("lte[0:2]", "uhd")
    levels = Script([0, *[5] * (made.chunks - 1)])
    found = played(made, maker("fixed:5")).qoe
    for place, trace in enumerate(made.library.traces):
        rows, end = simulate(
            made.library.videos[0], trace, levels, seed=0, qoe=QoE(mu=40.0), link=PublishedLink(),
            chunks=made.chunks, start_index=1,
        )  # fmt: skip
        one = summarise(rows, end, made.library.videos[0].ladder_kbps, QoE(mu=40.0))
        assert found[place] == pytest.approx(one.qoe)


@pytest.mark.parametrize("name", ["genet", "udr"])
def test_a_batch_refuses_what_a_client_refuses(name: str) -> None:
    video = brought(load_video("envivio"), [400, 1200, 4000], None)
    made = SessionSet.of(SPEC, chosen(SPEC, True), video)
    with pytest.raises(PolicyError, match=f"policy {name} can't play envivio-brought: "):
        played(made, maker(name))


def test_the_oracle_is_above_all_and_heeds_the_cost_of_a_stall() -> None:
    for mu in (1.0, 20.0):
        made = sessions(mu)
        best = played(made, maker("oracle")).qoe
        for make in (maker("robustmpc"), teacher(None), maker("small")):
            assert (played(made, make).qoe <= best + 1e-9).all()


def test_a_model_is_known_by_its_policy() -> None:
    assert model_of("robustmpc") is None
    small = model_of("small")
    assert isinstance(small, BatchModel) and small.engine.info.task == LADDER.name


def test_an_adapter_of_any_ladder_plays_what_others_refuse(tmp_path: Path) -> None:
    folder = tiny_adapter(LADDER, tmp_path)
    model = model_of(f"netllm:adapter={folder}")
    assert isinstance(model, BatchModel)
    video = brought(load_video("envivio"), [400, 1200, 4000], 8.0)
    made = SessionSet.of(SPEC, chosen(SPEC, True), video, QoE(mu=4.0), starts=2, rtt_ms=20.0, cap_s=15.0)
    qoe = played(made, maker(f"netllm:adapter={folder}")).qoe
    assert qoe.shape == (6,) and np.isfinite(qoe).all()


def test_a_policy_that_refuses_a_ladder_has_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--traces", "fcc[400:402]", "--starts", "1", "--ladder", "400,1200,4000", "--no-oracle"]
    assert main(["beside", *words, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["sets"]
    assert set(found["policies"]) == {"robustmpc", "teacher", "small", "netllm"}
    assert set(found["refused"]) == {"genet"}


def test_the_table_has_ways_and_differences(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["beside", "--traces", SPEC, "--starts", "1", "--policy", "bba"]) == 0
    out = capsys.readouterr().out
    assert "netllm - small: " in out and "netllm - teacher: " in out
    assert "3 sessions on 3 lines" in out and "way to the oracle" in out


def test_what_is_not_there_is_told_before_anything_is_played(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["beside", "--traces", SPEC, "nowhere"]) == 2
    said = capsys.readouterr()
    assert "nowhere" in said.err and said.out == ""


def test_a_share_of_a_way_has_the_interval_of_its_lines() -> None:
    whole = np.array([1.0, 2.0, 3.0, 2.0])
    assert share_interval(0.5 * whole, whole, ["a", "a", "b", "c"]) == pytest.approx((0.5, 0.5))
    low, high = share_interval(np.array([1.0, 0.0, 1.0, 0.0]), whole, ["a", "b", "c", "d"])
    assert low < 0.25 < high


def test_verdicts_follow_the_interval() -> None:
    assert [Spread(1.0, low, high).verdict for low, high in ((0.1, 2.0), (-0.1, 2.0), (-2.0, -0.1))] == [
        "ahead",
        "tie",
        "behind",
    ]


def test_the_thirty_settings_are_always_the_same_and_hold_every_value() -> None:
    drawn = settings.drawn_settings()
    assert len(set(drawn)) == settings.SETTINGS == 30
    assert drawn == settings.drawn_settings()
    assert {each.ladder_kbps for each in drawn} == set(settings.LADDERS)
    assert {each.chunk_s for each in drawn} == set(settings.CHUNKS_S)
    assert {each.cap_s for each in drawn} == set(settings.CAPS_S)
    assert {each.rtt_ms for each in drawn} == set(settings.RTTS_MS)


def test_the_settings_are_played_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--first", "2", "--traces", "fcc[400:403]", "--fast", "lte[400:402]", "--policy", "hindsight"]
    assert main(["settings", *words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert sum(said["counts"].values()) == len(said["settings"]) == 2
    asked = [round(each["mu"], 1) for each in said["costs"]]
    assert asked == [1.0, 4.3, 15.0, 43.0, 9.3, 40.0, 139.5, 400.0]
