"""The bound for members of a family, beside policies and the oracle on the same members."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from player.qoe import QoE
from player.simulated.batch.library import Floats, Ints, Library
from player.simulated.batch.sessions import Sessions, Setup
from player.simulated.link_published import PAYLOAD, PublishedLink
from player.video.video import Video
from policies.hindsight.validate import Selects
from policies.knowable.accepted import changed_means
from policies.knowable.hidden import HiddenNodes, Unveiled, mean_next_weights, surprises, weights
from policies.knowable.informed import INFORMED, informed_levels
from policies.knowable.planner import best_paid_plan
from policies.knowable.played import paid_session
from policies.knowable.share import SHARES, MemberFigures
from policies.knowable.terms import Terms
from policies.knowable.windows import SLOT_S
from policies.knowable.worth import BYTES_PER_MBIT, Worth, fit
from policies.llm.tasks.ladder.batch_model import model_of
from policies.llm.tasks.ladder.batch_policy import batch_policy
from policies.llm.tasks.ladder.play import BATCH
from policies.rules.oracle import best_plan
from traces.families.generator import Draw, draw, member
from traces.families.model import FamilyModel
from traces.trace import Trace

LONGEST_S = 1.25
"""Of the link's steps those are paid for that a session of so many times the video's length may see; later
ones cost nothing, which errs in the planner's favour."""


@dataclass(frozen=True)
class BoundStudy:
    """Which sessions: from each member's beginning, the first chunk at level 0."""

    model: FamilyModel
    members: tuple[int, ...]
    video: Video
    qoe: QoE
    chunks: int
    slot_s: float = SLOT_S

    @property
    def terms(self) -> Terms:
        return Terms.of(self.video, self.qoe, self.model.step_s, self.chunks)

    def traces(self) -> list[Trace]:
        """The members."""
        return [member(self.model, index) for index in self.members]


def decided(study: BoundStudy, name: str) -> Ints:
    """(members, chunks) the levels that a policy takes, which sees downloads alone.

    Raises:
        PolicyError: no such policy.
        ValueError: a video that it refuses.
    """
    library = Library(study.traces(), [study.video.first(study.chunks)], study.qoe)
    setup = Setup.of(len(study.members), trace=np.arange(len(study.members)))
    found, model = [], model_of(name)
    for begin in range(0, len(setup), BATCH):
        part = setup.part(slice(begin, begin + BATCH))
        sessions = Sessions(library, part, chunks=study.chunks, first_level=0, threads=1)
        if model is None:
            found.append(_levels(sessions, batch_policy(name, sessions, part)))
            continue
        player = model.over(sessions)
        found.append(_levels(sessions, player))
        player.close()
    return np.concatenate(found)


def _levels(sessions: Sessions, selects: Selects) -> Ints:
    taken = [np.zeros(len(sessions), np.int64)]
    while not sessions.done.all():
        taken.append(np.array(selects.select()))
        sessions.step(taken[-1])
    return np.array(taken).T


class _Worths:
    """V by class and offset; the last is kept."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._last: tuple[HiddenNodes, float, Worth] | None = None

    def of(self, drawn: Draw) -> tuple[HiddenNodes, Worth]:
        """Nodes and V for a member."""
        if self._last is None or self._last[0].part is not drawn.part or self._last[1] != drawn.offset:
            nodes = HiddenNodes.of(drawn.part, drawn.offset)
            self._last = nodes, drawn.offset, fit(nodes, drawn.offset, self._terms)
        return self._last[0], self._last[2]


def figures(
    study: BoundStudy,
    levels: Mapping[str, Ints | None],
    tell: Callable[[MemberFigures], None] | None = None,
    held: Mapping[int, MemberFigures] | None = None,
) -> list[MemberFigures]:
    """All figures, in the order of the members.

    Args:
        levels: (members, chunks) that each policy took; None of the one that is told the hidden state.
        tell: is given each member's when it is there.
        held: members' that are known: of them only policies are computed that they lack.
    """
    worths, found = _Worths(study.terms), dict(held or {})
    for index in _by_class(study):
        place = study.members.index(index)
        known = found.get(index)
        taken = {
            name: None if each is None else each[place]
            for name, each in levels.items()
            if known is None or name not in known.played
        }
        if known is None or taken:
            found[index] = _of_member(study, index, worths, taken, known)
            if tell is not None:
                tell(found[index])
    return [found[index] for index in study.members]


def _by_class(study: BoundStudy) -> Sequence[int]:
    """Members of one class and offset together, for whom V is the same."""
    kinds = {index: draw(study.model, index) for index in study.members}
    return sorted(
        kinds, key=lambda index: (study.model.classes.index(kinds[index].part), kinds[index].offset, index)
    )


def _of_member(
    study: BoundStudy,
    index: int,
    worths: _Worths,
    taken: Mapping[str, Ints | None],
    known: MemberFigures | None,
) -> MemberFigures:
    drawn, terms = draw(study.model, index), study.terms
    nodes, worth = worths.of(drawn)
    payload = np.array(drawn.rates) * BYTES_PER_MBIT * PAYLOAD * terms.step_s
    unveiled = Unveiled.of(drawn.offset, drawn.states)
    seen = surprises(nodes, unveiled)
    steps = min(len(seen), int(LONGEST_S * study.chunks * terms.chunk_s / terms.step_s) + 1)
    changed = changed_means(study.model, nodes, drawn, steps, seed=index)
    seen = seen[:steps] - changed
    if INFORMED in taken:
        mean = mean_next_weights(nodes, unveiled)[:steps] + changed
        told = informed_levels(payload, terms, worth, weights(nodes, unveiled)[:steps], mean)
        taken = {**taken, INFORMED: told}
    sessions = {
        name: paid_session(payload, terms, worth, seen, each)
        for name, each in taken.items()
        if each is not None
    }
    if known is None:
        known = MemberFigures(index, *_planned(study, index, payload, worth, seen), {}, {})
    return replace(
        known,
        played={**known.played, **{name: each.qoe for name, each in sessions.items()}},
        paid={**known.paid, **{name: each.paid for name, each in sessions.items()}},
    )


def _planned(
    study: BoundStudy, index: int, payload: Floats, worth: Worth, seen: Floats
) -> tuple[tuple[float, ...], float, float]:
    """The bounds by share, the clairvoyant's and the oracle's mean QoE."""
    terms, nothing = study.terms, np.zeros((0, seen.shape[1]))
    link = PublishedLink(rtt_ms=terms.rtt_s * 1000.0)
    plan = best_plan(study.video, member(study.model, index), link, study.qoe, chunks=study.chunks)
    return (
        tuple(best_paid_plan(payload, terms, worth, share * seen, study.slot_s) for share in SHARES),
        best_paid_plan(payload, terms, None, nothing, study.slot_s),
        plan.mean,
    )
