"""dash.js's own rules as policies, `dashjs:NAME`, and the settings that it plays with.

The names are those of its settings (`streaming.abr.rules`), version `testbed.server.dashjs.VERSION`. Where
its throughput rule and BOLA are both active it changes between them by the buffer: its dynamic strategy. The
rules that may only lower a level or give a request up (insufficient buffer, switch history, abandonment)
belong to each of these three, as they do in dash.js as it comes; L2A and LoL+ are made to stand alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from player.registry import LoadedPolicy, PolicyError
from player.video.mpd_live import ISO_CLOCKS
from testbed.server.dashjs import VERSION
from traces.words import meant

PREFIX = "dashjs"

_MAIN = ("throughputRule", "bolaRule", "l2ARule", "loLPRule")
_GUARDS = ("insufficientBufferRule", "switchHistoryRule", "abandonRequestsRule")
RULES = {
    "dynamic": ("throughputRule", "bolaRule", *_GUARDS),
    "bola": ("bolaRule", *_GUARDS),
    "throughput": ("throughputRule", *_GUARDS),
    "l2a": ("l2ARule",),
    "lolp": ("loLPRule",),
}
"""Name: the rules that are active."""
_LOG_LEVEL_NONE = 0


@dataclass(frozen=True)
class OwnRule:
    """One of dash.js's rules as a policy."""

    spec: str
    name: str
    """A key of RULES."""


def is_own(spec: str) -> bool:
    """Whether a policy's spec names a rule of dash.js's own."""
    return spec.partition(":")[0] == PREFIX


def own_rule(spec: str) -> OwnRule:
    """The rule that a spec names.

    Raises:
        PolicyError: there is none of this name.
    """
    name = spec.partition(":")[2]
    if name not in RULES:
        raise PolicyError(
            f"policy {spec}: dash.js {VERSION} has no rule {name!r}{meant(name, list(RULES))}; there are"
            f" {', '.join(f'{PREFIX}:{each}' for each in RULES)}"
        )
    return OwnRule(spec, name)


def loaded_rule(rule: OwnRule) -> LoadedPolicy:
    """What plans and records say of it. It is never asked: dash.js decides by itself."""
    return LoadedPolicy(cast(Any, rule), rule.spec, PREFIX, {"rule": rule.name})


def asking_settings(buffer_cap_s: float) -> dict[str, Any]:
    """Where a policy of ours decides: none of its rules, nothing given up, and our player's buffer cap."""
    return _settings((), dict.fromkeys(_BUFFER_TARGETS, buffer_cap_s))


def own_settings(rule: OwnRule) -> dict[str, Any]:
    """Where it decides by itself: the rule, and its own buffer targets."""
    return _settings(RULES[rule.name], {})


_OF_LOLP = "liveCatchupModeLoLP"
_NEVER_SEEKS_S = 86_400.0


def live_settings(
    settings: dict[str, Any], latency_s: float, most_faster: float, clock: str, own: OwnRule | None
) -> dict[str, Any]:
    """The same for a live stream.

    Args:
        settings: of the above.
        latency_s: behind the making, wanted.
        most_faster: played faster or slower by no more than this share.
        clock: the URL of the origin's, beside which no other is asked.
        own: its own rule, if one decides: LoL+ catches up in its own way.
    """
    mode = {"mode": _OF_LOLP} if own is not None and own.name == "lolp" else {}
    catchup = {
        "enabled": True,
        "maxDrift": _NEVER_SEEKS_S,  # or it would leave out what it is late with
        "playbackRate": {"min": -most_faster, "max": most_faster},
        **mode,
    }
    synchronization = {
        "enabled": True,
        "useManifestDateHeaderTimeSource": False,
        "backgroundAttempts": 0,
        "enableBackgroundSyncAfterSegmentDownloadError": False,
        "defaultTimingSource": {"scheme": ISO_CLOCKS[0], "value": clock},
    }
    streaming = {
        **settings["streaming"],
        "delay": {"liveDelay": latency_s, "applyServiceDescription": False},
        "liveCatchup": catchup,
        "utcSynchronization": synchronization,
    }
    return {**settings, "streaming": streaming}


_BUFFER_TARGETS = ("bufferTimeDefault", "bufferTimeAtTopQuality", "bufferTimeAtTopQualityLongForm")


def _settings(active: tuple[str, ...], buffer: dict[str, Any]) -> dict[str, Any]:
    rules = {name: {"active": name in active} for name in (*_MAIN, *_GUARDS)}
    return {
        "debug": {"logLevel": _LOG_LEVEL_NONE},
        "streaming": {
            # Each chunk is fetched once: dash.js would fetch those again that it has at a lower level.
            "buffer": {"fastSwitchEnabled": False, **buffer},
            "abr": {"rules": rules},
            "metrics": {"maxListDepth": 100_000},
            # Nothing of an earlier session, and no clock of somebody else's.
            "lastBitrateCachingInfo": {"enabled": False},
            "lastMediaSettingsCachingInfo": {"enabled": False},
            "utcSynchronization": {"enabled": False},
        },
    }
