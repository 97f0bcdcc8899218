"""Simulated sessions as gymnasium environments: importing this registers `streambed/ABR-v0`.

    import gymnasium, player.simulated.batch.gym_env
    envs = gymnasium.make_vec("streambed/ABR-v0", num_envs=1024, traces="4g[0:400]", video="envivio")
    env = gymnasium.make("streambed/ABR-v0", traces="my/traces", rtt_ms=(20.0, 200.0))

An episode is a session over the `published` link (`simulated/link_published.py`). An action is the level of
the next chunk (`Discrete`), an observation the vector of `features.py` (`Box`, float32), the
reward the chunk's QoE. The first chunk comes at level 0 with the reset, as published means leave it
out, so an episode of 48 chunks has 47 steps; it ends by termination, with the last chunk. The sum of
rewards over the number of steps is the session's QoE as papers report it.

`info` of a step holds the chunk's facts, by the names of a record, and the parts of its QoE, in its unit:
`reward == quality - stall - smoothness`, to the last bit. A vector has them as arrays where it is made with
`facts=True`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from player.buffer import CAP_MS
from player.defaults import CHUNKS, MU, RTT_MS
from player.qoe import Scoring
from player.simulated.batch.features import Features, Vectors
from player.simulated.batch.gym_facts import MOST_CAP_MS, MOST_RTT_MS, chunk_facts, feature_bounds
from player.simulated.batch.library import Floats, Ints, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.video.built_in import load_video
from player.video.video import Video
from traces.families.catalogue import resolve_many
from traces.trace import Trace

ID = "streambed/ABR-v0"

Range = float | tuple[float, float]
"""One value for every session, or (low, high) to draw each session's from, uniformly."""

Draw = Callable[[np.random.Generator, int], Setup]
"""Makes the setups of so many new sessions; a curriculum brings its own."""


class SessionSource:
    """Where the environments' sessions come from.

    Args:
        traces: traces, or what `traces/families/catalogue.py` understands: `4g[0:100]`, a file, a directory.
        video: a video or its name or directory, or several with ladders of one length.
        qoe: `linear`, `log` or `hd`.
        mu: weight of a second of stall; None takes the quality of the top level of the video's ladder (8 in
            `hd`).
        smooth: weight of changes.
        chunks: streamed in a session; None takes 48, or fewer if a video has fewer.
        noise: multiply every download time by a draw from U(0.9, 1.1).
        rtt_ms, cap_ms: round trip and the buffer level above which the player waits.
        random_start: begin anywhere in the trace and not at its beginning.
        history, ahead: of the observation, see `Features`.
        draw: makes the setups instead of `rtt_ms`, `cap_ms`, `random_start` and even choice.

    Raises:
        TraceError, VideoError, ValueError: what was asked for cannot be had.
    """

    def __init__(
        self,
        traces: str | Sequence[Trace] = "4g[0:100]",
        video: str | Video | Sequence[str | Video] = "envivio",
        qoe: str = "linear",
        mu: float | None = None,
        smooth: float = 1.0,
        chunks: int | None = None,
        noise: bool = False,
        rtt_ms: Range = RTT_MS,
        cap_ms: Range = CAP_MS,
        random_start: bool = True,
        history: int = 8,
        ahead: int = 5,
        draw: Draw | None = None,
    ) -> None:
        if qoe not in MU:
            raise ValueError(f"qoe {qoe!r}: expected one of {', '.join(MU)}")
        found = resolve_many(traces) if isinstance(traces, str) else list(traces)
        named = [video] if isinstance(video, str | Video) else list(video)
        videos = [each if isinstance(each, Video) else load_video(each) for each in named]
        if len({each.levels for each in videos}) > 1:
            raise ValueError("the videos' ladders differ in length, so there is no one action space for them")
        self.library = Library(found, videos, Scoring(qoe, mu, smooth))
        self.chunks = min(CHUNKS, self.library.chunks) if chunks is None else chunks
        if not 2 <= self.chunks <= self.library.chunks:
            raise ValueError(
                f"{self.chunks} chunks; expected 2 to {self.library.chunks}, which the videos have"
            )
        self.noise = noise
        self.features = Features(self.library.levels, self.chunks, history, ahead)
        self.draw = draw if draw is not None else self._draw
        self._rtt_ms, self._cap_ms, self._random_start = _range(rtt_ms), _range(cap_ms), random_start

    def _draw(self, random: np.random.Generator, sessions: int) -> Setup:
        trace = random.integers(len(self.library.traces), size=sessions)
        start = random.integers(1, self.library.points()[trace]) if self._random_start else 1
        return Setup.of(
            sessions,
            trace=trace,
            start_index=start,
            video=random.integers(len(self.library.videos), size=sessions),
            seed=random.integers(2**32, size=sessions),
            rtt_ms=random.uniform(*self._rtt_ms, size=sessions),
            cap_ms=random.uniform(*self._cap_ms, size=sessions),
        )

    def sessions(self, setup: Setup, threads: int | None) -> Sessions:
        """A batch with this setup, the first chunk in."""
        return Sessions(self.library, setup, chunks=self.chunks, noise=self.noise, threads=threads)

    def observation_space(self) -> gymnasium.spaces.Box:
        """Of one environment: no session can get beyond its bounds (`feature_bounds`)."""
        drawn = self.draw == self._draw
        rtt_ms, cap_ms = (self._rtt_ms[1], self._cap_ms[1]) if drawn else (MOST_RTT_MS, MOST_CAP_MS)
        high = feature_bounds(self.features, self.library, self.chunks, rtt_ms, cap_ms)
        return gymnasium.spaces.Box(np.zeros_like(high), high)

    def action_space(self) -> gymnasium.spaces.Discrete:
        """Of one environment."""
        return gymnasium.spaces.Discrete(self.library.levels)


def _range(value: Range) -> tuple[float, float]:
    low, high = value if isinstance(value, tuple) else (value, value)
    if not low <= high:
        raise ValueError(f"range {value}: the lower end comes first")
    return low, high


class ABREnv(gymnasium.Env[Any, Any]):
    """One environment; the arguments are those of `SessionSource`."""

    metadata = {"render_modes": []}  # noqa: RUF012 -- gymnasium's own attribute

    def __init__(self, render_mode: None = None, **source: Any) -> None:
        self.render_mode = render_mode
        self.source = SessionSource(**source)
        self.observation_space = self.source.observation_space()
        self.action_space = self.source.action_space()
        self.sessions: Sessions | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vectors, dict[str, Any]]:
        """A new session."""
        super().reset(seed=seed)
        setup = self.source.draw(self.np_random, 1)
        if self.sessions is None:
            self.sessions = self.source.sessions(setup, threads=1)
        else:
            self.sessions.reset(np.zeros(1, np.int64), setup)
        return self._observe(), {}

    def step(self, action: int) -> tuple[Vectors, float, bool, bool, dict[str, Any]]:
        """Download the next chunk at level `action`.

        Raises:
            gymnasium.error.ResetNeeded: there is no session, or it is over.
        """
        if self.sessions is None or self.sessions.done[0]:
            raise gymnasium.error.ResetNeeded("there is no session, or it is over; call reset()")
        before = self.sessions.state.level.copy()
        self.sessions.step([action])
        info = {name: values[0].item() for name, values in chunk_facts(self.sessions, before).items()}
        return (
            self._observe(),
            self.sessions.state.reward[0].item(),
            self.sessions.done[0].item(),
            False,
            info,
        )

    def _observe(self) -> Vectors:
        assert self.sessions is not None
        return self.source.features.fill(self.sessions)[0]


class ABRVectorEnv(gymnasium.vector.VectorEnv[Vectors, Ints, NDArray[Any]]):
    """Many environments in one batch of `sessions.py`, whose state is `envs.sessions.state`.

    All draw from one generator, so that a run repeats itself under one seed and `num_envs`.

    Args:
        num_envs: how many.
        autoreset_mode: how sessions that are over begin anew, as gymnasium defines it: `NEXT_STEP` (the
            next step ignores the action, brings reward 0 and the first observation), `SAME_STEP` (the
            step that ends brings the new session's first observation, and `infos["final_obs"]` the old
            one's last) or `DISABLED` (`reset(options={"reset_mask": …})`).
        threads: None takes every core that the process may use.
        facts: whether `infos` of a step holds what a single environment's does, an array a name, with
            gymnasium's masks of where they are true (not where a session has just begun).
        source: of `SessionSource`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        threads: int | None = None,
        facts: bool = False,
        **source: Any,
    ) -> None:
        self._facts = facts
        self.num_envs = num_envs
        self.mode = AutoresetMode(autoreset_mode)
        self.metadata = {"render_modes": [], "autoreset_mode": self.mode}
        self.source = SessionSource(**source)
        self.single_observation_space = self.source.observation_space()
        self.single_action_space = self.source.action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.sessions: Sessions | None = None
        self._threads = threads

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vectors, dict[str, Any]]:
        """New sessions, in all environments or where `options["reset_mask"]` is true.

        Raises:
            ValueError: a mask that is no (num_envs,) array of truth values.
        """
        super().reset(seed=seed)
        mask = (options or {}).get("reset_mask")
        if mask is None:
            mask = np.ones(self.num_envs, np.bool_)
        elif not (isinstance(mask, np.ndarray) and mask.shape == (self.num_envs,) and mask.dtype == np.bool_):
            raise ValueError(f"reset_mask must be a numpy array of {self.num_envs} truth values")
        if self.sessions is None and not mask.all():
            raise gymnasium.error.ResetNeeded("the first reset must be of all environments")
        self._renew(mask)
        return self._observe(), {}

    def _renew(self, mask: NDArray[np.bool_]) -> None:
        which = np.flatnonzero(mask)
        setup = self.source.draw(self.np_random, len(which))
        if self.sessions is None:
            self.sessions = self.source.sessions(setup, self._threads)
        else:
            self.sessions.reset(which, setup)

    def step(
        self, actions: Ints
    ) -> tuple[Vectors, Floats, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Download the next chunk in every environment.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset, or a session is over and autoreset disabled.
            ValueError: an action that is no level.
        """
        if self.sessions is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        over = self.sessions.done
        if self.mode is AutoresetMode.DISABLED and over.any():
            raise gymnasium.error.ResetNeeded(
                f"session {np.flatnonzero(over)[0]} is over; reset it by a mask"
            )
        before = self.sessions.state.level.copy()
        self.sessions.step(actions)
        infos: dict[str, Any] = {}
        if self._facts:
            for name, values in chunk_facts(self.sessions, before).items():
                infos |= {name: np.where(over, 0, values), f"_{name}": ~over}
        if over.any():
            self._renew(over)
        rewards, ended = self.sessions.state.reward.copy(), self.sessions.done
        if self.mode is AutoresetMode.SAME_STEP and ended.any():
            infos |= self._final(ended)
            self._renew(ended)
        return self._observe(), rewards, ended, np.zeros(self.num_envs, np.bool_), infos

    def _final(self, ended: NDArray[np.bool_]) -> dict[str, Any]:
        """The last observations, as gymnasium's own vector environments hand them over."""
        last = np.full(self.num_envs, None, dtype=object)
        vectors = self._observe()
        for place in np.flatnonzero(ended):
            last[place] = vectors[place]
        return {"final_obs": last, "_final_obs": ended.copy(), "final_info": {}, "_final_info": ended.copy()}

    def _observe(self) -> Vectors:
        assert self.sessions is not None
        return self.source.features.fill(self.sessions)


if ID not in gymnasium.registry:
    gymnasium.register(ID, entry_point=ABREnv, vector_entry_point=ABRVectorEnv)
