"""The small tree: it finds what there is to find, says its way, and refuses what is no tree."""

from __future__ import annotations

import numpy as np
import pytest

from policies.explain.tree import Branch, Tree, grow


def test_it_finds_the_two_questions_that_decide() -> None:
    random = np.random.default_rng(0)
    inputs = random.uniform(0.0, 10.0, (2000, 3))
    answers = np.where(inputs[:, 1] <= 4.0, -1, np.where(inputs[:, 2] <= 7.0, 0, 2))
    tree = grow(("a", "b", "c"), inputs, answers, leaves=3)
    said = np.array([tree.answer(row) for row in inputs])
    assert tree.leaves == 3
    assert (said == answers).mean() > 0.99
    (reason,) = tree.reasons(np.array([0.0, 1.0, 9.0]))
    name, _, bound = reason.partition(" <= ")
    assert name == "b" and float(bound) == pytest.approx(4.0, abs=0.05)


def test_bounds_of_one_input_are_said_as_one() -> None:
    inputs = np.linspace(0.0, 3.0, 600)[:, None]
    tree = grow(("a",), inputs, inputs[:, 0].astype(int), leaves=8)
    (reason,) = tree.reasons(np.array([1.5]))
    assert "< a <=" in reason


def test_no_more_leaves_than_asked_for_and_none_without_need() -> None:
    random = np.random.default_rng(1)
    inputs, noise = random.normal(size=(500, 4)), random.integers(0, 3, 500)
    assert grow(tuple("abcd"), inputs, noise, leaves=5).leaves <= 5
    assert grow(tuple("abcd"), inputs, np.full(500, 2), leaves=5).leaves == 1
    assert grow(tuple("abcd"), np.zeros((500, 4)), noise, leaves=5).leaves == 1


def test_what_leads_back_is_no_tree() -> None:
    answer = Branch(0, 1.0, 1)
    for branches in (
        (),
        (Branch(0, 1.0, 1, 0, 0.5, 0, 1), answer),
        (Branch(0, 1.0, 1, 3, 0.5, 1, 2), answer, answer),
    ):
        with pytest.raises(ValueError, match=r"branch|branches"):
            Tree(("a",), branches).checked()
