"""What things are called in the origin's addresses: for whoever only asks it, who needs no server."""

from __future__ import annotations

import re

from player.video.video import Video


def url_name(video: Video) -> str:
    """The video's name as one part of a path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", video.name).strip(".-") or "video"
