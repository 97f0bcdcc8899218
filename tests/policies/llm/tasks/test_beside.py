"""Tables of policies side by side: what is in them, and that each plays what was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from player.qoe import QoE
from player.video.built_in import load_video
from policies.bootstrap import share_interval
from policies.llm.__main__ import main
from policies.llm.model.tiny import tiny_adapter
from policies.llm.tasks.abr.play import policy_qoe
from policies.llm.tasks.abr.small import SIX_LEVELS
from policies.llm.tasks.ladder import settings
from policies.llm.tasks.ladder.batch_model import BatchModel, model_of
from policies.llm.tasks.ladder.evaluate import brought
from policies.llm.tasks.ladder.sets import SessionSet, Spread, chosen, maker, played, teacher
from policies.llm.tasks.ladder.task import TASK as LADDER

SPEC = "3g[400:403]"


def sessions(mu: float = 4.3) -> SessionSet:
    traces = chosen(SPEC, every=False)
    return SessionSet.of(SPEC, traces, load_video("envivio"), QoE(mu=mu), starts=1, rtt_ms=80.0, cap_s=60.0)


def test_a_set_is_played_as_elsewhere() -> None:
    made = sessions()
    for name in ("robustmpc", "bba", "oracle"):
        expected = policy_qoe(name, made.library, made.setup)
        assert played(made, maker(name)).qoe == pytest.approx(expected)


def test_the_oracle_is_above_all_and_heeds_the_cost_of_a_stall() -> None:
    for mu in (1.0, 20.0):
        made = sessions(mu)
        best = played(made, maker("oracle")).qoe
        for make in (maker("robustmpc"), teacher(None), maker("small")):
            assert (played(made, make).qoe <= best + 1e-9).all()


def test_a_model_is_known_by_its_policy() -> None:
    assert model_of("robustmpc") is None
    small = model_of("small")
    assert isinstance(small, BatchModel) and small.any_ladder
    older = model_of(f"netllm:adapter={SIX_LEVELS}")
    assert isinstance(older, BatchModel) and not older.any_ladder


def test_an_adapter_of_any_ladder_plays_what_others_refuse(tmp_path: Path) -> None:
    folder = tiny_adapter(LADDER, tmp_path)
    model = model_of(f"netllm:adapter={folder}")
    assert isinstance(model, BatchModel) and model.any_ladder
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
