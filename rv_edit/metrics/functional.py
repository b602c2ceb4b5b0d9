"""Means of right-or-wrong answers and their intervals: pure functions of numpy arrays.

A suite asks several questions of one edit, and they stand or fall together, so that intervals resample edits
rather than questions. Where that says nothing (all right, all wrong, a single edit) Wilson's interval does.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

OWN_CLUSTER = -1
"""Cluster of a question that belongs to no edit: one by itself."""
CHUNK = 1 << 22
"""Draws of the bootstrap that are held at once."""


class Estimate(NamedTuple):
    """A share with its interval; all ``nan`` where nothing was asked (``n`` = 0): missing, not zero."""

    mean: float
    low: float
    high: float
    n: int


MISSING = Estimate(math.nan, math.nan, math.nan, 0)


def share(correct: float, total: float) -> float:
    """``correct / total``, ``nan`` for nothing.

    >>> share(3, 4), share(0, 0)
    (0.75, nan)
    """
    return float(correct) / float(total) if total else math.nan


def wilson(correct: float, total: int, level: float = 0.95) -> tuple[float, float]:
    r"""Wilson's interval of a share of independent trials.

    .. math:: \frac{\hat p + z^2/2n \pm z\sqrt{\hat p(1-\hat p)/n + z^2/4n^2}}{1 + z^2/n}

    >>> [round(bound, 3) for bound in wilson(10, 10)]
    [0.722, 1.0]
    """
    if not total:
        return math.nan, math.nan
    z = NormalDist().inv_cdf((1 + level) / 2)
    p, spread = correct / total, z * z / total
    centre = p + spread / 2
    reach = math.sqrt(p * (1 - p) * spread + spread * spread / 4)
    low = 0.0 if correct == 0 else (centre - reach) / (1 + spread)
    high = 1.0 if correct == total else (centre + reach) / (1 + spread)
    return low, high


def cluster_sums(correct: ArrayLike, clusters: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Right answers and questions of each cluster, in an order that does not depend on that of the questions.

    Args:
        correct: (n,) booleans.
        clusters: (n,) whole numbers; :data:`OWN_CLUSTER` stands alone.

    >>> [part.tolist() for part in cluster_sums([1, 0, 1, 1], [7, 7, -1, 5])]
    [[1.0, 1.0, 1.0], [1, 2, 1]]
    """
    right, ids = np.asarray(correct, np.float64), np.asarray(clusters, np.int64)
    alone = ids == OWN_CLUSTER
    _, place = np.unique(ids[~alone], return_inverse=True)
    singles = np.sort(right[alone])
    sums = np.concatenate([np.bincount(place, weights=right[~alone]), singles])
    return sums, np.concatenate([np.bincount(place), np.ones(len(singles), np.int64)])


def cluster_bootstrap(
    sums: NDArray[np.float64],
    sizes: NDArray[np.int64],
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of ``sum(sums) / sum(sizes)`` over clusters drawn with replacement.

    Args:
        sums: (C,) right answers of each cluster.
        sizes: (C,) questions of each cluster, >= 1.
        level: mass of the interval.
        resamples: bootstrap samples.
        seed: same seed, same interval.
    """
    rng, count = np.random.default_rng(seed), len(sums)
    means: list[NDArray[np.float64]] = []
    step = max(1, CHUNK // count)
    for start in range(0, resamples, step):
        drawn = rng.integers(0, count, (min(step, resamples - start), count))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def estimate(
    correct: ArrayLike,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Mean over questions with its interval.

    Args:
        correct: (n,) booleans.
        clusters: (n,) edits the questions belong to; the interval resamples them. ``None``: questions are
            independent, and the interval is Wilson's (Loc).
        level: mass of the interval.
        resamples: bootstrap samples.
        seed: of the bootstrap.

    Returns:
        :class:`Estimate`. With clusters, where all or none are right, Wilson's interval counts each cluster as
        one trial, since its questions are no independent evidence; a single cluster is read as its questions.

    >>> estimate([True, False, True, True])
    Estimate(mean=0.75, low=0.300..., high=0.954..., n=4)
    >>> estimate([])
    Estimate(mean=nan, low=nan, high=nan, n=0)
    """
    right = np.asarray(correct, np.float64)
    n = len(right)
    if not n:
        return MISSING
    total = float(right.sum())
    if clusters is None:
        return Estimate(total / n, *wilson(total, n, level), n)
    sums, sizes = cluster_sums(right, clusters)
    if total in (0.0, float(n)):
        return Estimate(total / n, *wilson(len(sums) if total else 0, len(sums), level), n)
    if len(sums) == 1:
        return Estimate(total / n, *wilson(total, n, level), n)
    return Estimate(total / n, *cluster_bootstrap(sums, sizes, level, resamples, seed), n)
