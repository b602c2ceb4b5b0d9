"""Rank correlation of a criterion with what editing achieves, over the cells of a grid, with its intervals.

Two things are uncertain. The figures of a cell: they are drawn again by taking edits, locality questions and networks
with replacement, the same for all cells. And which cells there are: those are drawn again by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Suite:
    """The answers of one suite: ``right`` (cells, clusters) sums, ``size`` (clusters,) questions."""

    right: Floats
    size: Floats

    def means(self, drawn: NDArray[np.int64] | None = None) -> Floats:
        """(cells,) share answered right, of the clusters drawn."""
        right, size = (self.right, self.size) if drawn is None else (self.right[:, drawn], self.size[drawn])
        return np.asarray(right.sum(axis=1) / max(1.0, float(size.sum())))


@dataclass(frozen=True, eq=False)
class Grid:
    """The cells of one model and data set.

    Attributes:
        vision, language, bimodal: (cells, networks) modularities of each cell's key space.
        suites: by name. All but ``loc`` have a cluster for each edit, in one order; one without a question has size 0.
    """

    vision: Floats
    language: Floats
    bimodal: Floats
    suites: Mapping[str, Suite]

    def harmonic_mean(self, networks: NDArray[np.int64] | slice = slice(None)) -> Floats:
        """(cells,) what λ is chosen by, of the mean over networks; 0 where either is not above 0 (paper 3.3)."""
        v, q = self.vision[:, networks].mean(axis=1), self.language[:, networks].mean(axis=1)
        both = (v > 0) & (q > 0)
        return np.where(both, 2 * v * q / np.where(both, v + q, 1.0), 0.0)

    def bimodality(self, networks: NDArray[np.int64] | slice = slice(None)) -> Floats:
        """(cells,) what the layer is chosen by."""
        return np.asarray(self.bimodal[:, networks].mean(axis=1))

    def achieved(
        self, names: Sequence[str], edits: NDArray[np.int64] | None = None, loc: NDArray[np.int64] | None = None
    ) -> Floats:
        """(cells,) mean of the suites' means."""
        return np.mean([self.suites[name].means(loc if name == "loc" else edits) for name in names], axis=0)


def ranks(criterion: Floats, achieved: Floats) -> tuple[float, float]:
    """Spearman's and Kendall's (b) correlation; nan where either does not vary."""
    if np.ptp(criterion) == 0 or np.ptp(achieved) == 0:
        return float("nan"), float("nan")
    spearman, kendall = stats.spearmanr(criterion, achieved), stats.kendalltau(criterion, achieved)
    return float(spearman.statistic), float(kendall.statistic)


def correlate(
    grid: Grid, names: Sequence[str], criterion: str, resamples: int, seed: int = 0, level: float = 0.95
) -> dict[str, Any]:
    """Both correlations with both intervals.

    Args:
        grid: the cells.
        names: suites whose means are averaged.
        criterion: ``harmonic_mean`` or ``bimodality``.
        resamples: draws an interval.
        seed: of the draws.
        level: mass of the intervals.
    """
    of = getattr(grid, criterion)
    rng = np.random.default_rng(seed)
    edits = next((len(suite.size) for name, suite in grid.suites.items() if name != "loc"), 0)
    loc = len(grid.suites["loc"].size) if "loc" in grid.suites else 0
    cells, networks = grid.vision.shape
    base = of(), grid.achieved(names)
    again, others = [], []
    for _ in range(resamples):
        again.append(
            ranks(
                of(rng.integers(0, networks, networks)),
                grid.achieved(names, rng.integers(0, edits, edits), rng.integers(0, loc, loc) if loc else None),
            )
        )
        drawn = rng.integers(0, cells, cells)
        others.append(ranks(base[0][drawn], base[1][drawn]))
    found: dict[str, Any] = {"cells": cells, "criterion": criterion}
    for place, (name, value) in enumerate(zip(("spearman", "kendall"), ranks(*base), strict=True)):
        found[name] = None if np.isnan(value) else value
        found[f"{name}_edits_drawn_again"] = interval([draw[place] for draw in again], level)
        found[f"{name}_cells_drawn_again"] = interval([draw[place] for draw in others], level)
    return found


def interval(values: Sequence[float], level: float) -> list[float] | None:
    """The middle ``level`` of those that are numbers; ``None`` without any."""
    known = [value for value in values if not np.isnan(value)]
    if not known:
        return None
    return [float(end) for end in np.quantile(known, [(1 - level) / 2, (1 + level) / 2])]
