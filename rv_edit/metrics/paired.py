"""A paired test of two runs over the same edits: exact sign flips, which for one question an edit is McNemar's test.

Under the hypothesis that it does not matter which of the two runs an edit was given to, each edit's difference in right
answers could as well have had the other sign. Differences are whole numbers, so the distribution of their sum over all
2^n flips is computed exactly, one edit after the other, and nothing is drawn at random. Where every edit has one
question the differences are -1, 0 and 1, and the test is the exact form of McNemar's (a sign test on the discordant
edits).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rv_edit.metrics.functional import cluster_bootstrap


class Paired(NamedTuple):
    """Two runs compared on one suite.

    Attributes:
        edits: pairs.
        questions: of them.
        one, other: share of right answers of each run.
        low, high: 95 % interval of ``other - one``, edits resampled.
        better, worse: edits of which ``other`` has more, or fewer, right.
        p: of the two-sided exact test.
    """

    edits: int
    questions: int
    one: float
    other: float
    low: float
    high: float
    better: int
    worse: int
    p: float


def sign_flips(differences: ArrayLike) -> float:
    """Two-sided p of the sum of whole numbers (n,) whose signs are each as likely as not; 1 for none.

    The share of the 2^n ways to set the signs whose sum is at least as far from 0.

    >>> sign_flips([1, 1, 1, 1]), sign_flips([1, -1]), sign_flips([])
    (0.125, 1.0, 1.0)
    """
    found = np.asarray(differences)
    if not np.all(found == np.round(found)):
        raise ValueError("differences of counts are whole numbers")
    sizes = np.abs(found.astype(np.int64).ravel())
    total = int(sizes.sum())
    chances = np.zeros(2 * total + 1)  # of the sums -total … total
    chances[total] = 1.0
    reach = 0
    for size in sizes[sizes > 0]:
        size = int(size)
        inner = chances[total - reach : total + reach + 1].copy()
        chances[total - reach : total + reach + 1] = 0.0
        chances[total - reach - size : total + reach - size + 1] += inner / 2
        chances[total - reach + size : total + reach + size + 1] += inner / 2
        reach += size
    observed = abs(int(found.sum()))
    far = np.abs(np.arange(-total, total + 1)) >= observed
    return float(min(1.0, chances[far].sum()))


def compare(one: ArrayLike, other: ArrayLike, pairs: Sequence[str], resamples: int = 10_000, seed: int = 0) -> Paired:
    """Two runs' answers to the same questions.

    Args:
        one: (n,) whether each question was answered right in the one run, n >= 1.
        other: (n,) the same in the other.
        pairs: (n,) the edit each question belongs to; a name of its own where it belongs to none.
        resamples: of the interval.
        seed: of the interval.
    """
    left, right = np.asarray(one, np.int64), np.asarray(other, np.int64)
    if not len(left) == len(right) == len(pairs) or not len(left):
        raise ValueError(f"{len(left)} and {len(right)} answers to {len(pairs)} questions; give one of each a question")
    place: dict[str, int] = {}
    index = np.array([place.setdefault(name, len(place)) for name in pairs])
    sums: NDArray[np.float64] = np.bincount(index, weights=right - left).astype(np.float64)
    sizes: NDArray[np.int64] = np.bincount(index)
    if np.any(sums):
        low, high = cluster_bootstrap(sums, sizes, resamples=resamples, seed=seed)
    else:
        low = high = 0.0
    better, worse = int((sums > 0).sum()), int((sums < 0).sum())
    return Paired(
        len(sums), len(left), float(left.mean()), float(right.mean()), low, high, better, worse, sign_flips(sums)
    )


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction: p-values that hold together, for as many tests as there are.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = largest
    return adjusted
