"""Newman's modularity of a partition, of given networks and of embeddings (paper A.1, equation 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from rv_edit.topology.network import (
    MAX_ELEMENTS,
    ROUNDING,
    Pairs,
    check_embeddings,
    network_blocks,
    row_blocks,
    stacked,
)


def modularity(weights: Tensor, groups: Tensor) -> Tensor:
    """Q = (1/2W) Σ_ij (w_ij − s_i s_j / 2W) · 1[g_i = g_j], s_i = Σ_j w_ij, 2W = Σ_ij w_ij (paper A.1).

    Args:
        weights: (..., n, n) symmetric, not negative, 0 on the diagonal.
        groups: (n,), or (..., n) that broadcasts against the leading dimensions: a number for each node's group.

    Returns:
        (...,) fp64 in [−1, 1]; 0 for a network without any weight, where the formula says 0/0.

    Raises:
        ValueError: the shapes do not fit.

    >>> pair = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> float(modularity(torch.block_diag(pair, pair), torch.tensor([0, 0, 1, 1])))
    0.5
    """
    nodes = weights.shape[-1]
    if weights.ndim < 2 or weights.shape[-2] != nodes or groups.ndim < 1 or groups.shape[-1] != nodes:
        raise ValueError(f"weights {tuple(weights.shape)}, groups {tuple(groups.shape)}: give (..., n, n) and (..., n)")
    weights = weights.double()
    strength = weights.sum(dim=-1)
    total = strength.sum(dim=-1)
    # Strengths are divided first: their squares could leave the range of numbers.
    share = torch.where(total > 0, total, 1.0)
    strength, weights = strength / share[..., None], weights / share[..., None, None]
    together = groups[..., :, None] == groups[..., None, :]
    expected = strength[..., :, None] * strength[..., None, :]
    return ((weights - expected) * together).sum(dim=(-2, -1))


def embedding_modularity(embeddings: Tensor, groups: Tensor, max_elements: int = MAX_ELEMENTS) -> Tensor:
    """``modularity(similarity_network(embeddings), groups)`` in memory that grows neither with layers nor with n².

    A similarity is an affine function of its distance, so that sums of distances and their extremes suffice: they are
    gathered block by block, all partitions at once.

    Args:
        embeddings: (..., n, D) floats: layers, poolings, networks.
        groups: (n,), or (P, n) for P partitions of the same nodes.
        max_elements: numbers held at once in a block of distances or of embeddings in fp64 (one network's embeddings
            at least).

    Returns:
        (...,) or (..., P) fp64; a defined value for degenerate networks as in :func:`modularity` and
        :func:`rv_edit.topology.similarity`.

    Raises:
        ValueError: the shapes do not fit, or numbers that are not finite.
    """
    check_embeddings(embeddings)
    *lead, nodes, width = embeddings.shape
    if groups.ndim not in (1, 2) or groups.shape[-1] != nodes:
        raise ValueError(f"groups {tuple(groups.shape)} for {nodes} nodes: give (n,) or (P, n)")
    partitions = torch.stack([torch.unique(row, return_inverse=True)[1] for row in groups.reshape(-1, nodes)])
    partitions = partitions.to(embeddings.device)
    flat = stacked(embeddings)
    found = flat.new_zeros(len(flat), len(partitions), dtype=torch.float64)
    for some in network_blocks(len(flat), nodes, width, max_elements):
        found[some] = _modularity(Pairs.of(flat[some]), partitions, max_elements)
    return found.reshape((*lead, *groups.shape[:-1]))


def _modularity(pairs: Pairs, partitions: Tensor, max_elements: int) -> Tensor:
    """(B, P) from B networks and (P, n) partitions, numbered from 0."""
    networks, nodes, _ = pairs.points.shape
    new = pairs.points.new_zeros
    nearest, farthest = new(networks) + torch.inf, new(networks)
    to_all, to_own = new(networks, nodes), new(networks, len(partitions))
    for part in row_blocks(nodes, networks * nodes, max_elements):
        distances = pairs.rows(part)
        to_all[:, part] = distances.sum(dim=2)
        farthest = torch.maximum(farthest, distances.amax(dim=(1, 2)))
        for index, groups in enumerate(partitions):
            to_own[:, index] += (distances * (groups[part, None] == groups)).sum(dim=(1, 2))
        distances.diagonal(offset=part.start, dim1=1, dim2=2).fill_(torch.inf)
        nearest = torch.minimum(nearest, distances.amin(dim=(1, 2)))
    # w_ij = (d_max − d_ij) / spread, or 1 in a uniform network: the same with d_max = spread = 1 and no distances.
    uniform = farthest - nearest <= ROUNDING * farthest
    spread = torch.where(uniform, 1.0, farthest - nearest)
    top = torch.where(uniform, 1.0, farthest)
    used = (~uniform).double()
    strength = ((nodes - 1) * top[:, None] - used[:, None] * to_all) / spread[:, None]
    mates = torch.stack([(groups[:, None] == groups).sum() - nodes for groups in partitions])
    inside = (mates * top[:, None] - used[:, None] * to_own) / spread[:, None]
    total = strength.sum(dim=1, keepdim=True)
    total = torch.where(total > 0, total, 1.0)
    expected = torch.stack(
        [new(networks, nodes).index_add_(1, groups, strength / total).square().sum(dim=1) for groups in partitions],
        dim=1,
    )
    return inside / total - expected
