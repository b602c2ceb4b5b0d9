"""Distances between all pairs of keys, kept up as keys come, move and go, for the percentile gate."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rv_edit.codebook.maths import linear_percentile
from rv_edit.codebook.search import blocks, distances

Row = NDArray[np.float32]

SHORTEST, LONGEST, WIDTH = 1e-6, 1e9, 1.002
"""Range of the histogram and ratio of a bin's edges: percentiles read from it are right to 0.2 %."""


@lru_cache(maxsize=1)
def edges() -> NDArray[np.float64]:
    """Upper edges of the histogram's bins, all but the last; the first bin reaches down to 0."""
    steps = int(np.ceil(np.log(LONGEST / SHORTEST) / np.log(WIDTH)))
    return SHORTEST * WIDTH ** np.arange(steps + 1, dtype=np.float64)


def histogram(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Counts of ``values`` >= 0 in the logarithmic bins, (bins,)."""
    if values.dtype != np.float32:
        bins = np.searchsorted(edges(), values, side="right")
    else:
        # The leading bits of a float32 are a finer scale than the bins: at most one edge lies between two of its steps.
        first = _first_bins()[np.ascontiguousarray(values).view(np.uint32) >> _STEP]
        bins = first + (values >= edges().take(first, mode="clip"))
        bins[first == len(edges())] = len(edges())
    return np.bincount(bins, minlength=len(edges()) + 1).astype(np.int64)


_STEP = 14
"""Bits of a float32 dropped: what is left (sign, exponent, 9 bits) steps by less than the width of a bin."""


@lru_cache(maxsize=1)
def _first_bins() -> NDArray[np.intp]:
    """For each value of a non-negative float32's leading bits the bin of the smallest number that has them."""
    smallest = (np.arange(1 << (31 - _STEP), dtype=np.uint32) << _STEP).view(np.float32)
    return np.searchsorted(edges(), np.where(np.isnan(smallest), np.inf, smallest), side="right")


def histogram_percentile(counts: NDArray[np.int64], percent: float) -> float:
    """The percentile of the values that were counted, right to a bin's width."""
    upto = np.cumsum(counts)

    def order_statistic(rank: int) -> float:
        bin_ = int(np.searchsorted(upto, rank, side="right"))
        if bin_ == 0:
            return 0.0
        within = (rank - (upto[bin_] - counts[bin_]) + 0.5) / counts[bin_]
        return float(edges()[bin_ - 1] * WIDTH**within)

    return linear_percentile(order_statistic, int(upto[-1]), percent)


class PairDistances:
    """The distances of all pairs among n keys: exact up to ``exact_keys`` keys, a histogram beyond.

    A key that comes, moves or goes costs one row of distances, never a square. What :meth:`percentile` returns
    depends on the present keys alone, not on the way to them: the histogram holds whole counts.

    Args:
        exact_keys: above this, 4·n² bytes of distances give way to a histogram (0.2 % wide bins).
    """

    def __init__(self, exact_keys: int) -> None:
        self.exact_keys = exact_keys
        self.size = 0
        self.counts: NDArray[np.int64] | None = None
        self._matrix: NDArray[np.float32] = np.zeros((0, 0), np.float32)

    @classmethod
    def of(cls, keys: Tensor, exact_keys: int, counts: NDArray[np.int64] | None = None) -> PairDistances:
        """All pairs of ``keys`` (n, d), block by block; ``counts``, where known, spares a large codebook that."""
        pairs = cls(exact_keys)
        pairs.size = len(keys)
        if len(keys) <= exact_keys:
            pairs._matrix = np.zeros((len(keys), len(keys)), np.float32)
            for rows in blocks(len(keys), max(len(keys), keys.shape[1])):
                pairs._matrix[rows] = distances(keys[rows], keys).cpu().numpy()
        elif counts is not None and counts.sum() == len(keys) * (len(keys) - 1) // 2:
            pairs.counts = counts.copy()
        else:
            pairs.counts = histogram(np.zeros(0))
            for rows in blocks(len(keys), max(len(keys), keys.shape[1])):
                part = distances(keys[rows], keys[: rows.stop]).cpu().numpy()
                pairs.counts += histogram(part[np.tri(len(part), rows.stop, rows.start - 1, dtype=bool)])
        return pairs

    def copy(self) -> PairDistances:
        """The same distances, which changes of these leave alone."""
        other = PairDistances(self.exact_keys)
        other.size = self.size
        other.counts = None if self.counts is None else self.counts.copy()
        other._matrix = self._matrix.copy()
        return other

    @property
    def wants_old_row(self) -> bool:
        """Whether :meth:`move` and :meth:`drop` need the distances that cease to hold."""
        return self.counts is not None

    def append(self, row: Row) -> None:
        """A new key, at distances ``row`` (n,) from the present ones."""
        if self.counts is None and self.size >= self.exact_keys:
            self.counts = histogram(self._values())
            self._matrix = np.zeros((0, 0), np.float32)
        if self.counts is not None:
            self.counts += histogram(row)
        else:
            if self.size == len(self._matrix):
                grown = np.zeros((2 * self.size + 8,) * 2, np.float32)
                grown[: self.size, : self.size] = self._matrix[: self.size, : self.size]
                self._matrix = grown
            self._matrix[self.size, : self.size] = self._matrix[: self.size, self.size] = row
        self.size += 1

    def move(self, index: int, row: Row, old_row: Row | None = None) -> None:
        """Key ``index`` now lies at distances ``row`` (n,); its entry for itself is ignored."""
        if self.counts is not None:
            assert old_row is not None
            self.counts += histogram(np.delete(row, index)) - histogram(np.delete(old_row, index))
        else:
            self._matrix[index, : self.size] = self._matrix[: self.size, index] = row
            self._matrix[index, index] = 0

    def drop(self, index: int, old_row: Row | None = None) -> bool:
        """Key ``index`` is gone, later ones move up. Returns whether the pairs must be counted anew (:meth:`of`)."""
        self.size -= 1
        if self.counts is None:
            kept = np.delete(np.arange(self.size + 1), index)
            self._matrix = self._matrix[np.ix_(kept, kept)]
            return False
        assert old_row is not None
        self.counts -= histogram(np.delete(old_row, index))
        return self.size <= self.exact_keys

    def percentile(self, percent: float) -> float:
        """The percentile of all pairwise distances; needs two keys."""
        if self.counts is not None:
            return histogram_percentile(self.counts, percent)
        values = self._values()
        rank = percent / 100 * (len(values) - 1)
        values.partition((int(np.floor(rank)), int(np.ceil(rank))))
        return linear_percentile(lambda r: float(values[r]), len(values), percent)

    def _values(self) -> NDArray[np.float32]:
        return self._matrix[: self.size, : self.size][np.tri(self.size, k=-1, dtype=bool)]
