"""The figures of a family of recordings, and their file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from traces.families.figures_file import model_in, shipped_figures
from traces.heads.head import HeadError

SCHEMA = 2


@dataclass(frozen=True)
class VideoModel:
    """What a video offers to look at."""

    scene_s: float
    """Mean length of a scene: its points of interest stay or drift; the next scene has others."""
    second: float
    """Share of scenes with a second point."""
    second_share: float
    """Of those who follow then, so many follow the second."""
    follow_low: float
    follow_high: float
    """Share of shifts that lead to a point of interest: a video's is drawn between."""
    follow_power: float
    """How that draw leans: a uniform one to this power."""


@dataclass(frozen=True)
class ViewerModel:
    """When a viewer's gaze shifts, and where to."""

    gap_none: float
    """Share of shifts that follow the one before at once."""
    gap_s: float
    """Mean of the other gaps."""
    glance: float
    """Of a gap, so much is left to who looks at no point."""
    linger: float
    """Share of shifts that look around where the gaze is."""
    scan: float
    """Share of the others that go on the way of the one before, on axis 2."""
    lag_s: float
    """A shift leads to where the point was so long ago."""
    pursue: float
    """Share of those who look at a point that go along with its drift."""
    seconds_of_degree: float
    """A shift of one degree lasts so long; one of s degrees s to `duration_exponent` times as long."""
    duration_exponent: float
    duration_log_sd: float
    pace_log_sd: float
    """Of viewers' gaps."""
    reach_log_sd: float
    """Of how far viewers look about."""


@dataclass(frozen=True)
class AxisModel:
    """How far an axis goes, in degrees; sd where nothing else is said."""

    front: float
    """Where the front of videos is; no sd."""
    front_sd: float
    """Of a video's own front about that."""
    point: float
    """Of scenes' points about the video's front."""
    drift_a_s: float
    """Of a point's speed."""
    own: float
    """Of a viewer's bias."""
    near: float
    """Of the gaze about the point that is followed."""
    far: float
    """Of the gaze of who follows none, about that point, too."""
    around: float
    """Of shifts that look around."""
    tremor: float
    """About the shifts' sum, an autoregression of `tremor_keep` from sample to sample."""
    tremor_keep: float


@dataclass(frozen=True)
class HeadsModel:
    """A family of recordings."""

    family: str
    about: str
    length_s: float
    viewers: int
    earlier: int
    video: VideoModel
    viewer: ViewerModel
    axes: tuple[AxisModel, AxisModel, AxisModel]

    def to_json(self) -> dict[str, Any]:
        """As the file has it."""
        return {"schema": SCHEMA, **asdict(self)}


def model_of(told: Mapping[str, Any], source: str) -> HeadsModel:
    """The model that a file says.

    Raises:
        HeadError: it says none.
    """
    return model_in(told, source, SCHEMA, _made, HeadError)


def _made(told: Mapping[str, Any]) -> HeadsModel:
    first, second, third = (AxisModel(**_numbers(axis)) for axis in told["axes"])
    return HeadsModel(
        str(told["family"]),
        str(told["about"]),
        float(told["length_s"]),
        int(told["viewers"]),
        int(told["earlier"]),
        VideoModel(**_numbers(told["video"])),
        ViewerModel(**_numbers(told["viewer"])),
        (first, second, third),
    )


def _numbers(told: Any) -> dict[str, float]:
    return {key: float(value) for key, value in told.items()}


@cache
def heads_model() -> HeadsModel:
    """The model that is shipped.

    Raises:
        HeadError, BadFileError: the file has been damaged.
    """
    return model_of(*shipped_figures("traces.heads", "heads.json"))
