"""The choice of λ: where the modularities of both parts are high together (paper 3.3, 4.6)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Balance(NamedTuple):
    """The chosen place on a grid of λ: its ``place``, (...,) long, and the ``score`` there, (...,) fp64.

    A score of 0 says that no λ of the grid has what is asked above 0: there is nothing to choose.
    """

    place: Tensor
    score: Tensor


def harmonic_mean(vision: Tensor, language: Tensor) -> Tensor:
    """H = 2 Q_V Q_L / (Q_V + Q_L), and 0 where either is not above 0 (paper 3.3).

    Args:
        vision: (...,) Q_V.
        language: (...,) Q_L, of a shape that broadcasts.

    Returns:
        (...,) fp64.

    >>> harmonic_mean(torch.tensor([0.5, 0.5]), torch.tensor([0.25, -0.1])).tolist()
    [0.3333333333333333, 0.0]
    """
    vision, language = torch.broadcast_tensors(vision.double(), language.double())
    both = (vision > 0) & (language > 0)
    # Of the two forms of the formula this one neither overflows nor divides 0 by 0 for small values.
    low, high = torch.minimum(vision, language), torch.maximum(vision, language)
    return torch.where(both, 2 * low / (1 + low / torch.where(both, high, 1.0)), 0.0)


def balance(vision: Tensor, language: Tensor) -> Balance:
    """λ* = argmax_λ H(Q_V, Q_L) (paper 3.3); of equal ones the first.

    Args:
        vision: (..., Λ) sample modularity Q_V at each λ of a grid.
        language: (..., Λ) Q_L.

    Returns:
        where it is, and how high.

    Raises:
        ValueError: an empty grid.
    """
    return highest(harmonic_mean(vision, language))


def highest(score: Tensor) -> Balance:
    """The place of the greatest score on a grid; of equal ones the first, and scores below 0 count as 0.

    Args:
        score: (..., Λ) at each λ.

    Raises:
        ValueError: an empty grid.
    """
    score = score.double().clamp(min=0)
    if score.ndim < 1 or not score.shape[-1]:
        raise ValueError(f"scores {tuple(score.shape)}: give at least one λ")
    best = score.amax(dim=-1)
    first = (score == best[..., None]).to(torch.int8).argmax(dim=-1)
    return Balance(first, best)


def log_grid(low: float, high: float, points: int) -> Tensor:
    """(points,) fp64 values of λ from ``low`` to ``high``, both included, in equal ratios.

    Raises:
        ValueError: not 0 < low ≤ high, or no point.

    >>> log_grid(0.05, 20.0, 3).tolist()
    [0.05, 1.0, 20.0]
    """
    if not 0 < low <= high < math.inf or points < 1 or (points == 1 and low != high):
        raise ValueError(f"grid of {points} from {low} to {high}: give 0 < low ≤ high and at least two points")
    grid = torch.logspace(math.log10(low), math.log10(high), points, dtype=torch.float64)
    grid[0], grid[-1] = low, high  # exactly, not the tenth power of a logarithm
    return grid
