"""How many of a run's lanes this machine holds now: asked when its servers are up, before it streams."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.lanes.capacity import in_turns, lanes_held
from testbed.lanes.plan import LanesPlan
from testbed.machine.lateness import Look, look
from testbed.machine.load import SESSION_LOAD
from testbed.machine.readings import MachineChange, read_machine

LOOK_S = 0.3
"""No newcomer notices it, and it holds 300 wake-ups of a timer."""


@dataclass(frozen=True)
class Noise:
    """What others leave of a machine."""

    cpus: int
    others: float
    """Threads of others that want a processor, in the mean."""
    stolen: float
    """Share of the wanted time in which the hypervisor took a processor away."""
    late_p99_ms: float
    lane_load: float = SESSION_LOAD
    """Processors that a lane of ours keeps busy in the mean."""

    @property
    def lanes(self) -> int:
        """How many are held."""
        return lanes_held(self.cpus, self.others, self.stolen, self.late_p99_ms, self.lane_load)


def noise_of(seen: Look, since_begun: MachineChange, lane_load: float = SESSION_LOAD) -> Noise:
    """From a look at the machine while ours is quiet, and from all that happened since the run was planned.

    A look is too short to count what is stolen, in ticks of 10 ms; while we plan and start servers,
    processors are wanted, so it shows. A queue of others is in the look alone: a busy processor does not
    tell how many wait for it.
    """
    return Noise(
        cpus=seen.change.cpus,
        others=max(seen.others, since_begun.others_cores or 0.0),
        stolen=since_begun.stolen_of_wanted,
        late_p99_ms=seen.lateness.p99_ms,
        lane_load=lane_load,
    )


def in_words(noise: Noise, sessions: int) -> str:
    """What is done about it, in a line; empty where all sessions go at once."""
    if noise.lanes >= sessions:
        return ""
    turns = len(in_turns(sessions, noise.lanes))
    return (
        f"this machine holds about {noise.lanes} lane{'s' * (noise.lanes > 1)} now:"
        f" {noise.others:.1f} threads of others want its {noise.cpus} processor{'s' * (noise.cpus > 1)},"
        f" {100 * noise.stolen:.1f} % of the time that is wanted is stolen,"
        f" timers are {noise.late_p99_ms:.1f} ms late; {sessions} sessions stream in {turns} turns"
        f" (--lanes {sessions}: all at once, whatever the machine)"
    )


def lanes_now(plan: LanesPlan) -> tuple[int, str]:
    """How many lanes are to stream at once, and why not all of them in a line (empty if all, or if asked).

    Takes `LOOK_S`, but no time where nothing is to be decided.
    """
    sessions = len(plan.sessions)
    if plan.lanes is not None or sessions == 1 or plan.begun is None:
        return min(plan.lanes or sessions, sessions), ""
    seen = look(LOOK_S)
    noise = noise_of(seen, read_machine().since(plan.begun), plan.lane_load)
    return min(noise.lanes, sessions), in_words(noise, sessions)
