"""What the files of simulated sessions are called, and whose a record is that lies under such a name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def record_name(trace: str, start_index: int | None, policy: str, seed: int | None) -> str:
    """A file's name that says what is in it.

    Args:
        policy: its spec.
        seed: of the run; None where there is but one.
    """
    policy_word = re.sub(r"^[^:]*/(?=[^/:]+\.py(:|$))", "", policy)
    words = (trace, f"s{start_index}", policy_word, *(() if seed is None else (f"seed{seed}",)))
    return "_".join(re.sub(r"[^A-Za-z0-9.=+_-]+", "-", word).strip("-.") for word in words) + ".jsonl"


def whose(name: str, manifest: Mapping[str, Any]) -> str:
    """The name that a record would have by its own manifest; empty where it is the one that it has.

    A record of the same session by other options has the name that it should: that is no stranger.
    """
    trace, policy = (manifest.get(section) for section in ("trace", "policy"))
    trace, policy = (found if isinstance(found, dict) else {} for found in (trace, policy))
    facts = (str(trace.get("name")), trace.get("start_index"), str(policy.get("spec")))
    own = [record_name(*facts, seed) for seed in (None, manifest.get("run_seed"))]
    return "" if name in own else own["_seed" in name]
