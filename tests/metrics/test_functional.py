import time

import numpy as np
import pytest
from scipy.stats import binomtest

from rv_edit.metrics.functional import cluster_bootstrap, cluster_sums, estimate, share, wilson


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 20), (990, 1000)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_is_scipys(right, n, level):
    expected = binomtest(right, n).proportion_ci(level, method="wilson")
    assert wilson(right, n, level) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_mean_over_questions_not_over_edits():
    found = estimate([1, 1, 1, 0], [5, 5, 5, 9])
    assert (found.mean, found.n) == (0.75, 4)


def test_bootstrap_is_the_loop_over_clusters():
    rng = np.random.default_rng(1)
    clusters = rng.integers(0, 12, 80)
    correct = rng.random(80) < (0.2 + 0.06 * clusters)
    groups = [correct[clusters == name] for name in np.unique(clusters)]
    draws, means = np.random.default_rng(3), []
    for picked in draws.integers(0, len(groups), (400, len(groups))):
        means.append(np.concatenate([groups[i] for i in picked]).mean())
    found = estimate(correct, clusters, resamples=400, seed=3)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for trial in range(200):
        rates = rng.beta(4, 2, 40)  # edits differ; ten questions of each stand or fall together
        correct = rng.random((40, 10)) < rates[:, None]
        found = estimate(correct.ravel(), np.repeat(np.arange(40), 10), resamples=400, seed=trial)
        covered += found.low <= 4 / 6 <= found.high
    assert 0.89 <= covered / 200 <= 0.99


def test_interval_does_not_depend_on_the_order_of_questions():
    rng = np.random.default_rng(2)
    clusters, correct = rng.integers(-1, 9, 60), rng.random(60) < 0.6
    shuffled = rng.permutation(60)
    assert estimate(correct, clusters) == estimate(correct[shuffled], clusters[shuffled])
    assert estimate(correct, clusters) != estimate(correct, clusters, seed=1)


def test_all_right_or_wrong_counts_edits_as_trials():
    clusters = np.repeat(np.arange(20), 10)
    right, wrong = estimate(np.ones(200), clusters), estimate(np.zeros(200), clusters)
    assert right[:3] == (1.0, *wilson(20, 20))
    assert wrong[:3] == (0.0, *wilson(0, 20))
    assert (right.high, wrong.low, right.n) == (1.0, 0.0, 200)


def test_a_single_edit_is_read_as_its_questions():
    assert estimate([1, 0, 1], [4, 4, 4])[1:3] == wilson(2, 3)


def test_independent_questions_take_wilson():
    assert estimate([1, 1, 0, 1])[1:3] == wilson(3, 4)


def test_questions_without_an_edit_are_clusters_of_their_own():
    sums, sizes = cluster_sums([1, 0, 1, 1], [-1, -1, 3, 3])
    assert (sums.tolist(), sizes.tolist()) == ([2, 0, 1], [2, 1, 1])


def test_nothing_asked_is_missing():
    for found in (estimate([]), estimate([], [])):
        assert np.isnan(found[:3]).all()
        assert found.n == 0
    assert np.isnan(share(0, 0))


def test_bootstrap_in_blocks_is_the_same(monkeypatch):
    sums, sizes = np.arange(30.0) % 4, np.full(30, 4)
    whole = cluster_bootstrap(sums, sizes, resamples=500)
    monkeypatch.setattr("rv_edit.metrics.functional.CHUNK", 100)
    assert cluster_bootstrap(sums, sizes, resamples=500) == whole


def test_a_thousand_edits_take_no_noticeable_time():
    start = time.process_time()
    estimate(np.arange(10_000) % 3 > 0, np.arange(10_000) % 1000)
    assert time.process_time() - start < 5
