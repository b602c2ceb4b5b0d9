"""GRACE's and BalancEdit's placement against restatements in plain Python on points of a line."""

from __future__ import annotations

import numpy as np
import pytest

from rv_edit.editors.placing import BalancEditRule, Fact, GraceRule, Placed, Row, Rule

RED, BLUE = (5, 7), (6, 6)
"""Labels of equal length, sum and mean: only a comparison as sequences tells them apart."""


def place(rule: Rule, facts: list[Fact], keys: np.ndarray) -> Placed:
    """All facts, one after the other; the last result."""
    rows: tuple[Row, ...] = ()
    for position in range(len(facts)):
        apart = [float(np.linalg.norm(keys[position] - keys[row.founder])) for row in rows]
        placed = rule(rows, facts[: position + 1], apart)
        rows = placed.rows
    return placed


def grace_restated(keys: np.ndarray, labels: list, epsilon: float) -> list[list]:
    """The rules as GRACE states them: [key index, radius, label, facts trained on], nearest key first wins."""
    book: list[list] = []
    for index, (key, label) in enumerate(zip(keys, labels, strict=True)):
        if not book:
            book.append([index, epsilon, label, [index]])
            continue
        gaps = [np.sqrt(((key - keys[entry[0]]) ** 2).sum()) for entry in book]
        k = int(np.argmin(gaps))
        d = gaps[k]
        if d > epsilon + book[k][1]:
            book.append([index, epsilon, label, [index]])
        elif list(book[k][2]) != list(label):
            book.append([index, d / 2, label, [index]])
            book[k][1] = d / 2 - 1e-5
        else:
            if d > book[k][1]:
                book[k][1] = d
            book[k][3].append(index)
    return book


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_grace_is_its_rules_restated(seed: int, spread: float) -> None:
    generator = np.random.default_rng(seed)
    keys = generator.normal(size=(25, 2)) * spread
    labels = [(RED, BLUE, (5,))[choice] for choice in generator.integers(0, 3, 25)]
    epsilon = 0.8
    facts = [Fact(label, None, epsilon) for label in labels]
    rows = place(GraceRule(gap=1e-5, same=0.0), facts, keys).rows
    restated = grace_restated(keys, labels, epsilon)
    assert [(row.founder, list(row.chain)) for row in rows] == [(entry[0], entry[3]) for entry in restated]
    assert [row.radius for row in rows] == pytest.approx([entry[1] for entry in restated], rel=1e-6)
    assert any(len(row.chain) > 1 for row in rows), "nothing joined: the case is too easy"
    assert any(abs(row.radius - epsilon) > 1e-3 for row in rows), "nothing was split or expanded"


@pytest.mark.parametrize(
    ("second", "label", "radii", "chains"),
    [
        (2.5, RED, [1.0, 1.0], [(0,), (1,)]),  # beyond both radii: an entry of its own
        (1.5, RED, [1.5], [(0, 1)]),  # same label: the old one expands to it
        (0.5, RED, [1.0], [(0, 1)]),  # inside already: nothing to expand
        (1.5, BLUE, [0.75 - 1e-5, 0.75], [(0,), (1,)]),  # another label: both give way
    ],
)
def test_grace_by_hand(second: float, label: tuple, radii: list, chains: list) -> None:
    facts = [Fact(RED, None, 1.0), Fact(label, None, 1.0)]
    rows = place(GraceRule(), facts, np.array([[0.0], [second]])).rows
    assert [row.radius for row in rows] == pytest.approx(radii, rel=1e-6)
    assert [row.chain for row in rows] == chains


def test_another_label_at_one_point_takes_its_place() -> None:
    facts = [Fact(RED, None, 1.0), Fact(RED, None, 1.0), Fact(BLUE, None, 1.0)]
    placed = place(GraceRule(), facts, np.array([[0.0], [1.5], [0.0005]]))  # the second one had widened the first
    assert placed.rows == (Row(2, 1.0, (2,)),) and placed.superseded == (0, 1) and placed.new
    facts = [Fact(RED, None, 1.0), Fact(BLUE, None, 1.0), Fact(BLUE, None, 1.0)]
    placed = place(GraceRule(), facts, np.array([[0.0], [1.0], [0.0005]]))  # the second one had narrowed it
    assert [row.radius for row in placed.rows] == pytest.approx([0.5, 0.5 - 1e-5], rel=1e-5)


@pytest.mark.parametrize(
    ("second", "label", "same", "chains", "gone"),
    [
        (3.0, RED, False, [(0,), (1,)], ()),
        (1.0, BLUE, False, [(0,), (0, 1)], ()),  # within the radius: goes on from the earlier update
        (0.0, BLUE, True, [(1,)], (0,)),  # another answer to the same: takes its place, from the start
        (0.0, RED, True, [(0, 1)], ()),  # the same once more: trained on
    ],
)
def test_balancedit_by_hand(second: float, label: tuple, same: bool, chains: list, gone: tuple) -> None:
    facts = [Fact(RED, ("picture", "what"), 1.5), Fact(label, ("picture" if same else "other", "what"), 0.25)]
    placed = place(BalancEditRule(), facts, np.array([[0.0], [second]]))
    assert [row.chain for row in placed.rows] == chains and placed.superseded == gone
    assert placed.rows[-1].founder == 1 and placed.rows[-1].radius == 0.25
    if not same:
        assert placed.rows[0].radius == 1.5, "an edit leaves the radii of others alone"


def test_of_two_as_near_the_earlier_one_counts() -> None:
    facts = [Fact(RED, None, 1.0), Fact(RED, None, 1.0), Fact(RED, None, 1.0)]
    rows = place(GraceRule(), facts, np.array([[0.0], [4.0], [2.0]])).rows
    assert [(row.chain, row.radius) for row in rows] == [((0, 2), 2.0), ((1,), 1.0)]
