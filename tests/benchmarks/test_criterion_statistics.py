"""Rank correlations and their intervals against scipy on plain arrays, and against grids whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.criterion import gather
from benchmarks.criterion_statistics import Grid, Suite, correlate, interval, ranks


def grid(slope: float, cells: int = 12, noise: float = 0.0, seed: int = 0) -> Grid:
    """Cells whose accuracy follows (or, with a negative slope, opposes) their modularities."""
    generator = np.random.default_rng(seed)
    quality = np.linspace(0.1, 0.6, cells)
    networks = quality[:, None] + 0.01 * generator.normal(size=(cells, 10))
    size = np.full(200, 5.0)
    chance = np.clip(0.5 + slope * (quality - 0.35) + noise * generator.normal(size=cells), 0, 1)
    right = generator.binomial(5, chance[:, None], (cells, 200)).astype(np.float64)
    return Grid(networks, networks, networks, {"acc": Suite(right, size), "loc": Suite(right, size)})


def test_a_criterion_that_predicts_and_one_that_opposes() -> None:
    good, bad = (correlate(grid(slope), ["acc", "loc"], "harmonic_mean", 200) for slope in (1.5, -1.5))
    assert good["spearman"] > 0.9 and good["kendall"] > 0.8 and bad["spearman"] < -0.9
    for name in ("spearman", "kendall"):
        for what in ("edits", "cells"):
            low, high = good[f"{name}_{what}_drawn_again"]
            assert 0.3 < low <= high <= 1.0
            assert low - 0.1 <= good[name] <= high + 0.1


def test_no_relation_has_zero_inside() -> None:
    found = correlate(grid(0.0, noise=0.2, seed=3), ["acc"], "bimodality", 300)
    low, high = found["spearman_cells_drawn_again"]
    assert low < 0 < high and found["cells"] == 12


def test_ranks_are_those_of_plain_formulas() -> None:
    x, y = np.array([0.0, 0.0, 0.2, 0.5, 0.9]), np.array([0.3, 0.1, 0.1, 0.7, 0.6])
    spearman, kendall = ranks(x, y)
    assert spearman == pytest.approx(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i in range(5) for j in range(i)]
    concordant = sum(a * b for a, b in signs)
    assert kendall == pytest.approx(
        concordant / math.sqrt(sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs))
    )
    assert all(math.isnan(value) for value in ranks(np.zeros(3), np.arange(3.0)))
    assert interval([math.nan], 0.95) is None and interval([1.0, math.nan], 0.95) == [1.0, 1.0]


def test_harmonic_mean_is_of_means_and_zero_where_one_is_not_positive() -> None:
    v, q = np.array([[0.2, 0.4], [0.1, -0.3]]), np.array([[0.1, 0.3], [0.5, 0.5]])
    made = Grid(v, q, v, {})
    np.testing.assert_allclose(made.harmonic_mean(), [2 * 0.3 * 0.2 / 0.5, 0.0])
    np.testing.assert_allclose(made.harmonic_mean(np.array([0, 0])), [2 * 0.2 * 0.1 / 0.3, 2 * 0.1 * 0.5 / 0.6])


def test_answers_are_gathered_by_suite_and_edit() -> None:
    answers = [
        [["acc", "a", True, True], ["acc", "b", False, True], ["t_gen", "b", True, True], ["loc", None, True, False]],
        [["acc", "a", False, True], ["acc", "b", False, True], ["t_gen", "b", True, True], ["loc", None, False, True]],
    ]
    networks = np.arange(30.0).reshape(2, 3, 5)
    made = gather([{"answers": cell} for cell in answers], networks)
    for place, found in enumerate((made.vision, made.language, made.bimodal)):
        np.testing.assert_array_equal(found, networks[..., place])
    np.testing.assert_allclose(made.suites["acc"].means(), [0.5, 0.0])
    np.testing.assert_allclose(made.suites["acc"].means(np.array([0, 0])), [1.0, 0.0])
    np.testing.assert_allclose(made.suites["t_gen"].size, [0.0, 1.0])
    np.testing.assert_allclose(made.achieved(["acc", "t_gen", "loc"]), [2.5 / 3, 1 / 3])
