"""What the page tells becomes a record's rows; what is asked of a machine without a browser is one line."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from player.decide import Decider
from player.policy import Decision
from player.qoe import QoE
from player.real.session import PlayerState
from player.record import ChunkRow
from player.registry import PolicyError
from player.video.video import Video
from testbed.browser import able
from testbed.browser.bridge import Bridge
from testbed.browser.session import Decided, PageSession
from testbed.browser.settings import RULES, asking_settings, own_rule, own_settings
from testbed.process.errors import TestbedError
from testbed.session.agreement import agreement

VIDEO = Video("v", 4.0, (100, 200), ((50_000, 100_000),) * 3)


def facts(chunk: int, **other: Any) -> dict[str, Any]:
    """A chunk as the page tells it; its clock is 10 s behind ours, and the session began at its 1000 ms."""
    at = 1000.0 + 2000 * chunk
    told = {
        "what": "chunk", "chunk": chunk, "level": 1, "size_bytes": 100_000, "url": "http://o/v/1/0.m4s",
        "sent": at + 100, "first": at + 180, "last": at + 1100, "appended": at + 1110, "at": at + 1110,
        "buffer_before_ms": 500.0, "buffer_after_ms": 4500.0, "stall_ms": 250.0 * chunk,
        "headers": 'cmsd-dynamic: "streambed";rtt=80;streambed-retransmits=3\r\n',
    }  # fmt: skip
    return {**told, **other}


def heard(check: Callable[[PageSession, list[ChunkRow], list[PlayerState]], None]) -> None:
    async def run() -> None:
        rows: list[ChunkRow] = []
        states: list[PlayerState] = []
        session = PageSession(VIDEO, lambda chunk: Decided("policy", "why", 0.02), rows.append, states.append)
        session.begin(11.0, 10.0)
        check(session, rows, states)

    asyncio.run(run())


def test_a_chunk_becomes_a_row_on_the_session_s_clock() -> None:
    def check(session: PageSession, rows: list[ChunkRow], states: list[PlayerState]) -> None:
        session.hear(facts(0))
        session.hear(facts(1))
        first, second = rows
        assert (first.request_s, first.ttfb_s, first.download_s) == pytest.approx((0.1, 0.08, 1.0))
        assert (first.throughput_mbps, first.buffer_after_s) == pytest.approx((0.8, 4.5))
        assert (first.server_rtt_ms, first.server_retransmits, first.retries) == (80, 3, 0)
        assert second.stall_s == pytest.approx(0.25)  # what came since the first
        assert second.wait_s == pytest.approx(2.1 - 1.11 - 0.02)

    heard(check)


def test_a_policy_is_told_the_time_to_the_first_byte_as_round_trip_and_not_the_origin_s_queue() -> None:
    def check(session: PageSession, rows: list[ChunkRow], states: list[PlayerState]) -> None:
        session.hear(facts(0, headers=facts(0)["headers"].replace("80", "444")))
        assert rows[0].server_rtt_ms == 444
        assert [past.rtt_ms for past in session.history] == pytest.approx([80.0])

    heard(check)


def test_what_was_given_up_is_told_of_its_chunk() -> None:
    def check(session: PageSession, rows: list[ChunkRow], states: list[PlayerState]) -> None:
        session.hear({"what": "abandoned", "chunk": 0, "level": 1, "bytes": 20_000, "at": 1500.0})
        session.hear(facts(0, level=0))
        assert rows[0].retries == 1
        assert rows[0].reason == "why; level 1 given up after 20000 bytes"

    heard(check)


def test_a_chunk_out_of_order_ends_the_session_with_a_reason() -> None:
    def check(session: PageSession, rows: list[ChunkRow], states: list[PlayerState]) -> None:
        session.hear(facts(0))
        session.hear(facts(0))
        assert session.ended.result() == ("player-error", "dash.js fetched chunk 0 where 1 was due")
        assert len(rows) == 1

    heard(check)


def test_the_end_is_the_video_element_s() -> None:
    def check(session: PageSession, rows: list[ChunkRow], states: list[PlayerState]) -> None:
        session.hear({"what": "started", "at": 1700.0})
        session.hear(facts(0))
        session.hear({
            "what": "ended", "at": 14_000.0, "startup_ms": 1700.0, "stall_ms": 300.0, "played_ms": 12_000.0,
            "requests": [{"url": "http://o/v/1/0.m4s", "status": 200, "type": "MediaSegment"}],
        })  # fmt: skip
        end = session.end_row(*session.ended.result())
        assert (end.outcome, end.chunks) == ("finished", 1)
        told = (end.startup_s, end.stall_s, end.played_s, end.elapsed_s)
        assert told == pytest.approx((0.7, 0.3, 12.0, 13.0))
        assert [one.path for one in session.requests] == ["/v/1/0.m4s"]
        assert states[-1].phase == "ended"

    heard(check)


@pytest.mark.parametrize("spec", [f"dashjs:{name}" for name in RULES])
def test_own_rules_are_active_and_others_are_not(spec: str) -> None:
    rules = own_settings(own_rule(spec))["streaming"]["abr"]["rules"]
    assert {name for name, rule in rules.items() if rule["active"]} == set(RULES[spec.partition(":")[2]])
    asked = asking_settings(60.0)["streaming"]
    assert not any(rule["active"] for rule in asked["abr"]["rules"].values())
    assert set(asked["buffer"].values()) == {60.0, False}


def test_a_rule_that_there_is_not_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"has no rule 'bolla' \(did you mean bola\?\); there are dashjs:"):
        own_rule("dashjs:bolla")


class Fixed:
    """Level 1, and what it was asked with."""

    def reset(self, video: Video, seed: int, qoe: QoE) -> None:
        self.seen: list[Any] = []

    def select(self, observation: Any) -> Decision:
        self.seen.append(observation)
        return Decision(1, reason="fixed")


def test_a_policy_decides_by_what_the_page_tells() -> None:
    async def run() -> None:
        policy = Fixed()
        decider = Decider(policy, Fixed(), VIDEO.levels)
        await decider.reset(VIDEO, 0, QoE())
        bridge = Bridge(VIDEO, decider, [], 60.0)
        bridge.begun_ms = 1000.0
        question = json.dumps({"chunk": 0, "at": 1500.0, "buffer_ms": 3500.0, "stall_ms": 0.0})
        assert await bridge.answer(question) == (200, '{"level": 1}')
        assert await bridge.answer(question) == (200, '{"level": 1}')  # the same: decided once
        (seen,) = policy.seen
        assert (seen.chunk, seen.buffer_s, seen.elapsed_s, seen.chunks_left) == (0, 3.5, 0.5, 3)
        assert seen.next_sizes_bytes == VIDEO.sizes_bytes
        status, _ = await bridge.answer(json.dumps({"chunk": 3, "at": 0.0, "buffer_ms": 0.0}))
        assert status == 400
        decider.close()

    asyncio.run(run())


def test_a_client_s_requests_are_held_against_the_origin_s(tmp_path: Path) -> None:
    log = tmp_path / "origin.jsonl"
    lines = [("/v/1/init.mp4", 200, 700), ("/v/1/0.m4s", 200, 100_000), ("/v/1/1.m4s", 499, 20_000)]
    log.write_text(
        "".join(
            json.dumps({"method": "GET", "path": path, "status": status, "bytes": size}) + "\n"
            for path, status, size in [*lines, ("/v/manifest.mpd", 200, 900)]
        )
    )
    rows: list[ChunkRow] = []
    heard(lambda session, told, _: (session.hear(facts(0)), rows.extend(told))[0])
    told = [{"path": path, "status": 200} for path, _, _ in lines]  # of one that it gave up the head had come
    agreed = agreement(told, rows, log)
    assert (agreed.requests, agreed.answered, agreed.given_up, agreed.differences) == (3, 3, 1, ())
    assert agreement(told[1:], rows, log).differences == ("/v/1/init.mp4: 0 by the client, 1 by the origin",)
    assert agreement(told, [], log).differences == (
        "the origin sent 100000 bytes of chunks, the client has 0",
    )


def test_a_machine_without_a_browser_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    alone = {"together": False, "beside": None, "cross": None, "abandon": False, "live": False}
    options = argparse.Namespace(startup_s=0.0, resume_s=0.0, **alone)
    with pytest.raises(TestbedError, match=r"^no Chromium on this machine; testbed/setup.sh players"):
        able.refuse_unable(options)
    with pytest.raises(TestbedError, match=r"^--startup-s: dash.js begins and goes on as a browser does"):
        able.refuse_unable(argparse.Namespace(startup_s=8.0, resume_s=0.0))
    with pytest.raises(TestbedError, match=r"^--abandon: dash.js gives requests up by itself"):
        able.refuse_unable(argparse.Namespace(startup_s=0.0, resume_s=0.0, abandon=True))
    with pytest.raises(TestbedError, match=r"^--player dashjs: a browser has a lane of its own"):
        able.refuse_unable(argparse.Namespace(startup_s=0.0, resume_s=0.0, **{**alone, "together": True}))
