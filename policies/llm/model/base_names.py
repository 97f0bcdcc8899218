"""What base models are called, and what is wrong where one cannot be had."""

from __future__ import annotations

DEFAULT = "smollm2-135m"


class BaseError(ValueError):
    """A base model that cannot be had; the message names it, the fault and the way out."""
