"""The page as one file: nothing in it, and nothing that it may load, comes from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from analysis.watch.kept import PAGE

HERE = Path(__file__).parent
SCRIPTS = ("draw.js", "words.js", "page.js")


@cache
def _style() -> str:
    return (HERE / "page.css").read_text(encoding="utf-8")


@cache
def _script() -> str:
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)


def content_policy(live: bool) -> str:
    """What a browser lets the page do: run this one script and use this one style; a live one may ask the
    server that it came from. What a record says is no script, wherever it got to."""
    own = "'self'" if live else "'none'"
    return (
        f"default-src 'none'; script-src {_hash(_script())}; style-src {_hash(_style())}; connect-src {own};"
        " img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def page_of(messages: Sequence[dict[str, Any]], live: bool) -> str:
    """The page's HTML.

    Args:
        messages: what it shows at first; of one that isn't live, all that it ever shows.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{content_policy(live)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="live" content="{"yes" if live else "no"}">
<meta name="page" content="{PAGE}">
<title>Streambed</title>
<link rel="icon" href="data:,">
<style>{_style()}</style>
</head>
<body>
<header><h1 id="title">Streambed</h1><p id="about"></p><p id="connection" role="status"></p></header>
<section id="sweep" hidden></section>
<main id="lanes"></main>
<footer id="legend"></footer>
<script type="application/json" id="data">{_inert(messages)}</script>
<script>{_script()}</script>
</body>
</html>
"""


def _inert(messages: Sequence[dict[str, Any]]) -> str:
    """JSON in which no letter means anything to HTML."""
    text = json.dumps(messages, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
