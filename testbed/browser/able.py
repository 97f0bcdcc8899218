"""What dash.js needs, asked while a run is planned."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from player.buffer import USUAL_THRESHOLDS
from player.live.parts import parts_of
from player.video.media.encode import MediaError
from player.video.media.prepared import prepare_media
from player.video.video import Video
from testbed.browser.chromium import BrowserError, find_browser
from testbed.process.errors import TestbedError
from testbed.server import dashjs
from traces.commands import said_of

BROWSER_LOAD = 0.25
"""Processors that a lane with a browser keeps busy in the mean."""


OF_ITS_OWN = "a browser has a lane of its own"


def beyond_dashjs(thresholds: Mapping[str, Any]) -> str | None:
    """What of a player's thresholds dash.js can't be told, and why; None if it can be told all.

    Args:
        thresholds: `BufferThresholds` or a part of them, by name.
    """
    for name in ("startup_s", "resume_s"):
        if thresholds[name] not in (None, getattr(USUAL_THRESHOLDS, name)):
            return f"{name}: dash.js begins and goes on as a browser does"
    if thresholds["abandon"]:
        return (
            "abandon: dash.js gives requests up by itself where its own rules decide, and not where ours do"
        )
    return None


def refuse_unable(args: argparse.Namespace) -> None:
    """Refuse what a browser can't do, or a machine without one.

    Raises:
        TestbedError: what is missing or asked in vain, and the way out.
    """
    if beyond := beyond_dashjs(vars(args)):
        name, _, why = beyond.partition(": ")
        raise TestbedError(f"--{name.replace('_', '-')}: {why}; leave it away")
    if args.together or args.beside or args.cross:
        raise TestbedError(f"--player dashjs: {OF_ITS_OWN}; leave --together, --beside and --cross away")
    refuse_machine()


def refuse_machine() -> None:
    """Refuse a machine without a browser, or without dash.js.

    Raises:
        TestbedError: what is missing, and the way out.
    """
    try:
        find_browser()
    except BrowserError as error:
        raise TestbedError(str(error)) from None
    if dashjs.script() is None:
        raise TestbedError(f"no dash.js in {dashjs.folder()}; {dashjs.INSTALL}")
    if (version := dashjs.installed_version()) != dashjs.VERSION:
        raise TestbedError(f"dash.js {version} is installed, {dashjs.VERSION} is wanted; {dashjs.INSTALL}")


def media_for(video: Video, part_s: float | None = None) -> None:
    """Make the real media that a browser plays, where they are not there yet.

    Args:
        part_s: of a live stream whose chunks come in parts so long.

    Raises:
        TestbedError: they can't be made.
    """
    try:
        prepare_media(video, parts_of(video.chunk_s, part_s))
    except MediaError as error:
        raise TestbedError(f"dash.js plays real media only: {error}") from None
    except OSError as error:
        raise TestbedError(f"dash.js plays real media only: {said_of(error)}") from None
