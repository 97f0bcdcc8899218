"""The parameters of a family's generator, and their data file.

A family is a mix of classes (good cell and bad cell, cafe and campus); a member belongs to one class.
Within a class the link is a semi-Markov process with two kinds of state. *Up*: the rate follows a
score, about N(0, 1), that is the sum of

* the member's own offset (members of a class differ in mean),
* a level that holds for a random time and then jumps,
* a first-order autoregressive wander, and
* white noise,

and a table turns the score into a rate, so that the class's measured distribution comes out. *Outage*
(below 0.3 Mbit/s): entered with a probability that depends on the score, left after a length drawn
from the measured lengths, with rates drawn from the measured outage rates, those of long outages apart
where a class says so.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from traces.families.measured import Statistics
from traces.safe_reading import BadFileError, json_value, read_text
from traces.trace import TraceError

SCHEMA = 1
SCORE_GRID = tuple(-3.0 + 0.25 * index for index in range(25))
"""Scores at which a class's table gives the rate; linear between, constant beyond."""
OFFSET_SHARES = tuple(index / 8 for index in range(9))
"""Shares at which a class's offset quantiles are given."""
OUTAGE_SHARES = (0.0, 0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
"""Shares at which outage lengths and outage rates are given."""
HAZARD_EDGES = (-1.5, -1.0, -0.5, 0.0)
"""Scores that part the bands of `outage_hazard`."""
DEFAULT_LENGTH_S = 600.0
DEFAULT_MIN_MEAN_MBPS = 0.4
"""A little over the lowest level of the usual ladder (300 kbps): below it nothing plays."""
JUDGED_MEMBERS = 400
"""What fits are judged by, where nobody says another number."""


@dataclass(frozen=True)
class LinkClass:
    """One kind of link in a family. Standard deviations are in units of the score."""

    weight: float
    """Share of the family's measured time, thus of its members."""
    offset: tuple[float, ...]
    """(9,) quantiles of the member's constant offset at `OFFSET_SHARES`."""
    level_sd: float
    level_hold_steps: float
    """Mean number of steps for which the level holds."""
    wander_sd: float
    wander_correlation: float
    """From one step to the next."""
    noise_sd: float
    rate_mbps: tuple[float, ...]
    """(25,) rate at the scores of `SCORE_GRID`."""
    outage_hazard: tuple[float, ...]
    """(5,) probability per step that an outage begins, by band of the score before it."""
    outage_steps: tuple[float, ...]
    """(10,) quantiles of the outage length at `OUTAGE_SHARES`."""
    outage_mbps: tuple[float, ...]
    """(10,) quantiles of the rate within outages at `OUTAGE_SHARES`."""
    long_outage_steps: int | None = None
    """From how many steps on an outage is a long one, with rates of its own: long ones are the darker ones on
    many links. None: all are alike."""
    long_outage_mbps: tuple[float, ...] = ()
    """(10,) as `outage_mbps`, of long outages; `outage_mbps` is then of the others."""


@dataclass(frozen=True)
class FamilyModel:
    """All that is needed to generate a family, and where it came from."""

    family: str
    about: str
    step_s: float
    length_s: float
    """Of a member."""
    min_mean_mbps: float
    """A member with a lower mean is drawn anew; logs with a lower mean are not fitted."""
    max_mean_mbps: float | None
    """The same for a higher mean; None: no bound."""
    classes: tuple[LinkClass, ...]
    """In the order of their mean rates."""
    piece_s: float
    """To what length logs and members are cut for the statistics below."""
    fitted: Statistics
    """Of the logs that were fitted."""
    fitted_logs: int
    """How many, or how many blocks of logs."""
    held_out: Statistics | None = None
    """Of the logs that the fit is judged by."""
    held_out_logs: int = 0

    def to_json(self) -> str:
        """The data file's text."""
        body = {"schema": SCHEMA, **asdict(self), "fitted": self.fitted.as_json()}
        body["held_out"] = self.held_out.as_json() if self.held_out else None
        lines = ["{"]
        for key, value in body.items():
            if key == "classes":
                rows = [_class_lines(part) for part in value]
                lines.append('  "classes": [\n' + ",\n".join(rows) + "\n  ],")
            else:
                lines.append(f"  {json.dumps(key)}: {json.dumps(value)},")
        lines[-1] = lines[-1].rstrip(",")
        return "\n".join(lines) + "\n}\n"


def _class_lines(part: dict[str, Any]) -> str:
    said = {key: value for key, value in part.items() if value not in (None, ())}
    inner = ",\n".join(f"      {json.dumps(key)}: {json.dumps(value)}" for key, value in said.items())
    return "    {\n" + inner + "\n    }"


_LENGTHS = {
    "offset": len(OFFSET_SHARES),
    "rate_mbps": len(SCORE_GRID),
    "outage_hazard": len(HAZARD_EDGES) + 1,
    "outage_steps": len(OUTAGE_SHARES),
    "outage_mbps": len(OUTAGE_SHARES),
}


def _read_class(source: str, number: int, body: Any) -> LinkClass:
    try:
        values = {key: tuple(map(float, body[key])) for key in _LENGTHS}
        long_steps = body.get("long_outage_steps")
        if long_steps is not None:
            values["long_outage_mbps"] = tuple(map(float, body["long_outage_mbps"]))
        part = LinkClass(
            weight=float(body["weight"]),
            offset=values["offset"],
            level_sd=float(body["level_sd"]),
            level_hold_steps=float(body["level_hold_steps"]),
            wander_sd=float(body["wander_sd"]),
            wander_correlation=float(body["wander_correlation"]),
            noise_sd=float(body["noise_sd"]),
            rate_mbps=values["rate_mbps"],
            outage_hazard=values["outage_hazard"],
            outage_steps=values["outage_steps"],
            outage_mbps=values["outage_mbps"],
            long_outage_steps=None if long_steps is None else int(long_steps),
            long_outage_mbps=values.get("long_outage_mbps", ()),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise TraceError(f"{source}: class {number}: {error!r}; make the file anew with `fit`") from error
    for key, found in values.items():
        length = _LENGTHS.get(key, len(OUTAGE_SHARES))
        if len(found) != length:
            raise TraceError(f"{source}: class {number}: {key} has {len(found)} values, not {length}")
    if part.level_hold_steps < 1 or not 0 <= part.wander_correlation < 1:
        raise TraceError(
            f"{source}: class {number}: level_hold_steps < 1 or wander_correlation not in [0, 1)"
        )
    return part


def parse_model(text: str, source: str) -> FamilyModel:
    """The model in a data file's text.

    Raises:
        TraceError: not a model of this schema; names `source` and the field.
    """
    try:
        body = json_value(text, source)
        if body["schema"] != SCHEMA:
            raise TraceError(
                f"{source}: schema {json.dumps(body['schema'])[:40]}, not {SCHEMA};"
                " make the file anew with `fit`"
            )
        classes = tuple(_read_class(source, number, part) for number, part in enumerate(body["classes"]))
        model = FamilyModel(
            family=str(body["family"]),
            about=str(body["about"]),
            step_s=float(body["step_s"]),
            length_s=float(body["length_s"]),
            min_mean_mbps=float(body["min_mean_mbps"]),
            max_mean_mbps=None if body["max_mean_mbps"] is None else float(body["max_mean_mbps"]),
            classes=classes,
            piece_s=float(body["piece_s"]),
            fitted=Statistics(**body["fitted"]),
            fitted_logs=int(body["fitted_logs"]),
            held_out=Statistics(**body["held_out"]) if body["held_out"] is not None else None,
            held_out_logs=int(body["held_out_logs"]),
        )
    except TraceError:
        raise
    except BadFileError as error:
        raise TraceError(f"{error}; not a family model: `python -m traces fit` makes one") from None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise TraceError(
            f"{source}: not a family model: {error!r}; `python -m traces fit` makes one"
        ) from error
    if not classes or not (model.step_s > 0 and model.length_s >= model.step_s):
        raise TraceError(f"{source}: no classes, or step_s and length_s that are no positive lengths")
    return model


def read_model(path: Path) -> FamilyModel:
    """The model in a data file.

    Raises:
        TraceError: as `parse_model`, or the file can't be read.
    """
    try:
        text = read_text(path)
    except BadFileError as error:
        raise TraceError(str(error)) from None
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from error
    return parse_model(text, str(path))
