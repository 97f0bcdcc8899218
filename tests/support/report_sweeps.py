"""A folder as a sweep leaves it, for tests of the report: its records are written by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.session_records import write_session

SEEN, UNSEEN = "seen 4g", "unseen 3g, RTT 200 ms"
LINK_CHECK = {
    "reasons": [],
    "steps": 190,
    "backlogged_steps": 90,
    "error_median": 0.001,
    "error_p95": 0.004,
    "late_p99_ms": 1.2,
    "late_max_ms": 1.5,
    "drops": 3,
}
INVALID_REASON = "a rate change came 300 ms late"


def sweep_section(setting: str, seen: bool | None, policy: str) -> dict[str, Any]:
    """What a sweep writes into a record's manifest."""
    return {
        "name": "quick",
        "setting": setting,
        "seen": seen,
        "policy": policy,
        "repetition": 0,
        "block": 0,
        "attempt": 1,
        "session": "s",
    }


def planned(record: Path, setting: str, policy: str, trace: str, status: str = "done", *reasons: str) -> dict:
    """A session of sweep.json."""
    return {
        "session": record.stem,
        "record": record.name,
        "setting": setting,
        "policy": policy,
        "trace": trace,
        "start_s": 0.0,
        "video": "small",
        "chunks": 3,
        "seed": 0,
        "repetition": 0,
        "players": 1,
        "index": 0,
        "group": None,
        "block": 0,
        "status": status,
        "attempts": 3 if reasons else 1,
        "reasons": list(reasons),
    }


def write_sweep(
    folder: Path, sessions: Sequence[dict[str, Any]], policies: Sequence[str], **values: Any
) -> None:
    """sweep.json."""
    states = [one["status"] for one in sessions]
    state = {
        "schema": 1,
        "name": "quick",
        "question": "Is my policy ahead of RobustMPC, and where?",
        "baseline": "robustmpc",
        "simulated": False,
        "engine": "lanes",
        "link_model": None,
        "complete": False,
        "begun_at": "2026-01-31T12:00:00Z",
        "updated_at": "2026-01-31T12:30:00Z",
        "commands": [{"at": "2026-01-31T12:00:00Z", "argv": ["testbed/sweep.py", "quick.toml"], "host": "h"}],
        "file": {"path": "quick.toml", "sha256": "f" * 64, "text": '[[setting]]\nlabel = "seen 4g"\n'},
        "plan_sha256": "e" * 64,
        "order_seed": 7,
        "retries": 2,
        "qoe": {"kind": "linear", "mu": 4.3, "smooth": 1.0},
        "versions": {"python": "3.11.7", "streambed": "0.1.0"},
        "host": {"platform": "Linux", "kernel": "6.18", "cpus": 2, "cpu": "x", "memory_bytes": 8_000_000_000},
        "lanes": {
            "asked": "auto",
            "used": 16,
            "measured": [{"lanes": 16, "within_bounds": True}, {"lanes": 32, "within_bounds": False}],
        },
        "estimate": {"sessions": len(sessions), "wall_s": 100.0, "disk_bytes": 1000},
        "spent": {"wall_s": 1800.0, "session_s": 25000.0},
        "refused": [{"policy": "bba", "video": "uhd", "why": "its ladder is another"}],
        "settings": [
            {
                "label": label,
                "seen": seen,
                "group": label,
                "link": {"rtt_ms": rtt_ms},
                "video": None,
                "chunks": 3,
                "players": 1,
                "left_out": None,
            }
            for label, seen, rtt_ms in ((SEEN, True, 80.0), (UNSEEN, False, 200.0))
        ],
        "policies": [
            {"label": label, "spec": label, "name": label, "delay_ms": 0, "left_out": None}
            for label in policies
        ],
        "traces": [],
        "sessions": list(sessions),
        "counts": {state: states.count(state) for state in states},
    }
    (folder / "sweep.json").write_text(json.dumps(state | values), encoding="utf-8")


def small_sweep(folder: Path, mine: str = "mine") -> Path:
    """Two settings of four traces, partly done: `mine` is ahead where seen, and ties where unseen.

    One session was invalid for good, one failed, two are still to be run, a file was cut off. Where unseen,
    links were shared by two players, of which the second always has the lowest level.
    """
    folder.mkdir(parents=True, exist_ok=True)
    policies = ["robustmpc", mine, "bba"]
    sessions = []
    for index in range(4):
        for place, policy in enumerate(policies):
            record = folder / f"a-{place}-{index}.jsonl"
            check = LINK_CHECK | {"error_p95": 0.002 * (index + 1)}
            manifest: dict[str, Any] = {
                "simulated": False,
                "link": {"rtt_ms": 80.0, "congestion_control": "cubic"},
            }
            facts: dict[str, Any] = manifest | {
                "levels": ((0, 1, 1), (1, 2, 2), (0, 0, 0))[place],
                "by": ("policy", "llm", "light") if policy == mine else (),
                "decisions_s": (0.001, 0.1 * (index + 1), 0.002) if policy == mine else (0.0005,) * 3,
                "sweep": sweep_section(SEEN, True, policy),
                "family": "4g",
            }
            status: tuple[str, ...] = ("done",)
            if (place, index) == (2, 3):
                check |= {"reasons": [INVALID_REASON]}
                status = ("invalid", INVALID_REASON)
                facts["valid"] = False
            write_session(record, policy, f"t{index}", link_check=check, **facts)
            sessions.append(planned(record, SEEN, policy, f"t{index}", *status))
            for player in range(2):
                record = folder / f"b-{place}-{index}-{player}.jsonl"
                if (place, index) == (2, 3):
                    sessions.append(planned(record, UNSEEN, policy, f"u{index}", "missing"))
                    continue
                levels = (
                    (0, 0, 0) if player or place == 2 else ((0, 2, 2) if index % 2 == place else (0, 1, 1))
                )
                by = ("policy", "policy", "fallback") if (place, index, player) == (1, 0, 0) else ()
                write_session(
                    record,
                    policy,
                    f"u{index}",
                    levels=levels,
                    family="3g",
                    start_s=float(player),
                    by=by,
                    decisions_s=(0.0004,) * 3,
                    link_check=LINK_CHECK,
                    simulated=False,
                    link={"rtt_ms": 200.0, "congestion_control": "cubic"},
                    sweep=sweep_section(UNSEEN, False, policy),
                    shared={
                        "group": f"g{place}{index}",
                        "players": 2,
                        "index": player,
                        "offset_s": float(player),
                        "stagger_s": 1.0,
                    },
                )
                sessions.append(planned(record, UNSEEN, policy, f"u{index}"))
    lost = planned(folder / "lost.jsonl", UNSEEN, "bba", "u9", "failed", "the player died: no route")
    write_sweep(folder, [*sessions, lost], policies)
    (folder / "cut.jsonl").write_text('{"line":"manifest"')
    return folder
