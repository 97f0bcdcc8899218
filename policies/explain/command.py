"""`python -m policies.llm explain`: records replayed through their adapter's engine, decision by decision."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from player.explained.file import FORMAT, ChangedInput, Explanation, WhyLevel, write_explanation
from player.record import RecordError
from policies.explain.adapters import Decider, arithmetic_of, decider_of
from policies.explain.agreement import DecisionPairs, agreement, compared
from policies.explain.distilled import Distilled
from policies.explain.kept_tree import tree_for
from policies.explain.named import named_inputs
from policies.explain.occlusion import Occluded, Occlusion, margin_of
from policies.explain.otherwise import OtherValue, Probing
from policies.explain.replayed import PlayedSession, TaskSteps, played_session
from policies.explain.shown import show_agreement, show_chunk, show_session, show_tree
from policies.llm.engine.engine import Engine
from policies.llm.serving.local import shared_engine
from policies.llm.tasks.ladder.task import TASK
from traces.commands import tell_line
from traces.progress import say
from traces.safe_reading import sha256_of

SAY_EVERY_S = 10.0


@dataclass(frozen=True)
class Asked:
    """A record with who decided it."""

    session: PlayedSession
    decider: Decider
    dtype: str
    steps: TaskSteps
    sha256: str
    """Of the record."""


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Explain; what `--json` says. Every record is looked at before the first one is explained.

    Raises:
        RecordError, AdapterError, BaseError, ValueError: a record or an adapter that can't be taken.
        OSError: a file can't be read or written.
    """
    asked = [_asked(path, args) for path in args.record]
    found, pairs = [], []
    for number, each in enumerate(asked):
        explanation, compared_ = _explained(each, args, number)
        pairs += compared_
        where = None
        if args.chunk is None:
            where = write_explanation(each.session.path, explanation)
        found.append({"record": str(each.session.path), "written": str(where) if where else None,
                      **explanation.to_json()})  # fmt: skip
        if not args.json:
            _show(each, explanation, where, args)
    report: dict[str, Any] = {"records": found}
    if pairs:
        report["agreement"] = agreement(pairs)
        if not args.json:
            show_agreement(report["agreement"])
    return report


def _asked(path: Path, args: argparse.Namespace) -> Asked:
    session = played_session(path)
    if args.chunk is not None and args.chunk >= len(session.rows):
        raise RecordError(f"{path}: --chunk {args.chunk}; it has chunks 0 to {len(session.rows) - 1}")
    decider = decider_of(session, args.adapter, args.anyway)
    dtype = args.dtype or arithmetic_of(session)
    return Asked(session, decider, dtype, TaskSteps.of(session), sha256_of(path))


def _explained(
    asked: Asked, args: argparse.Namespace, number: int
) -> tuple[Explanation, list[DecisionPairs]]:
    """One record's decisions, and how occlusion ranks beside the exact ablation where that is asked for."""
    engine = shared_engine(TASK.name, asked.decider.folder, args.device, asked.dtype)
    assert isinstance(engine, Engine)
    chunks = range(len(asked.session.rows)) if args.chunk is None else (args.chunk,)
    decisions, pairs = _decisions(engine, asked, chunks, args.exact, number)
    tree = None
    if not args.no_tree:
        tree = tree_for(asked.session, asked.decider, engine.info.dtype, args.tree_sessions)
        decisions = [_with_tree(each, tree, asked.session) for each in decisions]
    explanation = Explanation(
        format=FORMAT,
        record_sha256=asked.sha256,
        task=TASK.name,
        adapter_sha256=asked.decider.sha256,
        arithmetic=engine.info.dtype,
        modalities=tuple(each.name for each in TASK.modalities),
        decisions=tuple(decisions),
        tree=tree.to_json() if tree else None,
    )
    return explanation, pairs


def _decisions(
    engine: Engine, asked: Asked, chunks: Iterable[int], exact: bool, number: int
) -> tuple[list[WhyLevel], list[DecisionPairs]]:
    found: list[WhyLevel] = []
    pairs: list[DecisionPairs] = []
    occlusion, probing = Occlusion(engine, asked.steps), Probing(engine, asked.steps)
    said_s = time.monotonic()
    try:
        for chunk in chunks:
            began_s = time.perf_counter()
            cheap = occlusion.at(chunk)
            took_s = time.perf_counter() - began_s
            found.append(_why(asked, chunk, cheap, probing.at(chunk)))
            if exact and (one := compared(engine, asked.steps, chunk, cheap, took_s, number)):
                pairs.append(one)
            if time.monotonic() - said_s > SAY_EVERY_S:
                said_s = time.monotonic()
                say(f"{asked.session.path.name}: {len(found)} of {len(asked.session.rows)} decisions")
    finally:
        occlusion.close()
        probing.close()
    return found, pairs


def _why(asked: Asked, chunk: int, seen: Occluded, values: list[OtherValue]) -> WhyLevel:
    video, row = asked.session.video, asked.session.rows[chunk]

    def level(option: int) -> int:
        return TASK.level_of(option, video)

    modalities, chunks = seen.contributions()
    margin, chosen = margin_of(seen.scores, seen.chosen), seen.chosen
    changed = {
        str(name): level(int(scores.argmax()))
        for name, scores in (*seen.modalities.items(), *seen.chunks.items())
        if int(scores.argmax()) != chosen
    }
    return WhyLevel(
        chunk=chunk,
        level=level(chosen),
        recorded=row.level,
        by=row.by,
        margin=margin,
        runner_up=None if margin is None else level(seen.runner_up),
        modalities=modalities,
        chunks={str(each): value for each, value in chunks.items()},
        without=changed,
        otherwise=tuple(
            ChangedInput(each.given.name, each.given.unit, each.was, each.becomes, level(each.chosen))
            for each in values
        ),
    )


def _with_tree(why: WhyLevel, tree: Distilled, session: PlayedSession) -> WhyLevel:
    """What the tree says of a decision; before the first chunk is in it says nothing."""
    assert why.chunk is not None
    seen = session.observations[why.chunk]
    if not seen.history:
        return why
    inputs = named_inputs(seen, session.video)
    level = tree.level(inputs, session.video.levels)
    return replace(why, tree_level=level, tree_path=tree.tree.reasons(inputs))


def _show(asked: Asked, explanation: Explanation, where: Path | None, args: argparse.Namespace) -> None:
    assert explanation.decisions is not None
    tell_line(
        f"{asked.session.path}: adapter {asked.decider.sha256[:12]} of the task {TASK.name},"
        f" {explanation.arithmetic}"
    )
    if args.chunk is not None:
        show_chunk(explanation.decisions[0], asked.session)
    else:
        show_session(explanation)
    if explanation.tree is not None:
        show_tree(explanation.tree, whole=args.show_tree)
    if where is not None:
        tell_line(f"explanation: {where}")
