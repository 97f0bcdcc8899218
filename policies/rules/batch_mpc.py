"""RobustMPC, compiled, for every session of a batch: the decisions of `policies/rules/mpc.py`.

The order of operations is that of `lookahead.py` and `throughput.py`, where it is
stated, because rounding in the last bit picks among plans of equal worth. All plans are searched;
those with a common beginning share its arithmetic, and of equal ones the last wins.
"""

from __future__ import annotations

import numpy as np

from player.compiled.compiled import compiled
from player.compiled.threads import share
from player.observation import HORIZON
from player.qoe import QoE
from player.simulated.batch.library import KINDS, Floats, Ints, Library, PackedLibrary
from player.simulated.batch.sessions import BatchState, Sessions
from policies.rules.lookahead import affordable_steps, quality_for_sums
from policies.rules.mpc import PLAN_CHUNKS
from policies.rules.throughput import FLOOR_MBPS, WINDOW

_MS_PER_S = 1000.0


class BatchMPC:
    """RobustMPC over a batch.

    Args:
        sessions: whose states are decided on; each session's own QoE is planned for.
        horizon: chunks that a plan spans, 1 to 8, as in `RobustMPC`.

    Raises:
        ValueError: another horizon.
    """

    def __init__(self, sessions: Sessions, horizon: int = PLAN_CHUNKS) -> None:
        if not 1 <= horizon <= HORIZON:
            raise ValueError(f"horizon {horizon}; a client is shown 1 to {HORIZON} chunks ahead")
        library = sessions.library
        self._sessions = sessions
        self._q, self._unit = _for_sums(library)
        self._steps = np.array([affordable_steps(video.levels, horizon) for video in library.videos])

    def select(self) -> Ints:
        """(sessions,) the level of each next chunk; 0 before the first and after the last."""
        levels, _ = self.decide()
        return levels

    def decide(self) -> tuple[Ints, Floats]:
        """(sessions,) levels as `select`, and (sessions,) the Mbit/s planned with (0 where none is known)."""
        sessions = self._sessions
        packed, state = sessions.library.packed, sessions.state
        levels, mbps = np.zeros(len(sessions), np.int64), np.zeros(len(sessions))

        def part(begin: int, end: int) -> None:
            _decide(packed, state, self._q, self._unit, self._steps, levels, mbps, begin, end)

        share(part, len(sessions), sessions.threads)
        return levels, mbps


def _for_sums(library: Library) -> tuple[Floats, Floats]:
    """(kinds, videos, most levels) quality in the unit in which plans are summed, and (kinds,) the units."""
    q, units = library.packed.quality.copy(), np.ones(len(KINDS))
    for kind, name in enumerate(KINDS):
        for place, video in enumerate(library.videos):
            if not np.isnan(q[kind, place, 0]):
                quality = quality_for_sums(QoE(name), video.ladder_kbps)
                q[kind, place, : video.levels], units[kind] = quality.q, quality.unit
    return q, units


@compiled
def harmonic_mean_mbps(past_mbps: Floats, end: int) -> float:
    """Harmonic mean of the last `WINDOW` of `past_mbps[:end]`."""
    begin = max(end - WINDOW, 0)
    inverse = 0.0
    for chunk in range(begin, end):
        inverse += 1.0 / max(past_mbps[chunk], FLOOR_MBPS)
    return 1.0 / (inverse / (end - begin))


@compiled
def robust_mbps(past_mbps: Floats, chunks: int) -> float:
    """The harmonic mean after `chunks` (> 0) chunks over one plus the worst recent error."""
    worst = 0.0
    for chunk in range(max(chunks - WINDOW, 1), chunks):
        actual = max(past_mbps[chunk], FLOOR_MBPS)
        error = abs(harmonic_mean_mbps(past_mbps, chunk) - actual) / actual
        worst = max(worst, error)
    return harmonic_mean_mbps(past_mbps, chunks) / (1.0 + worst)


@compiled
def _decide(
    packed: PackedLibrary,
    state: BatchState,
    q: Floats,
    units: Floats,
    steps: Ints,
    levels: Ints,
    mbps: Floats,
    begin: int,
    end: int,
) -> None:
    """Decide for the sessions begin to end."""
    most = packed.sizes_bytes.shape[2] ** (steps.max() - 1)
    room, other = np.empty((most, 4)), np.empty((most, 4))
    lasts, other_lasts = np.empty(most, np.int64), np.empty(most, np.int64)
    for session in range(begin, end):
        chunk, chunks, video = state.chunk[session], state.chunks[session], state.video[session]
        if chunk == 0 or chunk >= chunks:
            continue
        mbps[session] = robust_mbps(state.past_mbps[session], chunk)
        span = min(steps[video], chunks - chunk)
        ladder = packed.levels[video]
        download_s = 8.0 * packed.sizes_bytes[video, chunk : chunk + span, :ladder] / 1e6 / mbps[session]
        room[0, 0] = state.buffer_ms[session] / _MS_PER_S
        room[0, 1:] = 0.0
        lasts[0] = state.level[session]
        kind = state.kind[session]
        plan = _best_plan(
            download_s,
            packed.chunk_ms[video] / _MS_PER_S,
            q[kind, video],
            units[kind],
            state.mu[session],
            state.smooth[session],
            room,
            other,
            lasts,
            other_lasts,
        )
        levels[session] = plan // ladder ** (span - 1)


@compiled
def _best_plan(
    download_s: Floats,
    chunk_s: float,
    q: Floats,
    unit: float,
    mu: float,
    smooth: float,
    room: Floats,
    other: Floats,
    lasts: Ints,
    other_lasts: Ints,
) -> int:
    """The number of the best plan; of equal ones the last.

    Args:
        download_s: (steps, levels) seconds that each chunk takes.
        room: (plans of all but the last step, 4); row 0 holds (buffer in s, 0, 0, 0). A row is what a
            plan's beginning comes to: buffer, stall, sum of q, sum of changes.
        lasts: (the same,) each row's last level; element 0 is the level before the plan.
        other, other_lasts: room for the next step.
    """
    steps, ladder = download_s.shape
    count = 1
    for step in range(steps - 1):
        for row in range(count):
            buffer_s, stall_s, gain, change = room[row]
            for level in range(ladder):
                late_s = download_s[step, level] - buffer_s
                place = row * ladder + level
                other[place, 0] = max(-late_s, 0.0) + chunk_s
                other[place, 1] = stall_s + max(late_s, 0.0)
                other[place, 2] = gain + q[level]
                other[place, 3] = change + abs(q[level] - q[lasts[row]])
                other_lasts[place] = level
        count *= ladder
        room, other = other, room
        lasts, other_lasts = other_lasts, lasts
    best, best_reward = 0, -np.inf
    for row in range(count):
        buffer_s, stall_s, gain, change = room[row]
        for level in range(ladder):
            all_stall_s = stall_s + max(download_s[steps - 1, level] - buffer_s, 0.0)
            all_change = change + abs(q[level] - q[lasts[row]])
            reward = (gain + q[level]) / unit - mu * all_stall_s - smooth * all_change / unit
            if reward >= best_reward:
                best, best_reward = row * ladder + level, reward
    return best
