"""`prompt`: the language model asked in words, as a control: the observation as text, the answer parsed.

What NetLLM's Figure 1 compares with (prompt learning with token prediction): the whole model with its
vocabulary, LoRA tuned on pairs of a prompt and the teacher's level; the answer is generated token by token
and may be none. Reported are the share of answers that are no level, how often a valid one is the teacher's,
the QoE when an invalid one counts as the lowest level, and the delay of one answer. Before tuning, too.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from player.simulated.batch.library import Ints
from player.simulated.batch.sessions import Sessions
from policies.bootstrap import mean_interval
from policies.hindsight.validate import play
from policies.llm.learning import pool
from policies.llm.model import backbone
from policies.llm.model.base import Base, resolve
from policies.llm.model.words import tokenizer_of
from policies.llm.studies.options import BASELINE
from policies.llm.tasks.ladder.sets import SessionSet, maker, played
from policies.llm.tasks.ladder.task import TASK
from policies.llm.tasks.ladder.teacher import LadderTeacher, read_teacher
from policies.view import layout
from policies.view.batch import View
from policies.view.layout import PLACES, Vectors
from traces.progress import say

SHOWN = 8
"""Past chunks in the prompt."""
ANSWER_TOKENS = 4
"""Generated at most."""
TIMED = 20
"""Answers that the delay is measured on."""
_ANSWER = re.compile(r"\s*(\d{1,2})(?!\d)")


def prompt(vector: Vectors) -> str:
    """The step (WIDTH,) in words; rates in Mbit/s, relative to the published ladder's top."""
    rates = np.expm1(vector[PLACES["throughput"]][-SHOWN:]) / layout.RATE_SCALE
    times = np.expm1(vector[PLACES["download"]][-SHOWN:])
    known = times > 0
    playback, asked = vector[PLACES["playback"]], vector[PLACES["asked"]]
    options = layout.options_of(vector)
    options = options[options[:, layout.EXISTS] > 0.0]
    last, top = options[:, layout.IS_LAST], len(options) - 1
    sizes = layout.TOP_MBPS * options[:, layout.NEXT]
    return (
        f"A second of stall costs {np.expm1(asked[0]):.1f}, chunks last {4.0 * asked[3]:.0f} s.\n"
        f"Throughput of the last chunks, Mbit/s: {_numbers(rates[known])}\n"
        f"Their download times, s: {_numbers(times[known])}\n"
        f"Buffer, s: {10.0 * playback[0]:.1f}\n"
        f"The next chunk at levels 0 to {top}, Mbit/s: {_numbers(sizes)}\n"
        f"Chunks left: {48.0 * playback[4]:.0f}\n"
        f"Last level: {int(last.argmax()) if last.any() else 'none'}\n"
        f"Next level, 0 to {top}:"
    )


def parsed(answer: str, levels: int) -> int | None:
    """The level that an answer names; None if it names none of so many."""
    found = _ANSWER.match(answer)
    return int(found[1]) if found and int(found[1]) < levels else None


class WordsModel:
    """A language model with its vocabulary, and LoRA that can be tuned."""

    def __init__(self, base: Base, layers: int | None, rank: int, seed: int) -> None:
        module = backbone.transformers()
        torch.manual_seed(seed)
        self.tokenizer = tokenizer_of(base)
        self.model = module.AutoModelForCausalLM.from_pretrained(
            base.folder, config=backbone.config_of(base, layers), dtype=torch.float32
        )
        self.model.config.use_cache = True
        backbone.add_lora(self.model, rank, 2.0 * rank, backbone.lora_targets(self.model))
        self.model.eval()
        self.end = self.tokenizer.eos_token_id

    def tune(self, vectors: Vectors, levels: Any, steps: int, batch: int, seed: int, lr: float) -> float:
        """Some steps on random rows of (N, WIDTH) and (N,) levels; the last loss."""
        learned = [each for each in self.model.parameters() if each.requires_grad]
        optimizer = torch.optim.AdamW(learned, lr)
        loss = torch.zeros(())
        self.model.train()
        for step in range(steps):
            random = np.random.default_rng([seed, step])
            rows = random.integers(len(vectors), size=batch)
            texts = [self.tokenizer(prompt(vectors[row]))["input_ids"] for row in rows]
            answers = [self.tokenizer(f" {levels[row]}")["input_ids"] + [self.end] for row in rows]
            longest = max(len(text) + len(answer) for text, answer in zip(texts, answers, strict=True))
            ids = torch.full((batch, longest), self.end)
            wanted = torch.full((batch, longest), -100)
            for at, (text, answer) in enumerate(zip(texts, answers, strict=True)):
                ids[at, : len(text) + len(answer)] = torch.tensor(text + answer)
                wanted[at, len(text) : len(text) + len(answer)] = torch.tensor(answer)
            logits = self.model(input_ids=ids).logits[:, :-1]
            loss = functional.cross_entropy(logits.flatten(0, 1), wanted[:, 1:].flatten(), ignore_index=-100)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learned, 1.0)
            for group in optimizer.param_groups:
                group["lr"] = lr * min((step + 1) / 5, 1.0)
            optimizer.step()
            if (step + 1) % 10 == 0:
                say(f"prompt: step {step + 1}, loss {loss.item():.3f}")
        self.model.eval()
        return loss.item()

    @torch.inference_mode()
    def answers(self, vectors: Vectors) -> list[str]:
        """What is generated after each prompt."""
        texts = [self.tokenizer(prompt(vector))["input_ids"] for vector in vectors]
        longest = max(len(text) for text in texts)
        ids = torch.tensor([[self.end] * (longest - len(text)) + text for text in texts])
        mask = torch.tensor([[0] * (longest - len(text)) + [1] * len(text) for text in texts])
        out = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=ANSWER_TOKENS,
            do_sample=False,
            pad_token_id=self.end,
        )
        return [
            str(self.tokenizer.decode(row, skip_special_tokens=True)) for row in out[:, longest:].tolist()
        ]


class Answers:
    """The asked model as the policy of a batch; counts what it answers."""

    def __init__(self, sessions: Sessions, asked: WordsModel) -> None:
        self._sessions, self._asked, self._view = sessions, asked, View(sessions)
        self._teacher = LadderTeacher(sessions, read_teacher(None))
        self._levels = sessions.library.packed.levels[sessions.state.video].tolist()
        self.given = self.invalid = self.agreed = 0

    def select(self) -> Ints:
        """(sessions,) what each answer names, 0 where it names none."""
        vectors = self._view.fill()
        answers = zip(self._asked.answers(vectors), self._levels, strict=True)
        said = [parsed(answer, levels) for answer, levels in answers]
        taught = self._teacher.scores(vectors).argmax(axis=1)
        self.given += len(said)
        self.invalid += sum(level is None for level in said)
        self.agreed += sum(level == best for level, best in zip(said, taught, strict=True))
        return np.array([level or 0 for level in said], np.int64)


def score(asked: WordsModel, setting: SessionSet) -> dict[str, Any]:
    """Whole sessions by answers, all side by side."""
    ((sessions, _),) = setting.parts(len(setting.setup))
    player = Answers(sessions, asked)
    began = time.monotonic()
    mine = play(sessions, player)
    took_s = time.monotonic() - began
    gain = mine - played(setting, maker(BASELINE)).qoe
    return {
        "sessions": len(mine),
        "answers": player.given,
        "invalid_share": player.invalid / player.given,
        "as_the_teacher_share": float(player.agreed / player.given),
        "qoe": float(mine.mean()),
        f"less_{BASELINE}": mean_interval(gain, setting.lines),
        "batched_seconds_an_answer": round(took_s / player.given, 3),
    }


def delay_ms(asked: WordsModel, vectors: Vectors) -> float:
    """Median time of one answer, alone."""
    times = []
    for vector in vectors[:TIMED]:
        began = time.perf_counter()
        asked.answers(vector[None])
        times.append(1000.0 * (time.perf_counter() - began))
    return round(statistics.median(times), 1)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Ask before and after tuning; what `--json` says.

    Raises:
        BaseError, PoolError, TraceError, VideoError, ValueError: something is not there.
    """
    torch.set_num_threads(args.threads)
    held, _ = pool.read(args.pool, TASK)
    begun = held.vectors[..., layout.GLOBAL + layout.IS_LAST :: len(layout.ATTRIBUTES)].any(-1)
    vectors, levels = held.vectors[begun], held.scores.argmax(-1)[begun]
    setting = SessionSet.on(args.traces, args.video)
    asked = WordsModel(resolve(args.base), args.layers, args.rank, args.seed)
    report: dict[str, Any] = {
        "setting": setting.name,
        "base": args.base,
        "steps": args.steps,
        "batch": args.batch,
    }
    report["prompt_tokens"] = len(asked.tokenizer(prompt(vectors[-1]))["input_ids"])
    report["untuned"] = score(asked, setting)
    say(f"prompt: untuned {report['untuned']}")
    began = time.monotonic()
    report["loss"] = asked.tune(vectors, levels, args.steps, args.batch, args.seed, args.lr)
    report["tuning_seconds"] = round(time.monotonic() - began, 1)
    report["tuned"] = score(asked, setting)
    report["delay_ms"] = delay_ms(asked, vectors)
    if not args.json:
        for name in ("untuned", "tuned"):
            print(f"{name}: {report[name]}")
        print(f"one answer alone: {report['delay_ms']} ms ({report['prompt_tokens']} tokens in the prompt)")
    return report


def _numbers(values: Any) -> str:
    return " ".join(f"{value:.2f}" for value in values) or "none"
