"""The paired test against scipy's binomial and permutation tests, and against every flip written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, permutation_test

from rv_edit.metrics.paired import compare, holm, sign_flips


def every_flip(differences: list[int]) -> float:
    observed = abs(sum(differences))
    sums = [
        sum(sign * size for sign, size in zip(signs, differences, strict=True))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    return float(np.mean([abs(found) >= observed for found in sums]))


@given(st.lists(st.integers(-6, 6), max_size=9))
def test_every_flip_counts(differences: list[int]) -> None:
    assert sign_flips(differences) == pytest.approx(every_flip(differences), abs=1e-12)


@pytest.mark.parametrize(("better", "worse", "same"), [(9, 2, 30), (1, 7, 0), (5, 5, 4), (0, 0, 12), (40, 18, 150)])
def test_one_question_an_edit_is_mcnemar(better: int, worse: int, same: int) -> None:
    one = [False] * better + [True] * worse + [True] * same
    other = [True] * better + [False] * worse + [True] * same
    found = compare(one, other, [f"e{place}" for place in range(len(one))])
    expected = binomtest(better, better + worse, 0.5).pvalue if better + worse else 1.0
    assert found.p == pytest.approx(expected) and (found.better, found.worse) == (better, worse)
    assert found.edits == found.questions == better + worse + same
    assert found.other - found.one == pytest.approx((better - worse) / len(one))


def test_several_questions_an_edit_are_scipys_permutation_test() -> None:
    draw = np.random.default_rng(0)
    pairs = [f"e{edit}" for edit in range(11) for _ in range(3)]
    one, other = draw.random(33) < 0.5, draw.random(33) < 0.75
    differences = (other.astype(int) - one.astype(int)).reshape(11, 3).sum(axis=1)
    expected = permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=True
    ).pvalue
    found = compare(one, other, pairs)
    assert found.p == pytest.approx(expected)
    assert found.edits == 11 and found.questions == 33
    shuffled = draw.permutation(33)
    again = compare(one[shuffled], other[shuffled], [pairs[place] for place in shuffled])
    assert again.p == pytest.approx(found.p)


def test_thousands_of_edits_are_no_other_test() -> None:
    """Far beyond what can be written out: the normal approximation holds there."""
    draw = np.random.default_rng(1)
    differences = draw.integers(-3, 5, 4000)
    p = sign_flips(differences[:1000] - 1)
    sizes = differences[:1000] - 1
    z = abs(sizes.sum()) / np.sqrt((sizes**2).sum())
    from scipy.stats import norm

    assert p == pytest.approx(2 * norm.sf(z), abs=0.03)
    assert 0.0 < sign_flips(differences) < 1e-12


def test_interval_holds_the_difference_of_resampled_edits() -> None:
    one = [False] * 40 + [True] * 60
    other = [True] * 20 + [False] * 20 + [True] * 60
    found = compare(one, other, [f"e{place}" for place in range(100)])
    spread = np.sqrt(0.2 * 0.8 / 100)
    assert found.low == pytest.approx(0.2 - 1.96 * spread, abs=0.02)
    assert found.high == pytest.approx(0.2 + 1.96 * spread, abs=0.02)
    nothing = compare(one, one, [f"e{place}" for place in range(100)])
    assert (nothing.low, nothing.high, nothing.p) == (0.0, 0.0, 1.0)


def test_holm_is_the_textbook_rule() -> None:
    ps = [0.001, 0.2, 0.012, 0.03]
    assert holm(ps) == pytest.approx([0.004, 0.2, 0.036, 0.06])
    assert holm([]) == [] and holm([0.6, 0.7]) == [1.0, 1.0]


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(ValueError, match="give one of each"):
        compare([True], [True, False], ["e"])
    with pytest.raises(ValueError, match="whole numbers"):
        sign_flips([0.5])
