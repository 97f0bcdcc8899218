"""`small`: shipped, decided by its own adapter, and not under the language model's name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from player.policy import BY_POLICY, Served
from player.qoe import QoE
from player.registry import load_policy
from player.simulated.link_published import PublishedLink
from player.simulated.session import simulate
from policies.llm.tasks.ladder.policy import NetLLM
from policies.llm.tasks.ladder.sets import SessionSet, maker, played
from policies.llm.tasks.ladder.small import WEIGHTS, Small
from tests.support.llm_server_fakes import TRACES, VIDEO

CHUNKS = 12
MOST_BYTES = 10 * 2**20


@pytest.fixture(autouse=True)
def _nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_alone_and_in_a_batch_it_decides_the_same_and_no_language_model_is_named() -> None:
    policy = Small(server="none")
    made = SessionSet.of("made up", TRACES, VIDEO.first(CHUNKS))
    batch = played(made, maker("small")).qoe
    for number, trace in enumerate(TRACES):
        rows, _ = simulate(
            made.library.videos[0],
            trace,
            policy,
            seed=0,
            qoe=QoE(),
            link=PublishedLink(),
            chunks=CHUNKS,
            start_index=1,
        )
        assert {row.by for row in rows[1:]} == {BY_POLICY}
        assert len({row.level for row in rows}) > 1
        levels, stalls_s = [row.level for row in rows], [row.stall_s for row in rows]
        assert batch[number] == pytest.approx(np.mean(QoE().per_chunk(levels, stalls_s, VIDEO.ladder_kbps)))


def test_it_has_a_server_of_its_own_and_weights_that_fit_into_the_repository() -> None:
    loaded = load_policy("small")
    assert isinstance(loaded.policy, Served)
    assert loaded.policy.server() not in (None, NetLLM().server())
    assert loaded.weights_sha256 == NetLLM(adapter=str(WEIGHTS)).weights_sha256
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < MOST_BYTES
