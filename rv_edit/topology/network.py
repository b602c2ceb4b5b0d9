"""The embedding similarity network: distances, and the similarities they become (paper 3.3, A.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

ROUNDING = 1e-6
"""Hidden states are fp32: what is below this share is rounding. It is the share of the longest embedding below which
two nodes are one point, and of the largest distance below which a spread of distances is none."""
MAX_ELEMENTS = 1 << 20
"""Numbers of a block of distances or converted embeddings that are held at once, unless a caller says otherwise. On a
CPU, blocks that its cache holds were also twice as quick as blocks of 1 << 24."""


@dataclass(frozen=True)
class Pairs:
    """Embeddings ready for distances: fp64, each network divided by its largest number and moved to its mean.

    Attributes:
        points: (B, n, D).
        scale: (B, 1, 1), by which distances are multiplied at the end.
        floor: (B, 1, 1), below which a distance is 0.
    """

    points: Tensor
    scale: Tensor
    floor: Tensor

    @classmethod
    def of(cls, embeddings: Tensor) -> Pairs:
        """From (B, n, D), of any floating type."""
        points = embeddings.double()
        # Squares of very large or small numbers would leave even fp64's range.
        scale = points.abs().flatten(1).amax(dim=1) if points.shape[2] else points.new_ones(len(points))
        scale = torch.where(scale > 0, scale, 1.0)[:, None, None]
        points = points / scale
        floor = ROUNDING * points.norm(dim=2).amax(dim=1)[:, None, None]
        # Near the mean the differences of squares below cancel least.
        return cls(points - points.mean(dim=1, keepdim=True), scale, floor)

    def rows(self, part: slice) -> Tensor:
        """(B, b, n) distances of some nodes to all."""
        some, squares = self.points[:, part], self.points.square().sum(dim=2)
        product = torch.bmm(some, self.points.transpose(1, 2))
        squared = squares[:, part, None] + squares[:, None, :] - 2 * product
        distances = squared.clamp_min(0).sqrt()
        distances = torch.where(distances <= self.floor, 0.0, distances)
        distances.diagonal(offset=part.start, dim1=1, dim2=2).zero_()
        return distances * self.scale


def row_blocks(rows: int, numbers_a_row: int, max_elements: int) -> Iterator[slice]:
    """Slices of the rows that hold at most ``max_elements`` numbers each, but at least one row."""
    step = max(1, max_elements // max(1, numbers_a_row))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def network_blocks(networks: int, nodes: int, width: int, max_elements: int) -> Iterator[slice]:
    """Slices of the networks; of several, the embeddings and the distances are at most ``max_elements`` numbers."""
    return row_blocks(networks, nodes * max(nodes, width), max_elements)


def check_embeddings(embeddings: Tensor, dims: int = 2) -> None:
    """Refuse what has no nodes, no width, or numbers that are not finite.

    Raises:
        ValueError: one line.
    """
    if embeddings.ndim < dims or not embeddings.is_floating_point() or embeddings.shape[-2] < 1:
        shape = "..., n, D" if dims == 2 else f"at least {dims} dimensions"
        raise ValueError(f"embeddings {tuple(embeddings.shape)} {embeddings.dtype}: give floats ({shape}), n ≥ 1")
    if not bool(torch.isfinite(embeddings).all()):
        raise ValueError("embeddings: some are not finite; compute them in a type with a wider range")


def stacked(embeddings: Tensor) -> Tensor:
    """(B, n, D) from (..., n, D); unlike a reshape also where B or D is 0."""
    return embeddings.flatten(0, -3) if embeddings.ndim > 2 else embeddings[None]


def pairwise_distances(embeddings: Tensor) -> Tensor:
    """Euclidean distances d_ij = ‖φ_i − φ_j‖ of all nodes (paper 3.3).

    Args:
        embeddings: (..., n, D) floats.

    Returns:
        (..., n, n) fp64, symmetric up to rounding, exactly 0 on the diagonal and between equal embeddings.

    Raises:
        ValueError: no nodes, or numbers that are not finite.
    """
    check_embeddings(embeddings)
    nodes = embeddings.shape[-2]
    return Pairs.of(stacked(embeddings)).rows(slice(0, nodes)).reshape((*embeddings.shape[:-1], nodes))


def similarity(distances: Tensor) -> Tensor:
    """Similarities w_ij = 1 − (d_ij − d_min)/(d_max − d_min), w_ii = 0, with min and max over all i ≠ j (paper A.1).

    Where all distances are equal (also: two nodes) no pair is closer than another and the formula says 0/0; every
    similarity is 1 then, a uniform network.

    Args:
        distances: (..., n, n), 0 on the diagonal.

    Returns:
        (..., n, n) fp64 in [0, 1]; never nan.
    """
    distances = distances.double()
    own = torch.eye(distances.shape[-1], dtype=torch.bool, device=distances.device)
    nearest = distances.masked_fill(own, torch.inf).amin(dim=(-2, -1), keepdim=True)
    farthest = distances.masked_fill(own, 0.0).amax(dim=(-2, -1), keepdim=True)
    spread = farthest - nearest
    flat = spread <= ROUNDING * farthest  # a single node has the spread −inf
    weights = torch.where(flat, 1.0, (farthest - distances) / torch.where(flat, 1.0, spread))
    return weights.masked_fill(own, 0.0)


def similarity_network(embeddings: Tensor) -> Tensor:
    """The similarity network of embeddings, whatever their scale (paper 3.3, A.1, A.3).

    Args:
        embeddings: (..., n, D) floats.

    Returns:
        (..., n, n) fp64 weights in [0, 1], 0 on the diagonal; all 1 where no distance differs from another.

    Raises:
        ValueError: no nodes, or numbers that are not finite.

    >>> similarity_network(torch.tensor([[0.0], [1.0], [3.0]])).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.5], [0.0, 0.5, 0.0]]
    """
    return similarity(pairwise_distances(embeddings))


def mean_distance(embeddings: Tensor, max_elements: int = MAX_ELEMENTS) -> Tensor:
    """Mean distance of two different nodes, by which biases of several layers are made comparable (paper A.2).

    Args:
        embeddings: (..., n, D) floats.
        max_elements: numbers held at once.

    Returns:
        (...,) fp64; 0 for a single node.

    Raises:
        ValueError: no nodes, or numbers that are not finite.
    """
    check_embeddings(embeddings)
    *lead, nodes, width = embeddings.shape
    flat = stacked(embeddings)
    total = flat.new_zeros(len(flat), dtype=torch.float64)
    for some in network_blocks(len(flat), nodes, width, max_elements):
        pairs = Pairs.of(flat[some])
        for part in row_blocks(nodes, len(pairs.points) * nodes, max_elements):
            total[some] += pairs.rows(part).sum(dim=(1, 2))
    return (total / max(1, nodes * (nodes - 1))).reshape(lead)
