"""`adapt`: teach a base model the task (Adapt), offline, on a pool that `collect` made.

Two objectives:

* `distill`: the teacher's action probabilities at every step of whole sessions. After the pool, rounds on
  the sessions that the student itself plays, in whose states the teacher is asked anew (DAgger: Ross et
  al., AISTATS 2011). Where scores are planned with the true future, they are met in the mean.
* `return`: return-conditioned sequence modelling, as NetLLM does (Chen et al., NeurIPS 2021): each step is
  told the return that followed, and the action that was taken is to be predicted. At test a return is
  asked for; which one is chosen on the validation traces.

AdamW over the learned weights alone; the learning rate rises, then falls along a cosine. Every now and then
the student plays the held-out traces; the best checkpoint by these is what is written. Everything drawn
depends on the seed and the step's number: a killed run goes on, by the same command, as if it had not been.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from policies.hindsight.net import Net
from policies.llm.engine.engine import Engine, pick_device, pick_dtype
from policies.llm.learning import pool
from policies.llm.learning.pool import BY_PLAN, Experience
from policies.llm.model import adapter
from policies.llm.model.base import DEFAULT, placed, resolve
from policies.llm.model.model import Model
from policies.llm.model.shape import TARGETS, TRAINED, Shape
from policies.llm.model.words import TASK_PROMPT
from policies.llm.tasks.abr import features as abr
from policies.llm.tasks.abr.draw import Mix, draw
from policies.llm.tasks.abr.play import BATCH, BatchEngine, part_of, watch
from policies.llm.tasks.abr.teacher import SHARPNESS, Teacher
from policies.llm.tasks.abr.validation import Validation
from traces.files import aside
from traces.numbers import count, not_negative, positive, share, whole
from traces.progress import Say, say

DISTILL, RETURN = "distill", "return"
CHECKPOINT, LOG, BEST, LAST = "checkpoint.pt", "log.jsonl", adapter.BEST, "last"
ROUNDS, BOARD = "rounds", "tensorboard"
TARGET_SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the best return in the pool, tried as what to ask for."""
BEST_RETURN = 0.99
"""Quantile of the pool's returns that counts as its best."""
PLAN_WEIGHT = 0.3
"""Of the squared error of planned values beside the cross entropy of probabilities."""
CROP_SHARE = 0.2
"""Of the batches that begin within a session, as a context that was begun anew does."""
CLIP = 1.0
SAID_OF_POOL = ("traces", "rescaled", "video", "ladders", "policies", "seed")
"""In an adapter's notes."""
OF_THE_MACHINE = ("threads", "device")
"""Settings that a run may go on with others of."""


def option(default: Any, kind: Callable[[str], Any], text: str) -> Any:
    """A field that is an option of the command line, too, checked and explained there."""
    return field(default=default, metadata={"kind": kind, "help": text})


@dataclass(frozen=True)
class Settings:
    """What a run does; two runs with equal settings and pools are equal."""

    seed: int = option(1, whole, "of all that is drawn")
    objective: str = DISTILL
    steps: int = option(600, count, "of the optimizer, in all")
    batch: int = option(16, count, "sessions of each step")
    rounds: int = option(
        2, whole, "of sessions that the student plays, evenly over the steps after the pool's own share"
    )
    round_sessions: int = option(384, count, "of each round")
    pool_share: float = option(0.5, share, "of the steps, before the first round")
    lr: float = option(1e-3, positive, "the highest learning rate")
    decay: float = option(0.01, not_negative, "of weights (AdamW)")
    warmup: int = option(20, count, "steps in which the learning rate rises")
    check_every: int = option(100, count, "steps between two looks at the validation traces")
    validation_sessions: int = option(48, count, "of each source")
    threads: int = option(1, count, "cores to use")
    device: str = "auto"


class AdaptError(ValueError):
    """A run that cannot begin; the message names what does not fit and the way out."""


@dataclass
class State:
    """What changes while a run goes on."""

    step: int = 0
    round: int = 0
    best: float = -math.inf
    best_step: int = 0
    target: float | None = None
    seconds: float = 0.0


class Adaptation:
    """One run: a model, a pool, settings and a folder. What a folder without a checkpoint holds of an earlier
    run is removed, but for its adapters.

    Args:
        command: what is noted in the adapter as the way to make it.

    Raises:
        AdaptError: the folder holds another run, or the pool is too small.
        BaseError, PoolError, DataError: something is not there.
    """

    def __init__(
        self, shape: Shape, pool_folder: Path, out: Path, settings: Settings, say: Say, command: str = ""
    ) -> None:
        torch.set_num_threads(settings.threads)
        self.shape, self.settings, self.out, self.say, self.command = shape, settings, out, say, command
        self.device = pick_device(settings.device)
        self.experience, self.facts = pool.read(pool_folder)
        self.mix = Mix.of(self.facts)
        if not any(source.validation for source in self.mix.sources):
            raise AdaptError(
                f"{pool_folder}: none of its traces is held out, so that no checkpoint could be chosen;"
                " collect on more: a folder of logs, or members of a family such as 4g[0:50]"
            )
        if len(self.experience) < settings.batch:
            raise AdaptError(
                f"{pool_folder}: {len(self.experience)} sessions, fewer than a batch of {settings.batch};"
                " collect more, or take a smaller --batch"
            )
        teacher = self.facts.get("teacher")
        self._teacher = Net.read(Path(teacher)) if teacher else None
        torch.manual_seed(settings.seed)
        self.base = resolve(shape.base)
        self.model = Model(self.base, shape, abr.MODALITIES)
        self.model.encoder.scale_to(torch.from_numpy(self.experience.vectors).flatten(0, 1))
        self.returns = self.experience.returns_to_go()
        self.best_return = float(np.quantile(self.returns[:, 1], BEST_RETURN))
        self.model.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.learned(), settings.lr, weight_decay=settings.decay, betas=(0.9, 0.95)
        )
        self.half = pick_dtype("auto", self.device) == torch.bfloat16
        self.state = State()
        out.mkdir(parents=True, exist_ok=True)
        if (out / CHECKPOINT).exists():
            self._load()
            say(f"going on from step {self.state.step}")
        else:
            for name in (ROUNDS, BOARD):
                shutil.rmtree(out / name, ignore_errors=True)
            (out / LOG).unlink(missing_ok=True)
        (out / ROUNDS).mkdir(exist_ok=True)
        self.validation = Validation.of(
            self.mix.sources, self.mix.videos[0], settings.threads, settings.validation_sessions
        )

    # ---- the run --------------------------------------------------------------------------------

    def go(self) -> dict[str, Any]:
        """Run to the end; what there is to say of it."""
        from torch.utils.tensorboard import SummaryWriter

        settings, state = self.settings, self.state
        with SummaryWriter(str(self.out / BOARD), purge_step=state.step + 1) as self.board:
            losses, began = [], time.monotonic()
            while state.step < settings.steps:
                if state.round < self._rounds_due():
                    self._play_round()
                losses.append(self._learn())
                state.step += 1
                self.board.add_scalar("loss", losses[-1], state.step)
                if state.step % settings.check_every == 0 or state.step == settings.steps:
                    state.seconds += time.monotonic() - began
                    self._check(float(np.mean(losses)))
                    losses, began = [], time.monotonic()
        return self.report()

    def report(self) -> dict[str, Any]:
        learned = sum(each.numel() for each in self.model.learned())
        return {
            "out": str(self.out / BEST),
            "score": self.state.best,
            "best_step": self.state.best_step,
            "steps": self.state.step,
            "seconds": round(self.state.seconds, 1),
            "teacher_score": self.validation.score(self.validation.of_baseline("hindsight")),
            "target": self.state.target,
            "learned": learned,
            "learned_share": learned / sum(each.numel() for each in self.model.parameters()),
        }

    def _rounds_due(self) -> int:
        settings = self.settings
        if settings.objective != DISTILL or not settings.rounds:
            return 0
        first = settings.steps * settings.pool_share
        if self.state.step < first:
            return 0
        each = (settings.steps - first) / settings.rounds
        return min(int((self.state.step - first) / each) + 1, settings.rounds)

    # ---- learning ---------------------------------------------------------------------------------

    def _learn(self) -> float:
        settings, step = self.settings, self.state.step
        for group in self.optimizer.param_groups:
            group["lr"] = settings.lr * min((step + 1) / settings.warmup, 1.0) * self._cosine()
        self.model.train()
        loss = self._loss(*self._batch())
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.learned(), CLIP)
        self.optimizer.step()
        return loss.item()

    def _cosine(self) -> float:
        return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * self.state.step / self.settings.steps))

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Vectors (B, T, WIDTH), scores (B, T, LEVELS), levels (B, T) and kinds (B,) of this step."""
        held, settings = self.experience, self.settings
        random = np.random.default_rng([settings.seed, self.state.step])
        rows = random.choice(len(held), settings.batch, replace=False)
        begin = 0
        if random.random() < CROP_SHARE:
            begin = int(random.integers(1, held.levels.shape[1] // 2))
        vectors = held.vectors[rows]
        if settings.objective == RETURN:
            vectors[:, :, abr.GOAL_AT] = self.returns[rows]
        parts = vectors, held.scores[rows], held.levels[rows].astype(np.int64)
        found = [torch.from_numpy(np.ascontiguousarray(each[:, begin:])).to(self.device) for each in parts]
        return found[0], found[1], found[2], torch.from_numpy(held.kinds[rows]).to(self.device)

    def _loss(
        self, vectors: torch.Tensor, scores: torch.Tensor, levels: torch.Tensor, kinds: torch.Tensor
    ) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            logits = self.model(vectors)
        logits = logits.float()  # (B, T, LEVELS)
        if self.settings.objective == RETURN:
            return functional.cross_entropy(logits.flatten(0, 1), levels.flatten())
        taught = torch.softmax(scores, -1)
        cross = -(taught * torch.log_softmax(logits, -1)).sum(-1).mean(-1)  # (B,)
        # Planned values are those of one future; their mean over futures is what a client can know.
        planned = scores / SHARPNESS
        mine = logits / SHARPNESS
        error = (
            (mine - mine.mean(-1, keepdim=True) - planned + planned.mean(-1, keepdim=True))
            .square()
            .mean((-1, -2))
        )
        return torch.where(kinds == BY_PLAN, PLAN_WEIGHT * error, cross).mean()

    # ---- the student's own sessions -----------------------------------------------------------------

    def _play_round(self) -> None:
        """Sessions that the student plays, with what the teacher says of them, join the experience."""
        settings, state = self.settings, self.state
        path = self.out / ROUNDS / f"{state.round}.npz"
        if not path.exists():
            self._write(self.out / LAST, None)
            parts = []
            for drawn in draw(self.mix, settings.round_sessions, (settings.seed, 1000 + state.round)):
                engine = self._engine(min(BATCH, len(drawn)))
                for begin in range(0, len(drawn), BATCH):
                    part = type(drawn)(drawn.library, part_of(drawn.setup, begin, begin + BATCH))
                    sessions = part.sessions(settings.threads)
                    player = BatchEngine(sessions, engine)
                    parts.append(watch(sessions, player, Teacher(sessions, self._teacher)))
                    player.close()
            pool.write_part(path, Experience.joined(parts))
        mine = pool.read_part(path)
        agreed = (mine.levels == mine.scores.argmax(-1))[mine.kinds != BY_PLAN].mean()
        self.experience = Experience.joined([self.experience, mine])
        state.round += 1
        self.say(
            f"round {state.round}: {len(mine)} sessions of its own, {agreed:.1%} of levels the teacher's"
        )

    def _engine(self, slots: int) -> Engine:
        return Engine(
            self.out / LAST, device=str(self.device), slots=slots, max_steps=self.experience.levels.shape[1]
        )

    # ---- looking at it ------------------------------------------------------------------------------

    def _check(self, loss: float) -> None:
        """Score on the validation traces; write the adapter, and as the best if it is so far; checkpoint."""
        began, state = time.monotonic(), self.state
        self._write(self.out / LAST, state.target)
        engine = self._engine(
            min(BATCH, max((len(group.setup) for group in self.validation.groups), default=1))
        )
        targets: list[float | None] = [None]
        if self.settings.objective == RETURN:
            targets = [share * self.best_return for share in TARGET_SHARES]
        found = {target: self.validation.gains(engine, target) for target in targets}
        target = max(found, key=lambda each: self.validation.score(found[each]))
        score = self.validation.score(found[target])
        if target != state.target:
            self._write(self.out / LAST, target)
        if score > state.best:
            state.best, state.best_step, state.target = score, state.step, target
            self._write(self.out / BEST, target)
        gains = {name: round(float(each.mean()), 4) for name, each in found[target].items()}
        entry = {
            "step": state.step,
            "loss": round(loss, 5),
            "score": round(score, 4),
            "best": round(state.best, 4),
            "gain": gains,
            "target": target,
            "sessions": len(self.experience),
            "seconds": round(state.seconds, 1),
            "check_seconds": round(time.monotonic() - began, 1),
        }
        self.board.add_scalar("validation/gain over robustmpc", score, state.step)
        for name, gain in gains.items():
            self.board.add_scalar(f"validation/{name}", gain, state.step)
        with (self.out / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")
        self.say(", ".join(f"{key} {value}" for key, value in entry.items()))
        self._save()

    def _write(self, folder: Path, target: float | None) -> None:
        notes = {
            "command": self.command,
            "settings": asdict(self.settings),
            "step": self.state.step,
            "pool": {name: short(self.facts[name]) for name in SAID_OF_POOL},
        }
        adapter.write(
            folder,
            self.model.learned_state(),
            shape=self.shape,
            base=self.base,
            modalities=abr.MODALITIES,
            objective=self.settings.objective,
            target=target,
            notes=notes,
        )

    def _identity(self) -> str:
        return json.dumps(
            [asdict(self.settings), asdict(self.shape), self.facts, self.base.sha256], sort_keys=True
        )

    def _is_of_this_run(self, identity: str) -> bool:
        held, mine = json.loads(identity), json.loads(self._identity())
        for each in (held, mine):
            for name in OF_THE_MACHINE:
                each[0].pop(name, None)
        return bool(held == mine)

    def _save(self) -> None:
        held = {
            "identity": self._identity(),
            "state": asdict(self.state),
            "learned": self.model.learned_state(),
            "optimizer": self.optimizer.state_dict(),
        }
        with aside(self.out / CHECKPOINT) as partial:
            torch.save(held, partial)

    def _load(self) -> None:
        path = self.out / CHECKPOINT
        try:
            held = torch.load(path, weights_only=True, map_location=self.device)
        except Exception as error:
            raise AdaptError(f"{path}: no checkpoint ({type(error).__name__}); name another --out") from None
        if not self._is_of_this_run(held["identity"]):
            raise AdaptError(
                f"{path}: a run with other settings or another pool; name another --out, or delete the folder"
            )
        self.model.load_learned(held["learned"])
        self.optimizer.load_state_dict(held["optimizer"])
        self.state = State(**held["state"])
        rounds = [pool.read_part(self.out / ROUNDS / f"{number}.npz") for number in range(self.state.round)]
        self.experience = Experience.joined([self.experience, *rounds])


def short(words: Any) -> Any:
    """Sources without the folders that they lie in on this machine."""
    if not isinstance(words, list):
        return words
    return ["/".join(str(word).rstrip("/").split("/")[-2:]) for word in words]


def _short_word(word: str) -> str:
    """A word of a command line, its path as `short` has it."""
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{equals}{short([value])[0]}" if "/" in value else word


def typed(words: Sequence[str]) -> str:
    """The command line that these words of `policies.llm` are."""
    return shlex.join(("python", "-m", "policies.llm", *words))


def add_parser(commands: Any) -> None:
    """The command line of `adapt`."""
    made = commands.add_parser("adapt", help="teach a base model on a pool; goes on from --out's checkpoint")
    what = made.add_argument_group("what")
    what.add_argument("--pool", type=Path, required=True, metavar="DIR", help="what `collect` made")
    what.add_argument("--base", default=DEFAULT, help="name, hub name or directory (default: %(default)s)")
    what.add_argument("--layers", type=count, default=8, help="of the base's first (default: %(default)s)")
    what.add_argument("--train", choices=TRAINED, default="lora", help="what learns (default: %(default)s)")
    what.add_argument("--rank", type=count, default=32, help="of LoRA (default: %(default)s)")
    what.add_argument(
        "--targets", choices=TARGETS, default=Shape.targets, help="of LoRA (default: %(default)s)"
    )
    what.add_argument(
        "--tokens", type=count, default=1, help="a step makes: 1, or 6 as in NetLLM (default: 1)"
    )
    what.add_argument(
        "--task-prompt", nargs="?", const=TASK_PROMPT, default="", metavar="TEXT",
        help="words in front of every session's steps (without TEXT: what words.py has)",
    )  # fmt: skip
    what.add_argument("--hidden", type=count, default=Shape.hidden, help="encoder's (default: %(default)s)")
    how = made.add_argument_group("how")
    how.add_argument("--objective", choices=(DISTILL, RETURN), default=DISTILL)
    for each in fields(Settings):
        if each.metadata:
            how.add_argument(
                f"--{each.name.replace('_', '-')}",
                type=each.metadata["kind"],
                default=each.default,
                help=f"{each.metadata['help']} (default: %(default)s)",
            )
    how.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    where = made.add_argument_group("output")
    where.add_argument("--out", type=Path, required=True, metavar="DIR", help="best adapter, log, checkpoint")
    where.add_argument("--json", action="store_true", help="one JSON object and nothing else on stdout")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Adapt; what `--json` says.

    Raises:
        AdaptError, BaseError, PoolError, DataError, ValueError: something does not fit.
        OSError: something cannot be written.
    """
    settings = Settings(**{each.name: getattr(args, each.name) for each in fields(Settings)})
    shape = Shape(
        base=placed(args.base),
        layers=args.layers,
        train=args.train,
        rank=args.rank,
        alpha=2.0 * args.rank,
        targets=args.targets,
        tokens=args.tokens,
        hidden=args.hidden,
        prompt=args.task_prompt,
    )
    command = typed([_short_word(word) for word in args.words])
    report = Adaptation(shape, args.pool, args.out, settings, say, command).go()
    if not args.json:
        print(
            f"adapter: {report['out']}, of step {report['best_step']}: {report['score']:+.3f} QoE a chunk"
            f" more than robustmpc on held-out traces; the teacher has {report['teacher_score']:+.3f}"
        )
        print(f"score it:  {typed(('test', '--adapter', str(args.out)))}")
        print(f"the same again, with another --out: {typed(args.words)}")
    return report
