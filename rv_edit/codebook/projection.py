"""Keys on a plane: principal components, so that people can look at a codebook."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane in the space of keys.

    Attributes:
        centre: (d,) the mean of the keys, fp64.
        axes: (2, d) orthonormal; a zero row where the keys do not spread that far.
        shares: of the keys' variance along each axis, 0 to 1.
    """

    centre: Tensor
    axes: Tensor
    shares: tuple[float, float]

    def place(self, keys: Tensor) -> Tensor:
        """(n, 2) where ``keys`` (n, d) lie on the plane."""
        return (keys.double() - self.centre) @ self.axes.T


def plane(keys: Tensor) -> Plane:
    """The plane along which ``keys`` (n, d) vary most; the same for the same keys, signs included.

    No key, or only equal ones, give a plane that everything falls onto one point of.
    """
    dim = keys.shape[1]
    centre = keys.double().mean(0) if len(keys) else torch.zeros(dim, dtype=torch.float64)
    spread = keys.double() - centre
    total = float(spread.square().sum())
    axes = torch.zeros(2, dim, dtype=torch.float64)
    shares = [0.0, 0.0]
    if total > 0:
        # Of the two products of the same eigenvalues the smaller one.
        few = len(keys) <= dim
        values, vectors = torch.linalg.eigh(spread @ spread.T if few else spread.T @ spread)
        for place in range(min(2, len(values))):
            value = float(values[-1 - place])
            if value <= total * 1e-12:
                continue
            axis = vectors[:, -1 - place]
            axis = spread.T @ axis / value**0.5 if few else axis
            axes[place] = axis if float(axis[axis.abs().argmax()]) > 0 else -axis
            shares[place] = value / total
    return Plane(centre, axes, (shares[0], shares[1]))
