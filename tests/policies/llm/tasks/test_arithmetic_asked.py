"""A policy says what its model is computed in, and insists on it where it was told to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from player.policy import Served
from player.provenance import decided_by
from player.qoe import QoE
from player.registry import PolicyError, load_policy
from player.sections import policy_section
from policies.llm.model.tiny import tiny_adapter
from policies.llm.tasks.ladder.policy import NetLLM
from policies.llm.tasks.ladder.task import TASK
from tests.support.llm_server_fakes import VIDEO, FakeEngine, FakeInfo, blocking, run, serving


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_adapter(TASK, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without anybody's server."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["netllm", "apc"])
def test_a_record_says_what_the_model_was_computed_in(adapter: Path, name: str, dtype: str) -> None:
    loaded = load_policy(f"{name}:server=none:adapter={adapter}:dtype={dtype}")
    decided = decided_by(loaded.spec, loaded.policy)
    assert policy_section(loaded, decided).arithmetic is None, "nothing is loaded yet"
    loaded.policy.reset(VIDEO, 0, QoE())
    assert policy_section(loaded, decided).arithmetic == dtype
    assert policy_section(loaded, decided).to_json()["arithmetic"] == dtype


def test_a_policy_without_a_model_says_nothing_of_it() -> None:
    loaded = load_policy("bba")
    assert "arithmetic" not in policy_section(loaded, decided_by("bba", loaded.policy)).to_json()


def test_an_unknown_one_is_refused_by_name() -> None:
    with pytest.raises(PolicyError, match="dtype 'int4'; expected one of auto, float32, bfloat16, int8"):
        load_policy("netllm:dtype=int4")


def test_the_server_that_a_run_starts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("netllm", "small", "apc"):
        asked = load_policy(f"{name}:dtype=float32").policy
        assert isinstance(asked, Served)
        command = asked.server()
        assert command is not None and command.arguments[-2:] == ("--dtype", "float32")
        plain = load_policy(name).policy
        assert isinstance(plain, Served)
        assert "--dtype" not in getattr(plain.server(), "arguments", ())


def test_a_server_that_computes_in_something_else_is_refused_where_one_insists(
    adapter: Path, here: Path
) -> None:
    async def asked() -> None:
        engine, place = FakeEngine(), here / "s.sock"
        sha256 = NetLLM(adapter=str(adapter)).weights_sha256
        engine.info = replace(FakeInfo(adapter_sha256=sha256), dtype="bfloat16")
        async with serving(place, engine):
            for dtype in ("auto", "bfloat16"):
                policy = NetLLM(str(place), adapter=str(adapter), dtype=dtype)
                await blocking(lambda policy=policy: policy.reset(VIDEO, 0, QoE()))
                assert policy.remote and policy.arithmetic == "bfloat16"
            insists = NetLLM(str(place), adapter=str(adapter), dtype="float32")
            for ask in (insists.reach, lambda: insists.reset(VIDEO, 0, QoE())):
                with pytest.raises(
                    ValueError, match="it computes in bfloat16, not in float32; leave `dtype`"
                ):
                    await blocking(ask)

    run(asked())
