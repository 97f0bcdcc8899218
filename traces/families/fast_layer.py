"""The fast layer: what a family's members are like within a second, and its data file.

A family's member steps once a second, while a cellular link serves in turns of milliseconds and stands
still for moments. A layer says how the bytes of a step are spread over bins of 20 ms. It is a mix of kinds,
one a measured log; a member belongs to one. Within a kind a score, the sum of two first-order
autoregressions (one slow: a tenth of a second and more; one quick), is turned into a multiple of the
step's mean by a table of the step's band of rates, so that the measured distribution comes out, its empty
bins with it: an autoregression in a function of the log rate. *Gaps*, dark for 100 ms and more, begin with a
probability of the band and last as long as the measured ones. In the end each step is scaled so that it
carries what the family's member carries.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

from traces.safe_reading import BadFileError, json_value
from traces.trace import TraceError

SCHEMA = 1
BIN_S = 0.02
BINS_A_SECOND = 50
GAP_BINS = 5
"""From how many empty bins on (0.1 s) they are a gap; fewer are the table's matter."""
SCORES = tuple(-3.0 + 0.25 * index for index in range(25))
"""At which a band's table gives the multiple; linear between, constant beyond."""
GAP_SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.97, 1.0)
"""Shares at which a kind's gap lengths are given."""
SUFFIX = "-fast"
LAYER_OF = {"3g": "umts", "4g": "lte", "lte": "lte", "rural": "umts", "bursty": "lte"}
"""Families and the layer that is over them. The others have none: nobody has measured lines and WiFi, or
millimetre waves, by the millisecond for us."""


@dataclass(frozen=True)
class Band:
    """Steps of about one rate."""

    up_to_mbps: float
    """Mean rate of the step; the last band also holds what is over it."""
    seconds: int
    """Of the log, from which its figures are."""
    gap_hazard: float
    """Probability per bin outside gaps that a gap begins."""
    multiple: tuple[float, ...]
    """(25,) of the step's mean, at `SCORES`; 0 is an empty bin."""


@dataclass(frozen=True)
class Kind:
    """One measured log's way to serve."""

    log: str
    slow_share: float
    """Of the score's variance."""
    slow_keep: float
    """Autocorrelation from bin to bin of the slow part."""
    quick_keep: float
    gap_bins: tuple[float, ...]
    """(7,) quantiles of the gaps' lengths at `GAP_SHARES`."""
    most_mbps: float
    """Of any of the log's bins: what the radio can do. A member's bin goes up to this, or to twice its step's
    mean where that is more."""
    bands: tuple[Band, ...]
    """From the lowest on."""


@dataclass(frozen=True)
class FastFigures:
    """What bins of 20 ms are like, as multiples of their second's mean; seconds without anything left out."""

    seconds: int
    mean_mbps: float
    dark: float
    """Share of empty bins."""
    variation: float
    """Standard deviation of the multiple."""
    p50: float
    p95: float
    p99: float
    acf_20ms: float
    """Autocorrelation of the multiple within seconds, about 1."""
    acf_40ms: float
    acf_100ms: float
    acf_200ms: float
    dark_run_ms: float
    """Mean length of runs of empty bins."""
    dark_run_p95_ms: float
    in_gaps: float
    """Share of the bins that are in runs of 100 ms and more."""


@dataclass(frozen=True)
class Judged:
    """A log, and what the layer makes of its seconds' rates."""

    log: str
    fitted: bool
    """False: it was held out."""
    measured: FastFigures
    generated: FastFigures


@dataclass(frozen=True)
class FastLayer:
    """All that is needed to put sub-second variation over a member, and how it was judged."""

    layer: str
    about: str
    kinds: tuple[Kind, ...]
    judged: tuple[Judged, ...]

    def to_json(self) -> str:
        """The data file's text."""
        body = {"schema": SCHEMA, "layer": self.layer, "about": self.about}
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in body.items()]
        for key in ("kinds", "judged"):
            rows = ",\n".join(f"    {json.dumps(row)}" for row in asdict(self)[key])
            lines.append(f"  {json.dumps(key)}: [\n{rows}\n  ],")
        lines[-1] = lines[-1].rstrip(",")
        return "{\n" + "\n".join(lines) + "\n}\n"


def fast_families() -> tuple[str, ...]:
    """The names of the families that have a fast layer, each with its suffix."""
    return tuple(family + SUFFIX for family in LAYER_OF)


def _numbers(source: str, values: Any, count: int, what: str) -> tuple[float, ...]:
    found = tuple(map(float, values))
    if len(found) != count or not all(value >= 0 for value in found):
        raise TraceError(f"{source}: {what} must hold {count} numbers of 0 and more")
    return found


def _band(source: str, body: Any) -> Band:
    hazard = float(body["gap_hazard"])
    if not 0 <= hazard < 1:
        raise TraceError(f"{source}: gap_hazard {hazard}: expected 0 to under 1")
    multiple = _numbers(source, body["multiple"], len(SCORES), "multiple")
    if not multiple[-1] > 0:
        raise TraceError(f"{source}: multiple holds nothing but zeros")
    return Band(float(body["up_to_mbps"]), int(body["seconds"]), hazard, multiple)


def _kind(source: str, body: Any) -> Kind:
    most_mbps = float(body["most_mbps"])
    if not most_mbps > 0:
        raise TraceError(f"{source}: most_mbps {most_mbps}: expected a rate")
    shares = {name: float(body[name]) for name in ("slow_share", "slow_keep", "quick_keep")}
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise TraceError(f"{source}: {name} {value}: expected 0 to 1")
    bands = tuple(_band(source, part) for part in body["bands"])
    if not bands or list(bands) != sorted(bands, key=lambda band: band.up_to_mbps):
        raise TraceError(f"{source}: bands: expected one or more, the lowest first")
    gaps = _numbers(source, body["gap_bins"], len(GAP_SHARES), "gap_bins")
    return Kind(str(body["log"]), gap_bins=gaps, most_mbps=most_mbps, bands=bands, **shares)


def parse_layer(text: str, source: str) -> FastLayer:
    """The layer in a data file's text.

    Raises:
        TraceError: not a layer of this schema; names `source` and the field.
    """
    try:
        body = json_value(text, source)
        if body["schema"] != SCHEMA:
            raise TraceError(
                f"{source}: schema {json.dumps(body['schema'])[:40]}, not {SCHEMA}; fit it again"
            )
        layer = FastLayer(
            layer=str(body["layer"]),
            about=str(body["about"]),
            kinds=tuple(_kind(source, part) for part in body["kinds"]),
            judged=tuple(
                Judged(
                    str(part["log"]),
                    bool(part["fitted"]),
                    FastFigures(**part["measured"]),
                    FastFigures(**part["generated"]),
                )
                for part in body["judged"]
            ),
        )
    except BadFileError as error:
        raise TraceError(f"{error}; not a fast layer: `python -m traces fit-fast` makes one") from None
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, TraceError):
            raise
        raise TraceError(
            f"{source}: not a fast layer: {error!r}; `python -m traces fit-fast` makes one"
        ) from error
    if not layer.kinds:
        raise TraceError(f"{source}: a layer of no kinds")
    return layer


@cache
def load_layer(layer: str) -> FastLayer:
    """A built-in layer."""
    file = resources.files("traces.families") / f"fast_{layer}.json"
    return parse_layer(file.read_text(encoding="utf-8"), f"traces/families/fast_{layer}.json")
