"""Records for tests of comparisons: what a session came to is written by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from player.record import FINISHED, ChunkRow, EndRow, RecordWriter

LADDER_KBPS = (1000, 2000, 3000, 4300)
"""Its top is the stall weight that sessions are told, which is the published one."""
CHUNK_S = 4.0
DOWNLOAD_S = 1.0
SIZE_BYTES = 125_000
"""1 Mbit."""


def write_session(
    path: Path,
    policy: str = "bba",
    trace: str = "t0",
    *,
    levels: Sequence[int] = (0, 1, 1),
    stalls_s: Sequence[float] | None = None,
    last_stall_s: float = 0.0,
    outcome: str = FINISHED,
    valid: bool = True,
    family: str = "4g",
    start_s: float = 0.0,
    video: str = "small",
    link: dict[str, Any] | None = None,
    seed: int = 0,
    simulated: bool = True,
    by: Sequence[str] = (),
    decisions_s: Sequence[float] = (),
    link_check: dict[str, Any] | None = None,
    **manifest: Any,
) -> Path:
    """A record of `len(levels)` chunks, each downloaded in a second over a link of 2 Mbit/s.

    QoE by hand, `linear`: the mean over all but the first chunk of level + 1 - 4.3 stall - |change|.
    """
    stalls = list(stalls_s) if stalls_s is not None else [0.0] * len(levels)
    facts: dict[str, Any] = {
        "simulated": simulated,
        "video": {
            "name": video,
            "sha256": _hash(video),
            "ladder_kbps": list(LADDER_KBPS),
            "chunk_s": CHUNK_S,
            "chunks": max(len(levels), 3),
        },
        "policy": {"spec": policy, "name": policy.partition(":")[0]},
        "told_qoe": {"kind": "linear", "mu": 4.3, "smooth": 1.0},
        "seed": seed,
        "trace": {
            "name": trace,
            "spec": f"{family}[0:9]",
            "family": family,
            "sha256": _hash(trace),
            "start_s": start_s,
            "time_s": [0.0, 10.0, 30.0],
            "rate_mbps": [2.0, 2.0, 2.0],
        },
        "link": {"model": "published", "rtt_ms": 80.0} if link is None else link,
    }
    rows = [
        ChunkRow(
            chunk=index,
            level=level,
            bitrate_kbps=LADDER_KBPS[level],
            size_bytes=SIZE_BYTES,
            request_s=index * DOWNLOAD_S,
            ttfb_s=0.1,
            download_s=DOWNLOAD_S,
            throughput_mbps=1.0,
            buffer_before_s=0.0,
            buffer_after_s=CHUNK_S,
            wait_s=0.0,
            stall_s=stall_s,
            decision_s=decisions_s[index] if decisions_s else 0.0,
            by=by[index] if by else "policy",
            reason="policy took longer than 5 s" if by and by[index] == "fallback" else "",
        )
        for index, (level, stall_s) in enumerate(zip(levels, stalls, strict=True))
    ]
    stall_s = sum(stalls) + last_stall_s
    played_s = CHUNK_S * len(levels)
    end = EndRow(
        outcome,
        "",
        len(levels),
        DOWNLOAD_S,
        stall_s,
        played_s,
        played_s + stall_s + 1.0,
        valid,
        {} if link_check is None else {"valid": valid, **link_check},
    )
    with RecordWriter(path, facts | manifest) as writer:
        for row in rows:
            writer.chunk(row)
        writer.finish(end)
    return path


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def change_manifest(path: Path, **values: Any) -> None:
    """Put other values into a record's first line."""
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | values), *others]) + "\n")
