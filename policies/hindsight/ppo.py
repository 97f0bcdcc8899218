"""PPO (Schulman et al., 2017) over whole batches of sessions of different lengths.

Logits are `SHARPNESS` x values. The critic is privileged: it is shown the trace's future, which tells luck
from skill; it is thrown away in the end (Pinto et al., RSS 2018, call this an asymmetric actor-critic).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from player.simulated.batch.library import Ints
from player.simulated.batch.sessions import Sessions
from policies.hindsight.run import HindsightRun, HindsightSettings
from policies.hindsight.seen import reward_units, softened, with_the_future
from policies.hindsight.torch_net import OptionActor, follow
from policies.view.batch import View
from policies.view.guard import sane

SHARPNESS = 3.0
"""PPO's logits are this x the values."""
FORBIDDEN = -1e9
"""The logit of a level that `guard.sane` forbids."""
LARGEST_GAIN = 10.0
"""In standard deviations of the batch; what lies beyond is some outage that nobody could foresee."""
USUAL_CHUNK_S = 4.0
HOPELESS = 200.0
"""A session that expects so much less than nothing counts half: where every chunk stalls, luck is loud."""


@dataclass
class Played:
    """What a batch of sessions did; rows are decisions, all of the first step, then of the second, …"""

    vectors: torch.Tensor
    """(rows, WIDTH)"""
    seen: torch.Tensor
    """(rows, SEEN) what the critic sees."""
    allowed: torch.Tensor
    """(rows, MAX_LEVELS)"""
    levels: torch.Tensor
    """(rows,)"""
    log_chance: torch.Tensor
    """(rows,) with which the level was drawn."""
    live: torch.Tensor
    """(steps, sessions) whether there was a decision: its true places are the rows, in order."""
    rewards: torch.Tensor
    """(steps, sessions)"""
    chunks: torch.Tensor
    """(sessions,) chunk length over the usual one."""
    strata: torch.Tensor
    """(sessions,) which are drawn alike."""

    def __len__(self) -> int:
        return len(self.vectors)


def log_chances(actor: OptionActor, vectors: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """(batch, levels) log probabilities with which PPO draws; what is not allowed is never drawn."""
    return torch.log_softmax((SHARPNESS * actor(vectors)).masked_fill(~allowed, FORBIDDEN), -1)


def play_batch(actor: OptionActor, sessions: Sessions, strata: Ints) -> Played:
    """Play sessions to their end, levels drawn by the actor's chances.

    Args:
        strata: (sessions,) which are drawn alike.
    """
    view = View(sessions)
    units = reward_units(view)
    rows: list[tuple[torch.Tensor, ...]] = []
    live_steps, reward_steps = [], []
    while not sessions.done.all():
        live = ~sessions.done
        vectors = view.fill()
        seen = with_the_future(sessions, view, vectors)[live]
        x, allowed = torch.from_numpy(vectors[live]), torch.from_numpy(sane(vectors[live]))
        with torch.no_grad():
            chances = log_chances(actor, x, allowed)
        drawn = torch.multinomial(chances.exp(), 1)
        levels = np.zeros(len(sessions), np.int64)
        levels[live] = drawn.squeeze(1).numpy()
        sessions.step(levels)
        reward_steps.append(np.where(live, softened(sessions.state.reward * units), 0.0).astype(np.float32))
        live_steps.append(live)
        rows.append(
            (x, torch.from_numpy(seen), allowed, drawn.squeeze(1), chances.gather(1, drawn).squeeze(1))
        )
    joined = [torch.cat(each) for each in zip(*rows, strict=True)]
    chunk_s = sessions.library.packed.chunk_ms[sessions.state.video] / 1000.0
    return Played(
        joined[0], joined[1], joined[2], joined[3], joined[4],
        torch.from_numpy(np.stack(live_steps)),
        torch.from_numpy(np.stack(reward_steps)),
        torch.from_numpy((chunk_s / USUAL_CHUNK_S).astype(np.float32)),
        torch.from_numpy(strata),
    )  # fmt: skip


def gains_of(
    played: Played, expected_rows: torch.Tensor, settings: HindsightSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows,) how much better decisions were than expected, and (rows,) what the critic should have said."""
    expected = torch.zeros(played.live.shape)
    expected[played.live] = expected_rows
    gamma, decay = settings.gamma**played.chunks, settings.trace_decay**played.chunks
    gains, carried = torch.zeros_like(expected), torch.zeros(len(gamma))
    after = torch.zeros(len(gamma))
    for step in reversed(range(len(expected))):
        surprise = played.rewards[step] + gamma * after - expected[step]
        carried = torch.where(played.live[step], surprise + gamma * decay * carried, carried)
        gains[step] = carried
        after = torch.where(played.live[step], expected[step], after)
    return gains[played.live], (gains + expected)[played.live]


def evened(gains: torch.Tensor, expected: torch.Tensor, played: Played) -> torch.Tensor:
    """(rows,) gains by which all sorts of sessions teach alike.

    Brought to mean 0 and deviation 1 in each stratum, and less of those that expect to lose much whatever
    they do: what they expect is known before they decide, so that no decision is favoured.
    """
    weighed = gains / (1.0 + (-expected).clamp(min=0.0) / HOPELESS)
    strata = played.strata.expand(played.live.shape)[played.live]
    for stratum in strata.unique():
        rows = strata == stratum
        mine = weighed[rows]
        weighed[rows] = (mine - mine.mean()) / (mine.std() + 1e-8)
    return weighed.clamp(-LARGEST_GAIN, LARGEST_GAIN)


def improve(
    run: HindsightRun, settings: HindsightSettings, sessions: Sessions, strata: Ints, left: float
) -> dict[str, float]:
    """One iteration: play a batch of sessions, then learn from it.

    Args:
        strata: (sessions,) which are drawn alike.
        left: share of the run that is still to come, 1 to 0.
    """
    played = play_batch(run.actor, sessions, strata)
    if run.iteration == 0:
        run.critic.scaling.fit(played.seen)
    with torch.no_grad():
        expected = run.critic(played.seen)
    gains, returns = gains_of(played, expected, settings)
    explained = 1.0 - (returns - expected).var() / returns.var()
    run.decisions += len(played)
    entropy = _update(run, settings, played, evened(gains, expected, played), returns, left)
    return {
        "decisions": float(run.decisions),
        "reward": float(played.rewards[played.live].mean()),
        "explained": float(explained),
        "entropy": entropy,
    }


def _update(
    run: HindsightRun,
    settings: HindsightSettings,
    played: Played,
    gains: torch.Tensor,
    returns: torch.Tensor,
    left: float,
) -> float:
    """Some epochs over one batch; the mean entropy."""
    for optimizer in (run.actor_optimizer, run.critic_optimizer):
        for group in optimizer.param_groups:
            group["lr"] = settings.ppo_lr * max(left, 0.02)
    bonus = settings.entropy_last + (settings.entropy_first - settings.entropy_last) * left
    total, count = 0.0, 0
    for _ in range(settings.ppo_epochs):
        for rows in torch.randperm(len(played)).split(settings.ppo_batch):
            error = functional.smooth_l1_loss(run.critic(played.seen[rows]), returns[rows])
            run.critic_optimizer.zero_grad()
            error.backward()
            torch.nn.utils.clip_grad_norm_(run.critic.parameters(), 0.5)
            run.critic_optimizer.step()
            if run.iteration < settings.frozen:
                continue
            loss, entropy = _actor_loss(run.actor, settings.clip, played, gains, rows)
            run.actor_optimizer.zero_grad()
            (loss - bonus * entropy).backward()
            torch.nn.utils.clip_grad_norm_(run.actor.parameters(), 0.5)
            run.actor_optimizer.step()
            follow(run.average, run.actor, settings.average_keep)
            total, count = total + entropy.item(), count + 1
    return total / max(count, 1)


def _actor_loss(
    actor: OptionActor, clip: float, played: Played, gains: torch.Tensor, rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """PPO's clipped loss, and the mean entropy."""
    chances = log_chances(actor, played.vectors[rows], played.allowed[rows])
    chosen = chances.gather(1, played.levels[rows, None]).squeeze(1)
    ratio = (chosen - played.log_chance[rows]).exp()
    held = ratio.clamp(1.0 - clip, 1.0 + clip)
    entropy = -(chances.exp() * chances).sum(-1).mean()
    return -torch.minimum(ratio * gains[rows], held * gains[rows]).mean(), entropy
