"""What a call costs the machine."""

from __future__ import annotations

CALL_LOAD = 0.05
"""Processors that a lane with a call keeps busy in the mean; counted as a video's until it is measured."""
