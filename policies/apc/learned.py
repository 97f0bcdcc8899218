"""A learned scheduler: how much QoE asking the model would gain, by a tiny network over the facts.

What Trailblazer leaves open. The network (one hidden layer, numpy, some hundred numbers in a JSON file) is
fitted to simulated decisions where both levels, the model's and the light policy's, were played out
(`train.py`): how likely they differ, times what a difference gained. A decision goes to the model where the
predicted gain *per millisecond* that the model takes is worth it, so that a busier or slower machine is
asked for less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.apc import call_facts
from policies.apc.rule import SchedulerError
from policies.apc.scheduler import AnyFacts, Routing
from traces.safe_reading import BadFileError, read_json, sha256_of
from traces.words import of_a_fault

SHIPPED = Path(__file__).parent / "learned.json"
MEMORY = 0.8
"""Of the model's delay: an exponential average's weight on what was."""
FORGET = 0.02
"""Of the way back to what the file says, for each decision that is not asked: only questions are measured,
and one busy hour is not to keep the model unasked for ever."""
SHORTEST_MS = 0.1

Floats = NDArray[np.float64]


def inputs(facts: AnyFacts) -> Floats:
    """(inputs,) what the network sees: `INPUTS` of a video; logarithms where a fact spans decades."""
    if isinstance(facts, call_facts.CallFacts):
        return call_facts.inputs(facts)
    return np.array(
        (
            math.log1p(facts.buffer_s),
            math.log(facts.rate + 1e-3),
            facts.variation,
            facts.trend,
            math.log1p(facts.stall_s),
            math.log(max(facts.lead, 0.0) + 1e-2),
            math.log1p(facts.rtt_ms),
            facts.last,
            facts.left,
            facts.buffer_s * facts.rate / 10.0,
            _signed_log(facts.slack_s),
            _signed_log(facts.drain),
            math.log1p(facts.falling_s),
            math.log1p(facts.risk),
            math.log1p(facts.missed),
        )
    )


INPUTS = 15


def _signed_log(value: float) -> float:
    return math.copysign(math.log1p(abs(value)), value)


@dataclass(frozen=True)
class GainNet:
    """A network from facts to gained QoE, and what a millisecond is worth.

    Raises:
        ValueError: numbers that are none, or shapes that do not fit.
    """

    centre: Floats
    """(inputs,)"""
    scale: Floats
    """(inputs,)"""
    hidden: Floats
    """(inputs, units)"""
    hidden_bias: Floats
    """(units,)"""
    out: Floats
    """(units, 2) to the chance that the model and the light policy differ, as a logit, and to the relative
    QoE that asking gains where they do."""
    out_bias: Floats
    """(2,)"""
    worth_per_ms: float
    """QoE that a millisecond of the model must gain."""
    llm_ms: float
    """What a decision of the model takes until one has been measured."""

    def __post_init__(self) -> None:
        seen, units = len(self.centre), self.hidden.shape[-1]
        shapes = (
            self.centre.shape,
            self.scale.shape,
            self.hidden.shape,
            self.hidden_bias.shape,
            self.out.shape,
            self.out_bias.shape,
        )
        if shapes != ((seen,), (seen,), (seen, units), (units,), (units, 2), (2,)):
            raise ValueError(f"shapes {shapes} do not fit each other")
        parts = (self.centre, self.scale, self.hidden, self.hidden_bias, self.out, self.out_bias)
        if not all(np.isfinite(part).all() for part in parts):
            raise ValueError("a number that is none")
        named = {name: getattr(self, name) for name in ("worth_per_ms", "llm_ms")}
        if wrong := [f"{name} {value}" for name, value in named.items() if not 0.0 < value < np.inf]:
            raise ValueError(f"{', '.join(wrong)}: must be positive")

    def gains(self, rows: Floats) -> Floats:
        """(n,) predicted gains of (n, inputs) or, of (inputs,), one."""
        hidden = np.maximum((rows - self.centre) / self.scale @ self.hidden + self.hidden_bias, 0.0)
        ends = hidden @ self.out + self.out_bias
        return np.asarray(ends[..., 1] / (1.0 + np.exp(-ends[..., 0])))

    def to_json(self) -> dict[str, Any]:
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> GainNet:
        """Raises KeyError, TypeError or ValueError for what is none."""
        arrays = {
            name: np.asarray(held[name], np.float64)
            for name in ("centre", "scale", "hidden", "hidden_bias", "out", "out_bias")
        }
        numbers = {name: float(held[name]) for name in ("worth_per_ms", "llm_ms")}
        values: dict[str, Any] = {**arrays, **numbers}
        return cls(**values)


class Learned:
    """Routes by predicted gain per millisecond."""

    def __init__(self, net: GainNet) -> None:
        self._net = net
        self._llm_ms = net.llm_ms

    def reset(self, seed: int) -> None:
        """The machine is the same one in the next session: what was measured of it stays."""

    def route(self, facts: AnyFacts, price: float = 1.0) -> Routing:
        gain = float(self._net.gains(inputs(facts)))
        score = gain / self._llm_ms / self._net.worth_per_ms
        routing = Routing(score >= price, f"gain {gain:+.3f} for {self._llm_ms:.1f} ms", score)
        if not routing.to_llm:
            self._llm_ms += FORGET * (self._net.llm_ms - self._llm_ms)
        return routing

    def heard(self, delay_ms: float) -> None:
        self._llm_ms = MEMORY * self._llm_ms + (1.0 - MEMORY) * max(delay_ms, SHORTEST_MS)


def read_net(light: str, path: Path = SHIPPED) -> GainNet:
    """The network beside a light policy.

    Raises:
        SchedulerError: no such file, none for this policy, or something else in it.
    """
    way_out = f"make one with: python -m policies.apc train --light {light}"
    try:
        nets = read_json(path)["nets"]
        if light not in nets:
            raise SchedulerError(f"{path}: no network beside the light policy {light}; {way_out}")
        net = GainNet.from_json(nets[light])
        if len(net.centre) != INPUTS:
            raise ValueError(f"{len(net.centre)} inputs do not fit; expected {INPUTS}")
        return net
    except OSError as error:
        raise SchedulerError(f"{path}: {error.strerror}; {way_out}") from None
    except SchedulerError:
        raise
    except BadFileError as error:
        raise SchedulerError(f"{error}; no network; {way_out}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise SchedulerError(f"{path}: no network: {of_a_fault(error)}; {way_out}") from None


def file_sha256(path: Path) -> str:
    """A scheduler's file, for the record."""
    return sha256_of(path)
