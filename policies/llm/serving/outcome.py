"""What a request comes to, before anybody has made HTTP of it: a status, an object, and fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """An answer or a refusal."""

    status: int
    said: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def body(self) -> bytes:
        """As JSON."""
        return json.dumps(self.said).encode()


def refused(status: int, error: str, headers: Mapping[str, str] | None = None, **more: Any) -> Outcome:
    """Every refusal is an object with `error`, whoever refuses."""
    return Outcome(status, {"error": error, **more}, headers or {})
