"""The page on which dash.js plays what the origin serves, `/player/`: for people and measured sessions."""

from __future__ import annotations

from pathlib import Path

from testbed.server.dashjs import script

FOLDER = Path(__file__).parent / "pages"
HTML, JAVASCRIPT = "text/html; charset=utf-8", "text/javascript; charset=utf-8"
PREFIX = "player"
"""First part of the page's paths; a video of this name is reached by its own paths all the same."""


def page(path: str) -> tuple[bytes, str] | None:
    """What lies at a path of the origin, with its type; None where it is none of the page's."""
    if path in (f"{PREFIX}/", f"{PREFIX}/index.html"):
        return (FOLDER / "player.html").read_bytes(), HTML
    if path in (f"{PREFIX}/player.js", f"{PREFIX}/live.js"):
        return (FOLDER / path.rpartition("/")[2]).read_bytes(), JAVASCRIPT
    if path == f"{PREFIX}/dash.js":
        found = script()
        missing = b"// dash.js is not installed: testbed/setup.sh players\n"
        return (missing if found is None else found.read_bytes()), JAVASCRIPT
    return None
