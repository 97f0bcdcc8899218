"""What is the caller's under sudo, files, folders and a cache directory: `player/ownership.py`."""

from __future__ import annotations

from player.ownership import caller, caller_cache_dir, give_to_caller, make_directory

__all__ = ["caller", "caller_cache_dir", "give_to_caller", "make_directory"]
